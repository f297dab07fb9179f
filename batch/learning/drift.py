"""Whether a fit can be trusted: how much was left out of it, how far it moved. No Spark import."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from batch.jobs.job import Check
from batch.learning.versions import MAX_EXCLUDED, MAX_MOVE
from streaming.contracts import names
from streaming.detection.limits import PROVISIONAL, READY

ASSET: Final = f"lake/{names.BASELINES}"
CONTAMINATION: Final = "training_data_is_clean"
DRIFT: Final = "thresholds_move_slowly"

MAX_MOVED: Final = 0.1
"""A few young slots move far by chance; more than this share is traffic that changed."""

Row = Mapping[str, Any]


def checks(fresh: Iterable[Row], old: Iterable[Row]) -> tuple[Check, ...]:
    """Evaluate rows of a fit beside those of the version in use, before any move is bounded."""
    rows = list(fresh)
    return _contamination(rows), _drift(rows, old)


def _contamination(rows: list[Row]) -> Check:
    shares = {row["server_address"]: row["excluded_share"] for row in rows}
    dirty = {server: share for server, share in shares.items() if share > MAX_EXCLUDED}
    found = ", ".join(f"{share:.0%} of {server}" for server, share in sorted(dirty.items()))
    worst = max(shares.values(), default=0.0)
    return Check(
        ASSET,
        CONTAMINATION,
        not dirty,
        f"Left out as incidents: {found or f'at most {worst:.0%} of any server'}.",
        {"excluded_share": worst},
        warn=True,
    )


def _drift(rows: list[Row], old: Iterable[Row]) -> Check:
    before = {_key(row): row for row in old if row["state"] in (PROVISIONAL, READY)}
    pairs = [(row, before[_key(row)]) for row in rows if _key(row) in before]
    moved = sum(
        _far(row["upper"], was["upper"]) or _far(row["lower"], was["lower"]) for row, was in pairs
    )
    share = moved / len(pairs) if pairs else 0.0
    return Check(
        ASSET,
        DRIFT,
        share <= MAX_MOVED,
        f"{moved} of {len(pairs)} thresholds want to move by more than ×{MAX_MOVE}.",
        {"moved_share": share},
        warn=True,
    )


def _far(value: float | None, was: float | None) -> bool:
    if value is None or not was:
        return False
    return not was / MAX_MOVE <= value <= was * MAX_MOVE


def _key(row: Row) -> tuple[Any, ...]:
    return row["server_address"], row["metric"], row["key"], row["hour_of_week"]
