"""`python -m batch.backtest`: the detector over the past, with labelled attacks put into it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from statistics import median
from typing import Any, Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from batch import attacks
from batch.attacks import Attack
from batch.job import JobError, job, main
from batch.versions import newest
from streaming import names, schemas, tables
from streaming.detection.collect import panes_of
from streaming.detection.judge import judge
from streaming.detection.pane import Judgement, Pane
from streaming.incidents import AT_ONCE, CERTAIN, Incident, merge
from streaming.panes import traffic_panes
from streaming.routes import http_route
from streaming.session import tune_for_long_jobs
from streaming.settings import Settings
from streaming.tails import ALARM
from streaming.thresholds import Limits, Rules, rules_of

log = logging.getLogger(__name__)

DAYS: Final = 2
SWEEP: Final = (0.5, 0.7, 1.0, 1.4, 2.0)
WARM_UP: Final = 3600
"""Seconds at the start of the period without an attack."""


@dataclass(frozen=True)
class Score:
    """How one rule did; delays in seconds from the start of an attack to its incident."""

    rule: str
    attacks: int
    found: int
    false_alarms: int
    median_delay_s: float | None
    worst_delay_s: float | None
    alerts_per_day: float

    @property
    def recall(self) -> float:
        """Share of the attacks that were found."""
        return self.found / self.attacks if self.attacks else 1.0

    @property
    def precision(self) -> float:
        """Share of the injected run's own incidents that are attacks."""
        total = self.found + self.false_alarms
        return self.found / total if total else 1.0


@dataclass(frozen=True)
class Result:
    """A backtest: what each rule did, what was missed, and other sensitivities."""

    scores: list[Score]
    missed: list[Attack]
    sweep: list[dict[str, float]]
    days: float
    servers: int

    @property
    def recall(self) -> float:
        """Share of all attacks that were found."""
        total = sum(s.attacks for s in self.scores)
        return sum(s.found for s in self.scores) / total if total else 1.0

    @property
    def alerts_per_day(self) -> float:
        """Incidents per server and day without the attacks."""
        return sum(s.alerts_per_day for s in self.scores) / max(self.servers, 1)


@dataclass(frozen=True)
class Field:
    """The past with and without attacks, both in memory."""

    clean: list[Pane]
    attacked: list[Pane]
    attacks: list[Attack]

    @property
    def days(self) -> float:
        """Length of the past."""
        seconds = self.clean[-1].second - self.clean[0].second if self.clean else 0
        return max(seconds / 86_400, 1 / 24)


def run_backtest(field: Field, limits: Limits, rules: Rules, *, sweep: bool = True) -> Result:
    """Judge the past with these limits, with and without the attacks."""
    scores, missed = _judge(field, limits, rules)
    rows = []
    for sensitivity in SWEEP if sweep else ():
        tried, _ = _judge(field, limits, replace(rules, sensitivity=sensitivity))
        total = sum(s.attacks for s in tried)
        rows.append(
            {
                "sensitivity": sensitivity,
                "recall": sum(s.found for s in tried) / total if total else 1.0,
                "alerts_per_day": sum(s.alerts_per_day for s in tried),
            }
        )
    servers = len({p.server for p in field.clean} - {names.FLEET})
    return Result(scores, missed, rows, field.days, servers)


def field_of(spark: SparkSession, settings: Settings, days: int = DAYS, seed: int = 1) -> Field:
    """Fetch the last `days` of panes and put attacks into the lines behind them.

    Raises `JobError` when there is less than an hour of panes.
    """
    panes = tables.read_table(spark, settings, names.TRAFFIC_PANES)
    end = panes.agg(F.unix_seconds(F.max("window_start"))).collect()[0][0]
    if end is None:
        raise JobError("there are no traffic panes yet; run the streams or `loglake baselines`")
    start = end - days * 86_400
    recent = panes.where(_since(start, "window_start"))
    clean = list(panes_of(recent))
    first = max(start, clean[0].second) + WARM_UP
    if first + WARM_UP > end:
        raise JobError("there are less than two hours of traffic panes; wait for more history")
    servers = sorted({p.server for p in clean} - {names.FLEET})
    planned = attacks.plan(servers, first, end, seed)
    logs = tables.read_table(spark, settings, names.ACCESS_LOGS)
    lines = attacked_lines(spark, logs.where(_since(first, "event_time")), planned, servers, clean)
    touched = {(p.second, p.server): p for p in panes_of(traffic_panes(lines))}
    spans = [(a.start - a.start % 10, a.end) for a in planned]
    rest = [p for p in clean if not any(s <= p.second < e for s, e in spans)]
    merged = sorted([*rest, *touched.values()], key=lambda p: (p.second, p.server))
    return Field(clean, merged, planned)


def attacked_lines(
    spark: SparkSession,
    access_logs: DataFrame,
    planned: Sequence[Attack],
    servers: Sequence[str],
    clean: Iterable[Pane],
) -> DataFrame:
    """Return every line of the attacked windows as it would be under attack."""
    second = F.unix_seconds("event_time")
    spans = [(a.start - a.start % 10, -(-a.end // 10) * 10) for a in planned]
    inside = reduce(Column.__or__, [(second >= s) & (second < e) for s, e in spans], F.lit(False))
    old = access_logs.where(inside)
    dice = F.pmod(F.xxhash64("event_id"), F.lit(1000)) / 1000
    silent = _under(planned, attacks.SILENCE)
    failing = _under(planned, attacks.ERRORS) & (dice < attacks.ERROR_SHARE)
    status = F.when(failing, 502).otherwise(F.col("http_response_status_code"))
    latency = F.col("http_server_request_duration")
    slow = F.when(_under(planned, attacks.SLOWNESS), latency * attacks.SLOWER).otherwise(latency)
    changed = old.where(~silent).withColumns(
        {"http_response_status_code": status, "http_server_request_duration": slow}
    )
    busy = _busy(clean)
    extra = [
        (
            datetime.fromtimestamp(line.time, UTC),
            line.server,
            line.client,
            line.path,
            line.status,
            line.seconds,
        )
        for attack in planned
        for line in attacks.lines(attack, servers, busy.get(attack.server, 0.0))
    ]
    columns = (
        "event_time timestamp, server_address string, client_address string, url_path string, "
        "http_response_status_code int, http_server_request_duration double"
    )
    injected = spark.createDataFrame(extra, columns).withColumn(
        "http_route", http_route(F.col("url_path"))
    )
    return changed.unionByName(injected, allowMissingColumns=True).select(
        *schemas.ACCESS_LOGS.names
    )


def _under(planned: Sequence[Attack], name: str) -> Column:
    second = F.unix_seconds("event_time")
    spans = [
        (F.col("server_address") == a.server) & (second >= a.start) & (second < a.end)
        for a in planned
        if a.name == name
    ]
    return reduce(Column.__or__, spans, F.lit(False))


def _busy(panes: Iterable[Pane]) -> dict[str, float]:
    totals: dict[str, list[int]] = {}
    for pane in panes:
        totals.setdefault(pane.server, []).append(pane.requests)
    return {server: 6 * sum(n) / len(n) for server, n in totals.items()}


def _since(second: int, column: str) -> Column:
    edge = datetime.fromtimestamp(second, UTC)
    return (F.col("event_date") >= F.lit(edge.date())) & (F.col(column) >= F.lit(edge))


def _judge(field: Field, limits: Limits, rules: Rules) -> tuple[list[Score], list[Attack]]:
    end = field.clean[-1].second + names.WINDOW_SECONDS
    before = merge(judge(field.clean, limits, rules), end)
    judgements = list(judge(field.attacked, limits, rules))
    after = merge(judgements, end)
    known = {(i.kind, i.server, i.entity, i.opened_at) for i in before}
    delays: dict[str, list[float]] = {}
    missed: list[Attack] = []
    explained: set[str] = set()
    for attack in field.attacks:
        found = [i for i in after if _answers(i, attack)]
        explained.update(i.incident_id for i in after if _belongs(i, attack))
        if found:
            first = min(confirmed_at(i, judgements) for i in found)
            delays.setdefault(attack.rule, []).append(max(0.0, first - attack.start))
        else:
            missed.append(attack)
    scores = []
    for rule in dict.fromkeys(attacks.RULES.values()):
        false = [
            i
            for i in after
            if i.kind == rule
            and i.incident_id not in explained
            and (i.kind, i.server, i.entity, i.opened_at) not in known
        ]
        own = delays.get(rule, [])
        scores.append(
            Score(
                rule,
                sum(a.rule == rule for a in field.attacks),
                len(own),
                len(false),
                median(own) if own else None,
                max(own) if own else None,
                sum(i.kind == rule for i in before) / field.days,
            )
        )
    return scores, missed


def _overlaps(incident: Incident, attack: Attack) -> bool:
    # A slow rule still names a client half a minute after his last request.
    return incident.opened_at < attack.end + 60 and incident.seen_until > attack.start - 10


def _answers(incident: Incident, attack: Attack) -> bool:
    named = attack.rule not in ("ip_spike", "path_scan") or incident.entity == attack.client
    where = incident.server in (attack.server, names.FLEET)
    return incident.kind == attack.rule and named and where and _overlaps(incident, attack)


def _belongs(incident: Incident, attack: Attack) -> bool:
    """Whether an attack explains an incident, of whatever kind: a flood may also slow a server."""
    where = attack.server == names.FLEET or incident.server in (attack.server, names.FLEET)
    return where and _overlaps(incident, attack)


def confirmed_at(incident: Incident, judgements: Iterable[Judgement]) -> int:
    """Epoch second at which an incident was told: the end of the window that confirmed it."""
    alarms = sorted(
        (j.second, j.score)
        for j in judgements
        if j.score >= ALARM
        and (j.kind, j.server, j.entity) == (incident.kind, incident.server, incident.entity)
        and incident.opened_at <= j.second < incident.seen_until
    )
    sure = [second for second, score in alarms if score >= CERTAIN]
    once = incident.kind in AT_ONCE
    second = alarms[0][0] if once else min([*sure[:1], *[s for s, _ in alarms[1:2]]])
    return second + names.WINDOW_SECONDS


def backtest(
    settings: Settings, days: int = DAYS, tell: Callable[[str], None] = log.info
) -> Result:
    """Run a backtest with the newest baselines and report it to Dagster.

    Raises `JobError` when there is too little history.
    """
    rules = rules_of(settings)
    with job(settings, "backtest") as current:
        tune_for_long_jobs(current.spark)
        field = field_of(current.spark, settings, days)
        tell(f"{len(field.clean)} panes of {field.days:.1f} days, {len(field.attacks)} attacks")
        rows = newest(current.spark, settings.table(names.BASELINES))
        result = run_backtest(field, Limits(rows, rules.time_zone), rules)
        current.report(metadata(result))
    return result


def metadata(result: Result) -> dict[str, Any]:
    """Figures for Dagster, flat."""
    figures: dict[str, Any] = {
        "recall": result.recall,
        "alerts_per_server_and_day": result.alerts_per_day,
        "days": result.days,
    }
    for s in result.scores:
        figures.update({f"{s.rule}/{k}": v for k, v in asdict(s).items() if v is not None})
        figures.update({f"{s.rule}/recall": s.recall, f"{s.rule}/precision": s.precision})
    return figures


if __name__ == "__main__":
    main(lambda settings: backtest(settings))
