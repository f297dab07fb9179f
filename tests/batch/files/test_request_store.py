"""Requests on disk: read back by time they are the same as if they had stayed in memory."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from batch.files import request_store
from batch.files.request_store import SLOT_SECONDS, Span, Stored
from streaming.contracts import frames, projections
from streaming.windows.requests import Requests, merged, requests_of

pytestmark = pytest.mark.unit

START = 1_767_600_000


def requests(*seconds: int, server: str = "web1", timed: bool = True) -> Requests:
    """One request of one client at each epoch second."""
    rows = [
        {
            "event_time": datetime.fromtimestamp(second, UTC),
            "server_address": server,
            "client_address": "192.0.2.1",
            "url_path": f"/{second % 3}",
            "http_route": "/",
            "http_response_status_code": 200,
            "http_response_body_size": 10,
            "http_server_request_duration": 0.1 if timed else None,
            "http_request_referrer": None,
            "user_agent_original": "x",
        }
        for second in seconds
    ]
    schema = {name: frames.ACCESS_LOGS[name] for name in projections.PROFILED}
    return requests_of(pl.DataFrame(rows, schema))


def stored(home: Path, *parts: Requests) -> list[Stored]:
    return [request_store.write(part, home / str(n)) for n, part in enumerate(parts)]


def same(found: Requests, expected: Requests) -> None:
    for a, b in ((found.rows, expected.rows), (found.latencies, expected.latencies)):
        assert_frame_equal(a, b, check_row_order=False, check_dtypes=False)


def between(all_: Requests, start: int, stop: int) -> Requests:
    second = pl.col("window_start").dt.epoch("s")
    inside = (second >= start) & (second < stop)
    return Requests(all_.rows.filter(inside), all_.latencies.filter(inside))


SECONDS = {
    "an hour": range(START, START + 3600, 7),
    "one window": [START + 1, START + 2],
    "the last and the first of two windows": [START + 9, START + 10],
    "the borders of a slot": [START - 1, START, START + SLOT_SECONDS - 1, START + SLOT_SECONDS],
    "far apart": [0, START, 253_370_764_800],
}


@pytest.mark.parametrize("rows", [1, 5, 100, 75_000])
@pytest.mark.parametrize("seconds", SECONDS.values(), ids=SECONDS)
def test_spans_hold_every_window_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: list[int], rows: int
) -> None:
    monkeypatch.setattr(request_store, "ROWS_AT_ONCE", rows)
    dice = Random(5)
    mixed = dice.sample(list(seconds), len(seconds))
    halves = [half for half in (mixed[::2], mixed[1::2]) if half]
    parts = [requests(*half) for half in halves]
    everything = merged(parts)
    on_disk = stored(tmp_path, *parts)
    spans = list(request_store.spans(on_disk))
    assert all(a.stop <= b.start for a, b in pairwise(spans))
    for span in spans:
        assert span.start % SLOT_SECONDS == span.stop % SLOT_SECONDS == 0
        read = request_store.read(span.paths, span.start, span.stop)
        same(read, between(everything, span.start, span.stop))
        holding = request_store.holding(on_disk, span.start, span.stop)
        assert set(span.paths) <= set(holding)
    rows_read = sum(len(between(everything, s.start, s.stop).rows) for s in spans)
    assert rows_read == len(everything.rows)


def test_a_span_ends_before_it_has_too_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_store, "ROWS_AT_ONCE", 12)
    first = requests(*range(START, START + 120, 10))
    second = requests(*range(START + 120, START + 180, 10))
    a, b = stored(tmp_path, first, second)
    assert list(request_store.spans([a, b])) == [
        Span(START, START + 120, (a.path,)),
        Span(START + 120, START + 180, (b.path,)),
    ]


def test_only_parts_with_lines_of_a_span_are_read(tmp_path: Path) -> None:
    early, late = stored(tmp_path, requests(START), requests(START + 10 * SLOT_SECONDS))
    for start, expected in (
        (START, [early]),
        (START + SLOT_SECONDS, []),
        (START + 10 * SLOT_SECONDS, [late]),
    ):
        found = request_store.holding([early, late], start, start + SLOT_SECONDS)
        assert found == [part.path for part in expected]


def test_requests_without_a_time_are_kept(tmp_path: Path) -> None:
    untimed = requests(START, timed=False)
    (part,) = stored(tmp_path, untimed)
    same(request_store.read([part.path], START, START + SLOT_SECONDS), untimed)


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no temporary file can be written .* TMPDIR"):
        request_store.write(requests(START), tmp_path / "nowhere" / "0")
