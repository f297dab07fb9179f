"""Minutes → baselines: what is normal for a server in each hour of the week."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import exp, log
from statistics import median
from typing import Any, Final

from batch.learning.minutes import Minute
from batch.learning.statistics import (
    Centre,
    centre_of,
    extreme,
    quantile,
    shrunk,
    trimmed_ratio,
    trimmed_spread,
)
from streaming.detection.limits import (
    ANY_HOUR,
    CLIENT_LOAD,
    CLIENT_MISSES,
    CLIENT_MISSES_SLOW,
    CLIENTS,
    ERROR_EVENTS,
    ERROR_PATTERN,
    ERROR_RATIO,
    LATENCY_P95,
    LEARNING,
    PROVISIONAL,
    READY,
    REQUEST_RATE,
    Rules,
    hour_of_week,
)
from streaming.detection.scoring import CHANCE_PER_DAY, lower_threshold, surprise, upper_threshold

PROVISIONAL_DAYS: Final = 3
READY_WEEKS: Final = 3
SLOT_WEEKS: Final = 4
"""Weeks at which an hour of the week counts as much as the same hour of all days."""
DAY_WEIGHT: Final = 1
"""Days at which an hour of the day counts as much as all hours."""

BURST: Final = 1.5
"""How much more a rule sees than the fit: 20 s and any half hour, where the fit has maxima of
profiles of 10 s and of half hours by the clock."""

LATENCY_SIGMAS: Final = 4
LATENCY_SPREAD: Final = 0.15
"""Least standard deviation of ln p95; a histogram bucket is 0.17 wide."""
MIN_LATENCIES: Final = 20

ERROR_PRIOR: Final = 1000
"""Requests at the expected ratio that each estimate of a 5xx ratio starts with."""

_DAY_HALF_HOURS: Final = 48


@dataclass
class History:
    """All that is known of one server, bad minutes left out."""

    server: str
    minutes: list[Minute]
    excluded_share: float
    slow: list[int] = field(default_factory=list)
    routes: list[tuple[str, int, int]] = field(default_factory=list)
    categories: dict[str, list[int]] = field(default_factory=dict)
    patterns: list[str] | None = None


def fit(history: History, rules: Rules) -> list[dict[str, Any]]:
    """Return rows of `tables.BASELINES` without version and computed_at."""
    slots = _Slots(history.minutes, rules.time_zone)
    make = _Rows(history, slots)
    _rates(make, slots, rules)
    _ratios(make, history, rules)
    _latencies(make, slots, rules)
    _clients(make, history, rules)
    _errors(make, history, rules)
    return make.rows


class _Slots:
    def __init__(self, minutes: Sequence[Minute], zone: str) -> None:
        self.weekly: dict[int, list[Minute]] = defaultdict(list)
        self.daily: dict[int, list[Minute]] = defaultdict(list)
        weeks: dict[int, set[int]] = defaultdict(set)
        days: dict[int, set[int]] = defaultdict(set)
        hours: set[int] = set()
        for hour, group in groupby(minutes, key=lambda minute: minute.minute // 60):
            slot, some = hour_of_week(hour, zone), list(group)
            self.weekly[slot].extend(some)
            self.daily[slot % 24].extend(some)
            weeks[slot].add(hour // 168)
            days[slot % 24].add(hour // 24)
            hours.add(hour)
        self.weeks = {slot: len(seen) for slot, seen in weeks.items()}
        self.days = {hour: len(seen) for hour, seen in days.items()}
        self.observed_days = len(hours) / 24
        self.all = list(minutes)

    def state(self, slot: int) -> str:
        if self.observed_days < PROVISIONAL_DAYS:
            return LEARNING
        weeks = self.weeks.get(slot, 0) if slot >= 0 else self.observed_days / 7
        return READY if weeks >= READY_WEEKS else PROVISIONAL


class _Rows:
    def __init__(self, history: History, slots: _Slots) -> None:
        self._history, self._slots = history, slots
        self.rows: list[dict[str, Any]] = []
        self.state = slots.state(ANY_HOUR)

    def add(
        self,
        metric: str,
        slot: int,
        expected: float,
        variance: float,
        lower: float | None,
        upper: float,
        *,
        key: str = "",
        n: int | None = None,
    ) -> None:
        self.rows.append(
            {
                "server_address": self._history.server,
                "metric": metric,
                "key": key,
                "hour_of_week": slot,
                # Limits are written as whole numbers too, which a column of doubles refuses.
                "expected": float(expected),
                "variance": float(variance),
                "lower": None if lower is None else float(lower),
                "upper": float(upper),
                "n": len(self._slots.weekly.get(slot, ())) if n is None else n,
                "state": self._slots.state(slot),
                "excluded_share": self._history.excluded_share,
            }
        )

    def add_all(self, metric: str, *values: Any, key: str = "", n: int | None = None) -> None:
        self.add(metric, ANY_HOUR, *values, key=key, n=n)


def _rates(make: _Rows, slots: _Slots, rules: Rules) -> None:
    nats = surprise(1)
    overall = centre_of([m.requests for m in slots.all])
    hours = {h: centre_of([m.requests for m in ms]) for h, ms in slots.daily.items()}
    for slot in range(168):
        daily = hours.get(slot % 24, Centre(0.0, 0.0, 0))
        days = slots.days.get(slot % 24, 0)
        best = shrunk(daily, overall, days / (days + DAY_WEIGHT))
        own = centre_of([m.requests for m in slots.weekly.get(slot, ())])
        weeks = slots.weeks.get(slot, 0)
        best = shrunk(own, best, weeks / (weeks + SLOT_WEEKS))
        variance = best.spread**2
        tail = upper_threshold(best.centre, variance, nats)
        upper = max(tail, rules.learned_factor * best.centre, best.centre + rules.flood_extra)
        lower = lower_threshold(best.centre, variance, nats)
        make.add(REQUEST_RATE, slot, best.centre, variance, lower, upper)


def _ratios(make: _Rows, history: History, rules: Rules) -> None:
    pairs = [(m.errors, m.requests) for m in history.minutes if m.requests]
    ratio = trimmed_ratio(pairs, rules.error_ratio, ERROR_PRIOR)
    hourly: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for m in history.minutes:
        hourly[m.minute // 60][0] += m.errors
        hourly[m.minute // 60][1] += m.requests
    excess = [
        ((x / n - ratio) ** 2 - ratio * (1 - ratio) / n) for x, n in hourly.values() if n >= 30
    ]
    # The trimmed mean again: one bad hour must not license the next.
    excess = sorted(excess)[: len(excess) - len(excess) // 20]
    variance = max(0.0, sum(excess) / len(excess)) if excess else 0.0
    for key, p in (("", ratio), *_route_ratios(history, ratio)):
        upper = max(rules.error_share_learned, p + 5 * (p / 100) ** 0.5)
        make.add_all(ERROR_RATIO, p, variance, None, upper, key=key, n=len(history.minutes))


def _route_ratios(history: History, ratio: float) -> Iterable[tuple[str, float]]:
    for route, requests, errors in history.routes:
        if requests >= ERROR_PRIOR and route:
            yield route, (errors + ratio * ERROR_PRIOR) / (requests + ERROR_PRIOR)


def _latencies(make: _Rows, slots: _Slots, rules: Rules) -> None:
    everything = [log(m.p95) for m in slots.all if m.p95]
    if len(everything) < MIN_LATENCIES:
        return
    overall = _log_centre(everything)
    hours = [_latency_of(slots, hour, overall, rules) for hour in range(24)]
    for slot in range(168):
        make.add(LATENCY_P95, slot, *hours[slot % 24])


def _latency_of(
    slots: _Slots, hour: int, overall: Centre, rules: Rules
) -> tuple[float, float, float, float]:
    """Return centre, variance, lower and upper limit of an hour of the day."""
    values = [log(m.p95) for m in slots.daily.get(hour, ()) if m.p95]
    days = slots.days.get(hour, 0) if values else 0
    best = shrunk(_log_centre(values), overall, days / (days + DAY_WEIGHT))
    centre = exp(best.centre)
    upper = max(
        exp(best.centre + LATENCY_SIGMAS * best.spread),
        rules.latency_factor * centre,
        centre + rules.latency_extra,
    )
    lower = exp(best.centre - LATENCY_SIGMAS * best.spread)
    return centre, (centre * best.spread) ** 2, lower, upper


def _log_centre(values: Sequence[float]) -> Centre:
    if not values:
        return Centre(0.0, LATENCY_SPREAD, 0)
    middle = median(values)
    return Centre(middle, max(LATENCY_SPREAD, trimmed_spread(values, middle)), len(values))


def _clients(make: _Rows, history: History, rules: Rules) -> None:
    profiles = sum(m.profiles for m in history.minutes)
    clients = sum(m.clients for m in history.minutes)
    if not clients:
        return
    mean_clients = clients / profiles
    make.add_all(CLIENTS, mean_clients, mean_clients, None, mean_clients * 3, n=profiles)
    nats = surprise(1)
    load = 2 * sum(m.load for m in history.minutes) / clients
    loads = [float(x) for m in history.minutes for x in m.loads]
    # A probe every second is as heavy in the next window.
    upper = max(rules.spike_load, BURST * max(extreme(loads, nats), 2 * quantile(loads, 0.5)))
    make.add_all(CLIENT_LOAD, load, load, None, upper, n=len(loads))
    missing = 2 * sum(m.missing for m in history.minutes) / clients
    misses = [float(x) for m in history.minutes for x in m.misses]
    upper = max(rules.scan_fast, BURST * extreme(misses, nats))
    make.add_all(CLIENT_MISSES, missing, missing, None, upper, n=len(misses))
    slow = [float(x) for x in history.slow]
    rare = log(_DAY_HALF_HOURS / CHANCE_PER_DAY)
    upper = max(rules.scan_slow, BURST * extreme(slow, rare))
    make.add_all(CLIENT_MISSES_SLOW, missing, missing, None, upper, n=len(slow))


def _errors(make: _Rows, history: History, rules: Rules) -> None:
    if history.patterns is None:
        return
    nats, total = surprise(1), max(len(history.minutes), 1)
    learning = make.state == LEARNING
    least = rules.burst_events if learning else rules.burst_events_learned
    for key, counts in (("", []), *sorted(history.categories.items())):
        kept = sorted(counts + [0] * max(0, total - len(counts)))
        kept = kept[: max(1, len(kept) - len(kept) // 100)]
        mean = max(sum(kept) / len(kept), 1 / total)
        variance = max(mean, sum((c - mean) ** 2 for c in kept) / len(kept))
        upper = max(least, upper_threshold(mean, variance, nats))
        make.add_all(ERROR_EVENTS, mean, variance, None, upper, key=key, n=total)
    if not learning:
        for pattern in ("", *history.patterns):
            make.add_all(ERROR_PATTERN, 0.0, 0.0, None, 0.0, key=pattern, n=total)
