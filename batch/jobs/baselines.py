"""`python -m batch.jobs.baselines`: learn from the profiles, test, then publish or say why not."""

import argparse
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.evaluation.scores import Result, run_backtest
from batch.jobs.backtest import field_of
from batch.jobs.job import Check, JobError, job
from batch.learning import drift
from batch.learning.learn import Learned, learn
from batch.learning.profiles import Profiles
from batch.learning.versions import merged, newest, publish
from batch.repair import late_profiles as upkeep
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.incidents import Incident
from streaming.detection.limits import LEARNING, Limits, Rules, rules_of
from streaming.live import program
from streaming.spark import delta_tables, incident_store
from streaming.spark.arrow_bridge import collect_frame
from streaming.spark.session import tune_for_long_jobs

log = logging.getLogger(__name__)

GATE: Final = "backtest_gate"

LEAST_RECALL: Final = 0.9
RECALL_LOSS: Final = 0.05
MOST_ALERTS: Final = 2.0
"""A version is published when it finds this share of injected attacks, no more than
`RECALL_LOSS` less than the version before it, and its incidents per server and day on the past
stay below `MOST_ALERTS` or below those of the version before it."""

NEWEST: Final = 20
"""How many of the incidents left out a person is shown by name."""


@dataclass(frozen=True)
class Outcome:
    """What a recompute came to; `version` is None when nothing was published."""

    version: int | None
    reason: str
    rows: int = 0
    left_out: tuple[Incident, ...] = ()
    notes: list[str] = field(default_factory=list)
    result: Result | None = None
    checks: tuple[Check, ...] = drift.checks((), ())

    def metadata(self) -> dict[str, Any]:
        """Figures for Dagster."""
        figures: dict[str, Any] = {
            "outcome": self.reason,
            "rows": self.rows,
            "incidents_left_out": len(self.left_out),
            "newest_left_out": [
                f"{i.incident_id}: {i.kind} on {i.server} {i.entity}".rstrip()
                for i in sorted(self.left_out, key=lambda i: i.opened_at)[-NEWEST:]
            ],
            "notes": "; ".join(self.notes),
        }
        if self.version is not None:
            figures["version"] = self.version
        if self.result is not None:
            figures["recall"] = self.result.recall
            figures["alerts_per_server_and_day"] = self.result.alerts_per_day
        return figures


def recompute(
    settings: Settings,
    *,
    full: bool = False,
    accept: bool = False,
    readmit: frozenset[str] = frozenset(),
    tell: Callable[[str], None] = log.info,
) -> Outcome:
    """Bring the profiles up to date, fit, test and publish.

    `accept` lets thresholds move as far as they want and servers with much left out change;
    `readmit` names incidents that are the new normal. Raises `JobError` when it runs already.
    """
    with job(settings, "baselines") as current:
        tune_for_long_jobs(current.spark)
        for table in (names.BASELINES, names.INCIDENTS):
            delta_tables.ensure_table(current.spark, settings, table)
        windows = upkeep.refresh(current.spark, settings, full=full)
        tell(f"{windows} windows of profiles brought up to date")
        outcome = _recompute(current.spark, settings, accept, readmit, tell)
        check = Check(drift.ASSET, GATE, outcome.version is not None, outcome.reason, {})
        current.report(outcome.metadata(), (check, *outcome.checks))
    return outcome


def _recompute(
    spark: SparkSession,
    settings: Settings,
    accept: bool,
    readmit: frozenset[str],
    tell: Callable[[str], None],
) -> Outcome:
    rules = rules_of(settings)
    old = newest(spark, settings.table(names.BASELINES))
    current = Limits(old, rules.time_zone) if old else None
    profiles = _profiles(spark, settings)
    learned = learn(profiles, rules, current=current, accepted=readmit, tell=tell)
    if not learned.rows:
        return Outcome(
            None, "there is no traffic in the lake to learn from yet; static thresholds stay"
        )
    rows, notes = merged(learned.rows, old, accept)
    for note in notes:
        tell(note)
    incident_store.upsert_incidents(spark, settings, _unknown(spark, settings, learned), ())
    version = (old[0]["version"] if old else 0) + 1
    passed, reason, result = _gate(spark, settings, rows, current, rules, version)
    if passed:
        publish(spark, settings, rows, version)
    return Outcome(
        version if passed else None,
        reason,
        len(rows),
        tuple(learned.incidents),
        notes,
        result,
        drift.checks(learned.rows, old),
    )


def _profiles(spark: SparkSession, settings: Settings) -> Profiles:
    """Return the profiles of the lake, read a day at a time: that much is in memory at once."""
    since = datetime.now(UTC) - timedelta(days=settings.history_days)
    traffic, errors = (
        delta_tables.since(delta_tables.read_table(spark, settings, table), since)
        for table in (names.TRAFFIC_PROFILES, names.ERROR_PROFILES)
    )
    return Profiles(partial(by_day, traffic), partial(by_day, errors) if errors.head(1) else None)


def by_day(profiles: DataFrame) -> Iterator[pl.DataFrame]:
    """Yield profiles day by day, in order of time and server."""
    day = delta_tables.PARTITION
    for row in profiles.select(day).distinct().orderBy(day).collect():
        frame = collect_frame(profiles.where(F.col(day) == row[day]))
        yield frame.sort("window_start", "server_address")


def _unknown(spark: SparkSession, settings: Settings, learned: Learned) -> list[Any]:
    """Incidents of the past that no live query has seen, such as those of imported logs."""
    table = delta_tables.read_table(spark, settings, names.INCIDENTS)
    times = [F.unix_seconds(t) for t in ("opened_at", "last_seen_at")]
    rows = table.select("kind", "server_address", "entity", *times).collect()
    known: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for kind, server, entity, opened, seen in rows:
        known.setdefault((kind, server, entity), []).append((opened, seen))
    return [
        i
        for i in learned.incidents
        if i.closed_at is not None
        and not any(
            opened < i.seen_until and seen > i.opened_at
            for opened, seen in known.get((i.kind, i.server, i.entity), ())
        )
    ]


def _gate(
    spark: SparkSession,
    settings: Settings,
    rows: list[dict[str, Any]],
    current: Limits | None,
    rules: Rules,
    version: int,
) -> tuple[bool, str, Result | None]:
    """Return whether these rows may be published, and a sentence."""
    if all(row["state"] == LEARNING for row in rows):
        return True, f"version {version} published: still learning, static thresholds decide", None
    try:
        past = field_of(spark, settings)
    except JobError as error:
        return True, f"version {version} published without a backtest: {error}", None
    limits = Limits([{**row, "version": version} for row in rows], rules.time_zone)
    fresh = run_backtest(past, limits, rules, sweep=False)
    before = run_backtest(past, current or Limits(), rules, sweep=False)
    least = min(LEAST_RECALL, before.recall - RECALL_LOSS) if current else LEAST_RECALL
    figures = (
        f"finds {fresh.recall:.0%} of injected attacks with {fresh.alerts_per_day:.2f} incidents "
        f"per server and day; before: {before.recall:.0%} and {before.alerts_per_day:.2f}"
    )
    if fresh.recall < least:
        return False, f"version {version} not published: it {figures}; the old one stays", fresh
    if fresh.alerts_per_day > max(MOST_ALERTS, before.alerts_per_day):
        return False, f"version {version} not published: too noisy, {figures}", fresh
    return True, f"version {version} published: it {figures}", fresh


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Learn what is normal.")
    parser.add_argument("--full", action="store_true", help="Make all profiles anew first.")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _arguments()
    program.main(lambda settings: log.info("%s", recompute(settings, full=arguments.full).reason))
