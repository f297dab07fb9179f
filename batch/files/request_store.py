"""Requests of any number of chunks, on disk, read back by time."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import polars as pl

from streaming.windows.requests import Requests, merged

SLOT_SECONDS: Final = 60
ROWS_AT_ONCE: Final = 75_000
"""A span holds about so many rows, unless one slot has more: they are in memory at once."""


@dataclass(frozen=True)
class Stored:
    """The requests of one chunk: their file, and how many rows each slot of time has."""

    path: Path
    slots: Mapping[int, int]


@dataclass(frozen=True)
class Span:
    """The windows in `[start, stop)`, epoch seconds, and the parts that have some."""

    start: int
    stop: int
    paths: tuple[Path, ...]


def write(requests: Requests, path: Path) -> Stored:
    """Write the requests of one chunk to files that begin with `path`."""
    for frame, name in ((requests.rows, "rows"), (requests.latencies, "latencies")):
        write_frame(frame.sort("window_start"), _file(path, name))
    slot = pl.col("window_start").dt.epoch("s") // SLOT_SECONDS
    counts = requests.rows.group_by(slot.alias("slot")).len()
    return Stored(path, dict(counts.iter_rows()))


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a temporary file; raises `OSError` that says what to do when there is no room."""
    try:
        frame.write_ipc(path, compression="lz4")
    except OSError as error:
        raise OSError(
            f"{path.parent}: no temporary file can be written ({error}); "
            "let TMPDIR name a directory with more room"
        ) from error


def spans(parts: Iterable[Stored]) -> Iterator[Span]:
    """Yield spans of time, in order, that hold about `ROWS_AT_ONCE` rows each."""
    rows: Counter[int] = Counter()
    holders: dict[int, list[Path]] = defaultdict(list)
    for part in parts:
        rows.update(part.slots)
        for slot in part.slots:
            holders[slot].append(part.path)
    slots: list[int] = []
    held = 0
    for slot in sorted(rows):
        if slots and held + rows[slot] > ROWS_AT_ONCE:
            yield _span(slots, holders)
            slots, held = [], 0
        slots.append(slot)
        held += rows[slot]
    if slots:
        yield _span(slots, holders)


def _span(slots: list[int], holders: Mapping[int, list[Path]]) -> Span:
    paths = dict.fromkeys(chain.from_iterable(holders[slot] for slot in slots))
    return Span(slots[0] * SLOT_SECONDS, (slots[-1] + 1) * SLOT_SECONDS, tuple(paths))


def holding(parts: Iterable[Stored], start: int, stop: int) -> list[Path]:
    """Return the paths of the parts with windows in `[start, stop)`, borders of slots."""
    first, last = start // SLOT_SECONDS, stop // SLOT_SECONDS
    return [part.path for part in parts if any(first <= slot < last for slot in part.slots)]


def read(paths: Iterable[Path], start: int, stop: int) -> Requests:
    """Return the requests of the windows in `[start, stop)` in at least one part."""
    return merged(
        [
            Requests(
                _between(_file(path, "rows"), start, stop),
                _between(_file(path, "latencies"), start, stop),
            )
            for path in paths
        ]
    )


def _between(path: Path, start: int, stop: int) -> pl.DataFrame:
    second = pl.col("window_start").dt.epoch("s")
    return pl.scan_ipc(path).filter((second >= start) & (second < stop)).collect()


def _file(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}.{name}.arrow")
