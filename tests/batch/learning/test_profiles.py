"""A past that is evaluated in pieces comes to the same as at once."""

from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

import polars as pl
import pytest

from batch.learning import profiles as module
from batch.learning.profiles import Piece, Profiles, chunks_of, evaluate_all
from streaming.contracts import frames
from streaming.detection.engine import GONE, evaluate
from streaming.detection.limits import ANY_HOUR, READY, REQUEST_RATE, Limits, Rules
from streaming.detection.model import Evaluation
from streaming.detection.rows import traffic_profiles_of, utc

pytestmark = pytest.mark.unit

START = 1_767_600_000
HOUR = 3600
DOWN = Limits(
    [
        {
            "server_address": "web1",
            "metric": REQUEST_RATE,
            "key": "",
            "hour_of_week": ANY_HOUR,
            "expected": 60.0,
            "variance": 60.0,
            "lower": 20.0,
            "upper": 400.0,
            "state": READY,
            "version": 1,
        }
    ]
)


def row(second: int, server: str, requests: int, load: int) -> dict[str, Any]:
    client = {"client": "203.0.113.9", "load": load, "requests": load, "top_paths": []}
    counts = {"requests": requests, "status_5xx": 0, "clients": 20, "load": load}
    window = {"window_start": utc(second), "server_address": server}
    return {**window, **counts, "top_clients": [client]}


def past(seed: int, windows: int = 3000) -> pl.DataFrame:
    """Two servers with silences, one of them of more than a day, and heavy clients."""
    rng = Random(seed)
    second, some = START, []
    busy = {"web1": True, "web2": True}
    for _ in range(windows):
        for server in busy:
            busy[server] ^= rng.random() < 0.005
            if busy[server]:
                load = rng.choice((1, 1, 1, 50))
                some.append(row(second, server, rng.randrange(10, 20), load))
        second += 10 if rng.random() < 0.998 else rng.choice((600, 7200, GONE, GONE + 20))
    return pl.DataFrame(some, schema=dict(frames.TRAFFIC_PROFILES))


def told(found: Iterable[Evaluation]) -> list[Evaluation]:
    return sorted(found, key=lambda e: (e.second, e.server, e.kind, e.entity))


@pytest.mark.parametrize("rows", [17, 1000, 10**6], ids=["small frames", "frames", "one frame"])
@pytest.mark.parametrize("limits", [Limits(), DOWN], ids=["static", "learned"])
@pytest.mark.parametrize("seed", range(4))
def test_pieces_come_to_the_same_as_the_whole(
    rows: int, limits: Limits, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_ROWS", 100)
    monkeypatch.setattr(module, "LEAST_SECONDS", 1800)
    whole = past(seed)
    pieces = []

    def run(function: Callable[[Piece], Any], tasks: Iterable[Piece]) -> Iterator[Any]:
        pieces.extend(tasks)
        return map(function, pieces)

    found = evaluate_all(Profiles(lambda: whole.iter_slices(rows)), limits, Rules(), run)
    assert len(pieces) > 5
    assert told(found) == told(evaluate(traffic_profiles_of(whole), limits, Rules()))
    assert {e.kind for e in found} >= {"traffic_drop"}


def test_a_piece_can_be_sent_to_another_process() -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    whole = Profiles(lambda: [past(1, 500)])
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert evaluate_all(whole, DOWN, Rules(), pool.map) == evaluate_all(whole, DOWN, Rules())


@pytest.mark.parametrize(
    ("seconds", "rows", "sizes"),
    [
        pytest.param([], 1, [], id="nothing"),
        pytest.param([0, 10, 20], 100, [3], id="less than the least"),
        pytest.param([0, HOUR - 10, HOUR, HOUR + 10, 2 * HOUR], 1, [2, 2, 1], id="an hour each"),
        pytest.param([0, 10, HOUR, 3 * HOUR], 3, [3, 1], id="the least number of rows"),
        pytest.param([0, 9 * HOUR, 9 * HOUR + 10], 1, [1, 2], id="after a pause"),
    ],
)
@pytest.mark.parametrize("frame", [1, 2, 100], ids=["row by row", "two rows", "one frame"])
def test_no_hour_is_in_two_chunks(
    seconds: list[int], rows: int, sizes: list[int], frame: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_ROWS", rows)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0)
    whole = pl.DataFrame(
        [row(START - START % HOUR + second, "web1", 1, 1) for second in seconds],
        schema=dict(frames.TRAFFIC_PROFILES),
    )
    found = list(chunks_of(whole.iter_slices(frame)))
    assert [len(chunk) for chunk in found] == sizes
    assert not found or pl.concat(found).equals(whole)


@pytest.mark.parametrize(
    ("traffic", "errors", "end"),
    [
        pytest.param([], None, 0, id="nothing"),
        pytest.param([0, 60], None, START + 70, id="traffic"),
        pytest.param([0], [200], START + 210, id="errors"),
    ],
)
def test_end_of_a_past(traffic: list[int], errors: list[int] | None, end: int) -> None:
    def starts(seconds: list[int]) -> list[pl.DataFrame]:
        return [pl.DataFrame({"window_start": [utc(START + second)]}) for second in seconds]

    some = Profiles(lambda: starts(traffic), None if errors is None else lambda: starts(errors))
    assert some.end() == end
