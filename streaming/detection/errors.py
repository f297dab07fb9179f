"""Rules about error logs: `error_log_burst` and `new_error_pattern`. No Spark import."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from streaming import thresholds
from streaming.detection.pane import Judgement, judgement, stretched
from streaming.thresholds import Limits, Rules

MINUTE: Final = 60
RECENT: Final = 600

SEVERE: Final = ("crit", "alert", "emerg")


class Pattern(NamedTuple):
    """One masked message of a pane and how often it was logged."""

    pattern_id: str
    severity: str
    category: str
    events: int
    pattern: str
    sample: str


@dataclass(frozen=True, slots=True)
class ErrorPane:
    """One server's error messages of 10 seconds; `second` is the epoch second of their start."""

    second: int
    server: str
    categories: tuple[tuple[str, int], ...]
    patterns: tuple[Pattern, ...]


def judge_errors(panes: Iterable[ErrorPane], limits: Limits, rules: Rules) -> Iterator[Judgement]:
    """Judge error panes in ascending order of time; at most one per server and window."""
    bursts: dict[tuple[str, str], deque[tuple[int, int]]] = {}
    recent: dict[tuple[str, str], deque[tuple[int, int]]] = {}
    for pane in panes:
        for category, events in pane.categories:
            counts = bursts.setdefault((pane.server, category), deque())
            found = _burst(pane, category, _sum(counts, pane.second, events, MINUTE), limits, rules)
            if found:
                yield found
        known = limits.keys(pane.server, thresholds.ERROR_PATTERN)
        for pattern in pane.patterns:
            if not known or pattern.pattern_id in known:
                continue
            counts = recent.setdefault((pane.server, pattern.pattern_id), deque())
            seen = _sum(counts, pane.second, pattern.events, RECENT)
            found = _new_pattern(pane, pattern, seen, limits, rules)
            if found:
                yield found
        _forget(recent, pane.second - RECENT)


def _sum(counts: deque[tuple[int, int]], second: int, events: int, seconds: int) -> int:
    counts.append((second, events))
    while counts[0][0] <= second - seconds:
        counts.popleft()
    return sum(n for _, n in counts)


def _forget(counts: dict[tuple[str, str], deque[tuple[int, int]]], until: int) -> None:
    for key in [k for k, some in counts.items() if some[-1][0] <= until]:
        del counts[key]


def _burst(
    pane: ErrorPane, category: str, events: int, limits: Limits, rules: Rules
) -> Judgement | None:
    limit = limits.get(pane.server, thresholds.ERROR_EVENTS, pane.second, category)
    # A category that a learned server never logged is as learned as the others.
    limit = limit or limits.get(pane.server, thresholds.ERROR_EVENTS, pane.second)
    floor = limit.upper if limit else rules.burst_events
    expected = limit.expected if limit and limit.learned else 0.0
    return judgement(
        "error_log_burst",
        pane.server,
        category,
        pane.second,
        MINUTE,
        observed=events,
        expected=expected,
        threshold=stretched(expected, floor, rules),
        limit=limit,
        rules=rules,
        evidence=tuple(
            f"{p.events} × {p.sample}"
            for p in sorted(pane.patterns, key=lambda p: (-p.events, p.pattern_id))
            if p.category == category
        )[:3],
    )


def _new_pattern(
    pane: ErrorPane, pattern: Pattern, events: int, limits: Limits, rules: Rules
) -> Judgement | None:
    needed = 1 if pattern.severity in SEVERE else rules.pattern_events
    return judgement(
        "new_error_pattern",
        pane.server,
        pattern.pattern_id,
        pane.second,
        RECENT,
        observed=events,
        expected=0.0,
        threshold=stretched(0.0, needed, rules),
        limit=limits.get(pane.server, thresholds.ERROR_PATTERN, pane.second),
        rules=rules,
        evidence=(pattern.pattern, pattern.sample),
    )
