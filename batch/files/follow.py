"""Log files as they grow → incidents as soon as they are certain."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import polars as pl

from batch.files import request_store
from batch.files.detect import Found
from batch.files.log_files import Chunk
from batch.files.past import Past
from batch.files.scan import scan
from batch.files.tail import Tail
from batch.files.watch import STEP, Counting, Remembered, Watch
from streaming.contracts import names
from streaming.detection.engine import evaluate
from streaming.detection.incidents import Incident
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import Evaluation
from streaming.detection.rows import error_profiles_of, traffic_profiles_of
from streaming.detection.rules.errors import evaluate_errors
from streaming.detection.state import KEEP
from streaming.windows import error_profile, requests, traffic_profile
from streaming.windows.requests import Requests

POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class News:
    """Incidents that opened, went on or closed, and the ids of those that no longer hold."""

    changed: list[Incident]
    retracted: list[str]


class Follower:
    """Evaluates lines as they come, as `batch.files.detect` would have all of them at once."""

    def __init__(
        self,
        rules: Rules,
        time_zones: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Follow lines; `time_zones` are those of error logs, `clock` tells epoch seconds."""
        self._rules, self._time_zones, self._clock = rules, time_zones, clock
        self._traffic: Watch[Requests]
        self._errors: Watch[pl.DataFrame]

    def begin(self, past: Past, limits: Limits, found: Found) -> None:
        """Go on from the past of the files and what was found in it, with the same limits."""
        self._traffic = Watch(_traffic(limits, self._rules), self._clock)
        self._errors = Watch(_errors(limits, self._rules), self._clock)
        traffic = _newest_of(past.profiles.traffic())
        if not traffic.is_empty():
            self._traffic.remember(_past_traffic(past, traffic, found))
        errors = _newest_of(past.profiles.errors() if past.profiles.errors else ())
        if not errors.is_empty():
            self._errors.remember(_past_errors(past, errors, found))

    def take(self, chunks: Iterable[Chunk]) -> News:
        """Evaluate what new lines changed; without any, what silence did."""
        for chunk in chunks:
            part = scan(chunk, self._time_zones)
            if part.requests is not None:
                self._traffic.add(part.requests)
            if part.messages is not None:
                self._errors.add(part.messages)
        changed: dict[str, Incident] = {}
        retracted: dict[str, None] = {}
        for change in chain(self._traffic.evaluate(), self._errors.evaluate()):
            for incident_id in change.retracted:
                changed.pop(incident_id, None)
                retracted[incident_id] = None
            for incident in change.changed:
                retracted.pop(incident.incident_id, None)
                changed[incident.incident_id] = incident
        return News(list(changed.values()), list(retracted))


def follow(follower: Follower, tails: Sequence[Tail], tell: Callable[[News], None]) -> None:
    """Evaluate lines as they are appended, until a signal ends the program."""
    while True:
        tell(follower.take(chain.from_iterable(tail.read() for tail in tails)))
        time.sleep(POLL_SECONDS)


def _traffic(limits: Limits, rules: Rules) -> Counting[Requests]:
    def evaluated(
        profiles: Iterable[Any], start: int, until: int, seen: Mapping[str, int]
    ) -> Iterator[Evaluation]:
        return evaluate(profiles, limits, rules, until, start, seen)

    return Counting(
        _requests_by_window,
        requests.merged,
        lambda counts: _first_windows(counts.rows),
        lambda counts, fleet: traffic_profiles_of(traffic_profile.profiles_of(counts, fleet=fleet)),
        evaluated,
    )


def _errors(limits: Limits, rules: Rules) -> Counting[pl.DataFrame]:
    return Counting(
        _by_window,
        error_profile.merged,
        _first_windows,
        lambda counts, fleet: error_profiles_of(error_profile.profiles_of(counts, fleet=fleet)),
        lambda profiles, *_: evaluate_errors(profiles, limits, rules),
    )


def _past_traffic(past: Past, newest: pl.DataFrame, found: Found) -> Remembered[Requests]:
    first, last = _ends(newest)
    start, slot = last - KEEP, request_store.SLOT_SECONDS
    counts = past.requests(first - first % slot, last - last % slot + slot)
    return Remembered(
        traffic_profiles_of(newest),
        counts,
        {s: a - a % STEP for s, (a, b) in past.spans.items() if b >= start},
        {s: b - b % STEP for s, (_, b) in past.spans.items() if b < start},
        *_found_of(found, names.TRAFFIC_INCIDENTS),
    )


def _past_errors(past: Past, newest: pl.DataFrame, found: Found) -> Remembered[pl.DataFrame]:
    recent = pl.col("window_start") >= newest["window_start"].min()
    counts = error_profile.merged([part.filter(recent) for part in past.messages])
    return Remembered(
        error_profiles_of(newest),
        counts,
        dict.fromkeys(counts["server_address"].unique(), 0),
        {},
        *_found_of(found, names.ERROR_INCIDENTS),
    )


def _found_of(found: Found, kinds: Sequence[str]) -> tuple[list[Evaluation], list[Incident]]:
    return (
        [evaluation for evaluation in found.evaluations if evaluation.kind in kinds],
        [incident for incident in found.incidents if incident.kind in kinds],
    )


def _newest_of(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the last hour of frames of profiles in ascending order of time."""
    held = pl.DataFrame()
    for frame in frames:
        if not frame.is_empty():
            since = _ends(frame)[1] - KEEP
            both = frame if held.is_empty() else pl.concat([held, frame])
            held = both.filter(pl.col("window_start").dt.epoch("s") >= since)
    return held


def _ends(profiles: pl.DataFrame) -> tuple[int, int]:
    seconds = profiles["window_start"].dt.epoch("s")
    return int(seconds[0]), int(seconds[-1])


def _requests_by_window(of: Requests) -> Iterator[tuple[int, Requests]]:
    latencies = dict(_by_window(of.latencies))
    for second, rows in _by_window(of.rows):
        yield second, Requests(rows, latencies.get(second, of.latencies.clear()))


def _by_window(frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    if frame.is_empty():
        return
    for part in frame.partition_by("window_start"):
        yield round(part["window_start"][0].timestamp()), part


def _first_windows(frame: pl.DataFrame) -> dict[str, int]:
    first = pl.col("window_start").dt.epoch("s").min()
    return dict(frame.group_by("server_address").agg(first).iter_rows())
