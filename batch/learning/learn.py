"""Profiles → baselines without the attacks in them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from batch.learning import minutes as source
from batch.learning.fit import History, fit
from batch.learning.minutes import Minute
from batch.learning.profiles import Profiles, Run, chunks_of, end_of, evaluate_all
from streaming.contracts import names
from streaming.detection.engine import GONE
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import Limits, Rules

ROUNDS: Final = 2
"""What static thresholds find is left out of a first fit, what that fit finds out of the second."""

PADDING: Final = 1
"""Minutes left out on either side of an incident."""

READMITTED: Final = 3 * 86_400
"""After this many seconds an incident is the new normal, and what follows is learned from."""

MAX_ROUTES: Final = 50
MAX_PATTERNS: Final = 2000


@dataclass(frozen=True)
class Learned:
    """Baselines without version and computed_at, and the incidents left out of them."""

    rows: list[dict[str, Any]]
    incidents: list[Incident]

    def limits(self, rules: Rules) -> Limits:
        """Return the rows as the detector takes them, as version 0."""
        return Limits(({**row, "version": 0} for row in self.rows), rules.time_zone)


def learn(
    profiles: Profiles,
    rules: Rules,
    *,
    current: Limits | None = None,
    accepted: frozenset[str] = frozenset(),
    tell: Callable[[str], None] = lambda _: None,
    run: Run = map,
) -> Learned:
    """Fit baselines on profiles, leaving out what the detector finds in them.

    `current` limits, where there are any, evaluate first. Incidents in `accepted` (their ids) and
    what lies three days after the start of an incident are learned from all the same. `tell` hears
    of progress; `run` is that of `evaluate_all`.
    """
    facts = _Facts(profiles)
    limits = current or Limits(time_zone=rules.time_zone)
    learned = Learned([], [])
    for number in range(1, ROUNDS + 1):
        found = merge(evaluate_all(profiles, limits, rules, run), facts.end)
        counted = [i for i in found if i.incident_id not in accepted]
        rows = [row for history in facts.histories(counted) for row in fit(history, rules)]
        learned = Learned(rows, found)
        limits = learned.limits(rules)
        tell(f"fit {number} of {ROUNDS}: {len(found)} incidents left out")
    return learned


def excluded(incidents: Iterable[Incident], server: str) -> set[int]:
    """Return the minutes that are left out of a server's baselines.

    The fleet is evaluated with every server's traffic, so every server's incidents count there.
    """
    found: set[int] = set()
    for incident in incidents:
        if names.FLEET in (server, incident.server) or incident.server == server:
            start = incident.opened_at - incident.peak.horizon_s
            end = min(incident.seen_until, incident.opened_at + READMITTED)
            found.update(range(start // 60 - PADDING, end // 60 + PADDING + 1))
    return found


class _Facts:
    """What the profiles hold, read once for all rounds."""

    def __init__(self, profiles: Profiles) -> None:
        self.minutes: dict[str, list[Minute]] = defaultdict(list)
        self.slow: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.routes: dict[str, list[tuple[str, list[tuple[int, int, int]]]]] = defaultdict(list)
        self.errors: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        self.patterns: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
        self.has_errors = profiles.errors is not None
        self.end = 0
        self._read_traffic(profiles.traffic())
        self._read_errors(() if profiles.errors is None else profiles.errors())
        self.filled = {server: self._filled(server) for server in self.servers()}

    def _chunks(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for chunk in chunks_of(frames):
            self.end = max(self.end, end_of(chunk))
            yield chunk

    def _read_traffic(self, frames: Iterable[pl.DataFrame]) -> None:
        hours = []
        for frame in self._chunks(frames):
            for minute in source.minutes(frame):
                self.minutes[minute.server].append(minute)
            for server, half_hour, paths in source.slow_misses(frame):
                self.slow[server].append((half_hour, paths))
            hours.append(source.route_hours(frame))
        for server, route, of_hours in source.routes(hours, MAX_ROUTES):
            self.routes[server].append((route, of_hours))

    def _read_errors(self, frames: Iterable[pl.DataFrame]) -> None:
        logged = []
        for frame in self._chunks(frames):
            for server, minute, category, events in source.error_minutes(frame):
                self.errors[server].append((minute, category, events))
            logged.append(source.pattern_minutes(frame))
        for server, pattern, seen in source.patterns(logged, MAX_PATTERNS):
            self.patterns[server].append((pattern, seen))

    def servers(self) -> list[str]:
        """Return the servers with requests or errors, by name."""
        return sorted(self.minutes.keys() | self.errors.keys())

    def histories(self, incidents: list[Incident]) -> Iterator[History]:
        """Yield each server's history without its incidents."""
        for server in self.servers():
            out = excluded(incidents, server)
            filled = self.filled[server]
            kept = [m for m in filled if m.minute not in out]
            if not kept:
                continue
            categories: dict[str, list[int]] = defaultdict(list)
            for minute, category, events in self.errors[server]:
                if minute not in out:
                    categories[category].append(events)
            half_hours = {minute // 30 for minute in out}
            seen = [p for p, at in self.patterns[server] if any(m not in out for m in at)]
            yield History(
                server,
                kept,
                round(1 - len(kept) / len(filled), 4),
                [paths for at, paths in self.slow[server] if at not in half_hours],
                list(self._routes(server, {minute // 60 for minute in out})),
                categories,
                seen if self.has_errors else None,
            )

    def _routes(self, server: str, out: set[int]) -> Iterator[tuple[str, int, int]]:
        """Yield (route, requests, 5xx) without some hours."""
        for route, hours in self.routes[server]:
            kept = [(requests, errors) for hour, requests, errors in hours if hour not in out]
            yield route, sum(n for n, _ in kept), sum(x for _, x in kept)

    def _filled(self, server: str) -> list[Minute]:
        """Every minute from the first to the last; those without a request count as zero.

        A pause of more than a day is no part of the history.
        """
        known = {m.minute: m for m in self.minutes[server]}
        numbers = sorted(known.keys() | {minute for minute, _, _ in self.errors[server]})
        filled: list[int] = numbers[:1]
        for number in numbers[1:]:
            near = number - filled[-1] <= GONE // 60
            filled.extend(range(filled[-1] + 1, number + 1) if near else (number,))
        return [known.get(n) or Minute(server, n, 0, 0, 0, 0, 0, 0, None, (), ()) for n in filled]
