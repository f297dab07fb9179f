"""Rules about error logs: `error_log_burst` and `new_error_pattern`. No Spark import."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from streaming.detection.limits import ERROR_EVENTS, ERROR_PATTERN, Limits, Rules
from streaming.detection.model import Evaluation, evaluation, stretched

MINUTE: Final = 60
RECENT: Final = 600

SEVERE: Final = ("crit", "alert", "emerg")


class Pattern(NamedTuple):
    """One masked message of a profile and how often it was logged."""

    pattern_id: str
    severity: str
    category: str
    events: int
    pattern: str
    sample: str


@dataclass(frozen=True, slots=True)
class ErrorProfile:
    """One server's error messages of 10 seconds; `second` is the epoch second of their start."""

    second: int
    server: str
    categories: tuple[tuple[str, int], ...]
    patterns: tuple[Pattern, ...]


def evaluate_errors(
    profiles: Iterable[ErrorProfile], limits: Limits, rules: Rules
) -> Iterator[Evaluation]:
    """Evaluate error profiles in ascending order of time; at most one per server and window."""
    bursts: dict[tuple[str, str], deque[tuple[int, int]]] = {}
    recent: dict[tuple[str, str], deque[tuple[int, int]]] = {}
    for profile in profiles:
        for category, events in profile.categories:
            counts = bursts.setdefault((profile.server, category), deque())
            found = _burst(
                profile, category, _sum(counts, profile.second, events, MINUTE), limits, rules
            )
            if found:
                yield found
        known = limits.keys(profile.server, ERROR_PATTERN)
        for pattern in profile.patterns:
            if not known or pattern.pattern_id in known:
                continue
            counts = recent.setdefault((profile.server, pattern.pattern_id), deque())
            seen = _sum(counts, profile.second, pattern.events, RECENT)
            found = _new_pattern(profile, pattern, seen, limits, rules)
            if found:
                yield found
        _forget(recent, profile.second - RECENT)


def _sum(counts: deque[tuple[int, int]], second: int, events: int, seconds: int) -> int:
    counts.append((second, events))
    while counts[0][0] <= second - seconds:
        counts.popleft()
    return sum(n for _, n in counts)


def _forget(counts: dict[tuple[str, str], deque[tuple[int, int]]], until: int) -> None:
    for key in [k for k, some in counts.items() if some[-1][0] <= until]:
        del counts[key]


def _burst(
    profile: ErrorProfile, category: str, events: int, limits: Limits, rules: Rules
) -> Evaluation | None:
    limit = limits.get(profile.server, ERROR_EVENTS, profile.second, category)
    # A category that a learned server never logged is as learned as the others.
    limit = limit or limits.get(profile.server, ERROR_EVENTS, profile.second)
    floor = limit.upper if limit else rules.burst_events
    expected = limit.expected if limit and limit.learned else 0.0
    return evaluation(
        "error_log_burst",
        profile.server,
        category,
        profile.second,
        MINUTE,
        observed=events,
        expected=expected,
        threshold=stretched(expected, floor, rules),
        limit=limit,
        rules=rules,
        evidence=tuple(
            f"{p.events} × {p.sample}"
            for p in sorted(profile.patterns, key=lambda p: (-p.events, p.pattern_id))
            if p.category == category
        )[:3],
    )


def _new_pattern(
    profile: ErrorProfile, pattern: Pattern, events: int, limits: Limits, rules: Rules
) -> Evaluation | None:
    needed = 1 if pattern.severity in SEVERE else rules.pattern_events
    return evaluation(
        "new_error_pattern",
        profile.server,
        pattern.pattern_id,
        profile.second,
        RECENT,
        observed=events,
        expected=0.0,
        threshold=stretched(0.0, needed, rules),
        limit=limits.get(profile.server, ERROR_PATTERN, profile.second),
        rules=rules,
        evidence=(pattern.pattern, pattern.sample),
    )
