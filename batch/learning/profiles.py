"""Profiles of a past of any length, read in pieces, and what the detector makes of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

import polars as pl

from streaming.contracts import names
from streaming.detection.engine import WARM_UP, evaluate
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import Evaluation
from streaming.detection.rows import error_profiles_of, traffic_profiles_of
from streaming.detection.rules.errors import evaluate_errors

HOUR: Final = 3600
LEAST_ROWS: Final = 8_000
LEAST_SECONDS: Final = 8 * WARM_UP
"""Least size of a piece: the profiles of `WARM_UP` before it are evaluated once more for it."""

Frames = Callable[[], Iterable[pl.DataFrame]]
"""Returns frames in ascending order of time, anew at each call."""


@dataclass(frozen=True)
class Profiles:
    """Frames of `frames.TRAFFIC_PROFILES` and of `frames.ERROR_PROFILES`.

    `errors` is None where there is no error log; error messages are not learned then.
    """

    traffic: Frames = tuple
    errors: Frames | None = None

    def end(self) -> int:
        """Return the epoch second at which the newest profile ends; 0 without any."""
        frames = chain(self.traffic(), self.errors() if self.errors else ())
        return max(map(end_of, frames), default=0)


@dataclass(frozen=True)
class Piece:
    """Traffic profiles to evaluate from the window `start` to the window `until`, epoch seconds.

    `profiles` begin at `warm_up`, early enough for the first evaluation; `seen` has the newest
    window with a request before that, by server.
    """

    profiles: pl.DataFrame
    warm_up: int
    start: int
    until: int
    seen: Mapping[str, int]


Run = Callable[[Callable[[Piece], list[Evaluation]], Iterable[Piece]], Iterable[list[Evaluation]]]
"""Runs a picklable function on tasks and returns the results in their order, as `map` does."""


def end_of(frame: pl.DataFrame) -> int:
    """Return the epoch second at which the newest profile of a frame ends; 0 without any."""
    return 0 if frame.is_empty() else int(_seconds(frame)[-1]) + names.WINDOW_SECONDS


def evaluate_all(
    profiles: Profiles, limits: Limits, rules: Rules, run: Run = map
) -> list[Evaluation]:
    """Evaluate traffic profiles and error profiles.

    `run` may evaluate several pieces at once, each in a process of its own.
    """
    of_piece = partial(evaluate_piece, limits=limits, rules=rules)
    found = list(chain.from_iterable(run(of_piece, pieces_of(profiles.traffic()))))
    if profiles.errors is not None:
        errors = chain.from_iterable(map(error_profiles_of, profiles.errors()))
        found.extend(evaluate_errors(errors, limits, rules))
    return found


def evaluate_piece(piece: Piece, limits: Limits, rules: Rules) -> list[Evaluation]:
    """Evaluate the windows of a piece."""
    profiles = traffic_profiles_of(piece.profiles)
    found = evaluate(profiles, limits, rules, piece.until, piece.warm_up, piece.seen)
    return [evaluation for evaluation in found if evaluation.second >= piece.start]


def pieces_of(frames: Iterable[pl.DataFrame]) -> Iterator[Piece]:
    """Cut traffic profiles into pieces that can be evaluated apart from one another."""
    before: pl.DataFrame | None = None
    seen: dict[str, int] = {}
    chunks = chunks_of(frames)
    chunk = next(chunks, None)
    while chunk is not None:
        following = next(chunks, None)
        start, until = int(_seconds(chunk)[0]), int(_seconds(chunk)[-1])
        warm_up, rows = start, chunk
        if before is not None:
            warm_up, rows = start - WARM_UP, pl.concat([before, chunk])
        if following is not None:
            until = int(_seconds(following)[0]) - names.WINDOW_SECONDS
        yield Piece(rows, warm_up, start, until, dict(seen))
        edge = _from(rows, until + names.WINDOW_SECONDS - WARM_UP)
        newest = pl.max("window_start").dt.epoch("s")
        seen.update(rows[:edge].group_by("server_address").agg(newest).iter_rows())
        before, chunk = rows[edge:], following


def chunks_of(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Cut profiles in ascending order of time anew, so that no hour is in two frames.

    Each frame but the last has at least `LEAST_ROWS` and lasts at least `LEAST_SECONDS`.
    """
    held: list[pl.DataFrame] = []
    for frame in frames:
        if frame.is_empty():
            continue
        held.append(frame)
        while sum(map(len, held)) > LEAST_ROWS:
            rows = pl.concat(held)
            edge = _edge(_seconds(rows))
            if edge == len(rows):
                held = [rows]
                break
            yield rows[:edge]
            held = [rows[edge:]]
    if held:
        yield pl.concat(held)


def _edge(seconds: pl.Series) -> int:
    """Return the number of rows of the next frame, which may go on if that is all of them."""
    least = max(LEAST_ROWS, seconds.search_sorted(seconds[0] + LEAST_SECONDS, side="left"))
    if least >= len(seconds):
        return len(seconds)
    hour = seconds[least - 1] // HOUR
    return seconds.search_sorted((hour + 1) * HOUR, side="left")


def _from(frame: pl.DataFrame, second: int) -> int:
    return _seconds(frame).search_sorted(second, side="left")


def _seconds(frame: pl.DataFrame) -> pl.Series:
    return frame["window_start"].dt.epoch("s")
