"""What the detector makes of a past with labelled attacks in it: found, missed, false, how soon."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from batch.evaluation import attacks
from batch.evaluation.attacks import Attack
from streaming.contracts import names
from streaming.detection.engine import evaluate
from streaming.detection.incidents import AT_ONCE, CERTAIN, Incident, merge
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import Evaluation, TrafficProfile
from streaming.detection.scoring import ALARM

SWEEP: Final = (0.5, 0.7, 1.0, 1.4, 2.0)


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

    clean: list[TrafficProfile]
    attacked: list[TrafficProfile]
    attacks: list[Attack]

    @property
    def days(self) -> float:
        """Length of the past."""
        seconds = self.clean[-1].second - self.clean[0].second if self.clean else 0
        return max(seconds / 86_400, 1 / 24)


def run_backtest(field: Field, limits: Limits, rules: Rules, *, sweep: bool = True) -> Result:
    """Evaluate the past with these limits, with and without the attacks."""
    scores, missed = _evaluate(field, limits, rules)
    rows = []
    for sensitivity in SWEEP if sweep else ():
        tried, _ = _evaluate(field, limits, replace(rules, sensitivity=sensitivity))
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


def _evaluate(field: Field, limits: Limits, rules: Rules) -> tuple[list[Score], list[Attack]]:
    end = field.clean[-1].second + names.WINDOW_SECONDS
    before = merge(evaluate(field.clean, limits, rules), end)
    evaluations = list(evaluate(field.attacked, limits, rules))
    after = merge(evaluations, end)
    known = {(i.kind, i.server, i.entity, i.opened_at) for i in before}
    delays: dict[str, list[float]] = {}
    missed: list[Attack] = []
    explained: set[str] = set()
    for attack in field.attacks:
        found = [i for i in after if _answers(i, attack)]
        explained.update(i.incident_id for i in after if _belongs(i, attack))
        if found:
            first = min(confirmed_at(i, evaluations) for i in found)
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


def confirmed_at(incident: Incident, evaluations: Iterable[Evaluation]) -> int:
    """Epoch second at which an incident was told: the end of the window that confirmed it."""
    alarms = sorted(
        (j.second, j.score)
        for j in evaluations
        if j.score >= ALARM
        and (j.kind, j.server, j.entity) == (incident.kind, incident.server, incident.entity)
        and incident.opened_at <= j.second < incident.seen_until
    )
    sure = [second for second, score in alarms if score >= CERTAIN]
    once = incident.kind in AT_ONCE
    second = alarms[0][0] if once else min([*sure[:1], *[s for s, _ in alarms[1:2]]])
    return second + names.WINDOW_SECONDS
