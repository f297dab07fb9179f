"""How much traffic there is and when: a day and a week in the life of the shop."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from stack.demo.visitors import (
    LONGEST_VISIT_S,
    MONITOR_CLIENT,
    PERSONAS,
    Ask,
    Persona,
    Visit,
    address,
    monitor,
)

_HOURS: Final = (
    *(0.42, 0.30, 0.23, 0.20, 0.22, 0.33, 0.55, 0.82, 1.08, 1.27, 1.38, 1.42),
    *(1.45, 1.38, 1.33, 1.32, 1.36, 1.42, 1.52, 1.66, 1.72, 1.55, 1.16, 0.74),
)
_DAYS: Final = (1.06, 1.08, 1.07, 1.06, 1.02, 0.84, 0.87)
_MEAN: Final = sum(_HOURS) / 24 * sum(_DAYS) / 7
_DAY_S: Final = 86_400.0
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday; Monday is 0."""


@dataclass(frozen=True)
class Profile:
    """Requests/s over all servers, averaged over a week, and how they are spread.

    `flat` leaves the day/week curve out; `speed_up` runs through the curve that many times
    faster, beginning at the real time of `anchor` (epoch seconds).
    """

    rate: float
    servers: tuple[str, ...]
    flat: bool = False
    speed_up: float = 1.0
    anchor: float = 0.0

    def level(self, at: float) -> float:
        """Share of the mean rate at an epoch second (UTC); its mean over a week is 1."""
        if self.flat:
            return 1.0
        moment = self.anchor + (at - self.anchor) * self.speed_up
        day, second = divmod(moment, _DAY_S)
        hour, rest = divmod(second / 3600.0, 1.0)
        here, there = _HOURS[int(hour)], _HOURS[(int(hour) + 1) % 24]
        return (here + (there - here) * rest) * _DAYS[int(day + _EPOCH_WEEKDAY) % 7] / _MEAN


def _arrivals(
    profile: Profile, persona: Persona, server: str, start: float, seed: int
) -> Iterator[tuple[float, str, Visit]]:
    rng = Random(f"{seed}/{server}/{persona.name}")  # noqa: S311
    mean = persona.share * profile.rate / len(profile.servers) / persona.requests
    at = start
    while True:
        at += rng.expovariate(mean * profile.level(at))
        number = int(persona.clients * rng.random() ** 2)
        client = address(persona.block, number)
        yield at, persona.name, persona.visit(rng, client, at)


def timeline(profile: Profile, server: str, start: float, end: float, seed: int) -> Iterator[Ask]:
    """Yield what the visitors of one server ask for in [start, end), in order of time.

    Visits begun before `start` are already under way, so the rate is right at once.
    The same arguments always give the same requests.
    """
    arrivals = heapq.merge(
        *(_arrivals(profile, p, server, start - LONGEST_VISIT_S, seed) for p in PERSONAS)
    )
    watch = monitor(MONITOR_CLIENT, start)
    first = next(watch)
    queue: list[tuple[float, int, Ask, Visit]] = [(first.at, 0, first, watch)]
    ticket = 0
    arrival, _, visit = next(arrivals)
    while True:
        while arrival <= queue[0][0]:
            ticket += 1
            heapq.heappush(queue, (arrival, ticket, next(visit), visit))
            arrival, _, visit = next(arrivals)
        at, order, ask, current = queue[0]
        if at >= end:
            return
        if at >= start:
            yield ask
        upcoming = next(current, None)
        if upcoming is None:
            heapq.heappop(queue)
        else:
            heapq.heapreplace(queue, (upcoming.at, order, upcoming, current))
