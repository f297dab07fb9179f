"""Rules about error logs: `error_log_burst` and `new_error_pattern`."""

from collections.abc import Iterable, Iterator
from typing import Final

from streaming.detection.limits import ERROR_EVENTS, ERROR_PATTERN, Limits, Rules
from streaming.detection.model import ErrorProfile, Evaluation, Pattern, evaluation, stretched
from streaming.detection.rules.sliding import SlidingSum
from streaming.detection.scoring import score

MINUTE: Final = 60
RECENT: Final = 600

SEVERE: Final = ("crit", "alert", "emerg")

_Sums = dict[tuple[str, str], SlidingSum]
"""Sums by server and category or pattern."""


def evaluate_errors(
    profiles: Iterable[ErrorProfile], limits: Limits, rules: Rules
) -> Iterator[Evaluation]:
    """Evaluate error profiles in ascending order of time; at most one per server and window."""
    categories: _Sums = {}
    patterns: _Sums = {}
    swept = 0
    for profile in profiles:
        second = profile.second
        for category, events in profile.categories:
            seen = _added(categories, profile, category, events, MINUTE)
            found = _burst(profile, category, seen, limits, rules)
            if found is not None:
                yield found
        known = limits.keys(profile.server, ERROR_PATTERN)
        for pattern in profile.patterns:
            if known and pattern.pattern_id not in known:
                seen = _added(patterns, profile, pattern.pattern_id, pattern.events, RECENT)
                found = _new_pattern(profile, pattern, seen, limits, rules)
                if found is not None:
                    yield found
        if second - swept >= RECENT:
            swept = second
            for key in [key for key, counts in patterns.items() if not counts.at(second)]:
                del patterns[key]


def _added(sums: _Sums, profile: ErrorProfile, key: str, events: int, seconds: int) -> int:
    counts = sums.get((profile.server, key))
    if counts is None:
        counts = sums[profile.server, key] = SlidingSum(seconds)
    counts.add(profile.second, events)
    return counts.at(profile.second)


def _burst(
    profile: ErrorProfile, category: str, events: int, limits: Limits, rules: Rules
) -> Evaluation | None:
    limit = limits.get(profile.server, ERROR_EVENTS, profile.second, category)
    # A category that a learned server never logged is as learned as the others.
    limit = limit or limits.get(profile.server, ERROR_EVENTS, profile.second)
    expected = limit.expected if limit and limit.learned else 0.0
    threshold = stretched(expected, limit.upper if limit else rules.burst_events, rules)
    value = score(events, expected, threshold)
    if value < rules.keep_from:
        return None
    return evaluation(
        "error_log_burst",
        profile.server,
        category,
        profile.second,
        MINUTE,
        observed=events,
        expected=expected,
        threshold=threshold,
        score=value,
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
    threshold = stretched(0.0, needed, rules)
    return evaluation(
        "new_error_pattern",
        profile.server,
        pattern.pattern_id,
        profile.second,
        RECENT,
        observed=events,
        expected=0.0,
        threshold=threshold,
        score=score(events, 0.0, threshold),
        limit=limits.get(profile.server, ERROR_PATTERN, profile.second),
        rules=rules,
        evidence=(pattern.pattern, pattern.sample),
    )
