"""Error-log lines of nginx, genuine and hostile, through `stitch` and `parse_errors`."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.contracts import frames, names, projections
from streaming.logs.error import parse_errors, stitch
from tests.streaming.logs.error_cases import (
    CASES,
    CLOSED,
    HEAD,
    HURTFUL,
    OPEN,
    TAIL,
    Lines,
    records_of,
)

pytestmark = pytest.mark.unit

Row = dict[str, Any]


def parsed(lines: Lines, zones: Mapping[str, str] | None = None) -> list[Row]:
    """The records of one file."""
    frame = stitch(records_of({"f": lines}))
    return parse_errors(frame, time_zones=zones or {"*": "UTC"}, history_days=30).to_dicts()


@pytest.mark.parametrize("name", CASES)
def test_records(name: str) -> None:
    lines, wanted = CASES[name]
    rows = parsed(lines)
    assert [(row["reason"], row["client_address"]) for row in rows] == [
        (record.reason, record.client) for record in wanted
    ]
    for row, record in zip(rows, wanted, strict=True):
        assert (row["raw"] is None) == (record.reason is None)
        assert len((row["raw"] or "").encode()) <= 8192 * 3
        assert record.message is None or row["message"].startswith(record.message)


@pytest.mark.parametrize("name", CASES)
def test_records_are_as_long_as_their_lines(name: str) -> None:
    lines, _ = CASES[name]
    sent = [line.encode() if isinstance(line, str) else line for line in lines]
    assert sum(row["line_bytes"] + 1 for row in parsed(lines)) == sum(len(one) + 1 for one in sent)


def test_all_cases_in_one_batch_give_what_each_gives_alone() -> None:
    batch = stitch(records_of({name: lines for name, (lines, _) in CASES.items()}))
    rows = parse_errors(batch, time_zones={}, history_days=30).to_dicts()
    found = [(row["log_file"], row["reason"], row["client_address"]) for row in rows]
    assert found == [
        (name, record.reason, record.client)
        for name, (_, wanted) in CASES.items()
        for record in wanted
    ]


def test_every_field_of_a_full_line() -> None:
    line = (
        "2026/11/23 11:00:00 [error] 12#34: *7 connect() failed (111: Connection refused) while "
        'connecting to upstream, client: 2001:db8::1, server: shop.example, request: "GET /a?b=1 '
        'HTTP/2.0", upstream: "http://127.0.0.1:1/a?b=1", host: "shop.example", '
        'referrer: "https://shop.example/"'
    )
    (row,) = parsed([line], {"*": "UTC", "web1": "Europe/Berlin"})
    wanted = {
        "reason": None,
        "severity": "error",
        "process_pid": 12,
        "thread_id": 34,
        "connection_id": 7,
        "message": "connect() failed (111: Connection refused) while connecting to upstream",
        "category": "upstream_refused",
        "client_address": "2001:db8::1",
        "server_name": "shop.example",
        "request": "GET /a?b=1 HTTP/2.0",
        "upstream": "http://127.0.0.1:1/a?b=1",
        "host": "shop.example",
        "referrer": "https://shop.example/",
        "event_time": datetime(2026, 11, 23, 10, tzinfo=UTC),
    }
    assert {name: row[name] for name in wanted} == wanted
    assert len(row["pattern_id"]) == 12


def test_a_record_without_a_message_is_of_category_other() -> None:
    (row,) = parsed([HEAD + TAIL])
    assert (row["message"], row["pattern"], row["category"]) == (None, None, "other")


@pytest.mark.parametrize(
    ("local", "zone", "utc"),
    [
        pytest.param("2026/11/23 11:00:00", "Europe/Berlin", "2026-11-23T10:00:00", id="winter"),
        pytest.param("2026/07/01 11:00:00", "Europe/Berlin", "2026-07-01T09:00:00", id="summer"),
        # Clocks go back: the first of two is meant, which is in summer time.
        pytest.param("2026/10/25 02:30:00", "Europe/Berlin", "2026-10-25T00:30:00", id="twice"),
        pytest.param("2026/11/01 01:30:00", "America/New_York", "2026-11-01T05:30:00", id="west"),
        # Clocks go forward: the offset before holds on, as if the clock had not been put forward.
        pytest.param("2026/03/29 02:30:00", "Europe/Berlin", "2026-03-29T01:30:00", id="never"),
        pytest.param(
            "2026/10/04 02:15:00", "Australia/Lord_Howe", "2026-10-03T15:45:00", id="half an hour"
        ),
        pytest.param("2011/12/30 12:00:00", "Pacific/Apia", "2011-12-30T22:00:00", id="a day"),
        pytest.param("2026/02/30 00:00:00", "UTC", None, id="no such day"),
        pytest.param("2026/02/28 23:59:60", "UTC", None, id="a leap second"),
        pytest.param("0000/01/01 00:00:00", "UTC", None, id="the year 0"),
        pytest.param("9999/12/31 23:59:59", "America/New_York", None, id="the year 10000"),
    ],
)
def test_local_times(local: str, zone: str, utc: str | None) -> None:
    frame = records_of({"f": [f"{local} [error] 1#1: x"]})
    (row,) = parse_errors(frame, time_zones={"web1": zone}, history_days=None).to_dicts()
    assert row["event_time"] == (utc and datetime.fromisoformat(utc).replace(tzinfo=UTC))
    assert row["reason"] == (None if utc else "invalid_time")


def test_a_zone_that_does_not_exist_is_named() -> None:
    with pytest.raises(ZoneInfoNotFoundError, match="Europe/Atlantis"):
        parsed([CLOSED], {"*": "Europe/Atlantis"})


def test_a_record_without_a_server_is_refused() -> None:
    frame = records_of({"f": [CLOSED]}).with_columns(server_address=pl.lit(None, pl.String))
    (row,) = parse_errors(stitch(frame), time_zones={}, history_days=30).to_dicts()
    assert row["reason"] == "missing_field"


@pytest.mark.parametrize("lines", [[], [CLOSED], [b"\xff"]], ids=["none", "one", "no UTF-8"])
def test_columns(lines: Lines) -> None:
    rows = parse_errors(stitch(records_of({"f": lines})), time_zones={}, history_days=30)
    schema = dict(rows.schema)
    assert {name: schema[name] for name in frames.ERROR_LOGS} == frames.ERROR_LOGS
    assert list(schema) == [*frames.ERROR_LOGS, *projections.VERDICT]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_arbitrary_bytes_are_one_row_each(lines: list[bytes]) -> None:
    frame = records_of({"f": lines, "g": [HEAD.encode() + line for line in lines]})
    rows = parse_errors(frame, time_zones={}, history_days=30)
    assert rows["byte_offset"].to_list() == frame["byte_offset"].to_list()
    assert set(rows["reason"].to_list()) <= {None, *names.REJECT_REASONS}
    assert set(rows["category"].to_list()) <= set(names.CATEGORIES)
    assert rows["event_id"].n_unique() == len(rows)


@pytest.mark.parametrize("piece", HURTFUL)
def test_a_long_line_takes_time_in_proportion_to_its_length(piece: str) -> None:
    def seconds(size: int, count: int) -> float:
        line = (HEAD + piece * size)[:size].encode()[:size] + b', client: 1, request: "/%0A"'
        started = time.process_time()
        parsed([line] * count)
        return time.process_time() - started

    seconds(1000, 1)
    # As many bytes in lines of a tenth: more than linear would take up to ten times as long.
    longer = seconds(1_000_000, 3)
    assert longer < 0.1 + 2 * seconds(100_000, 30)
    assert longer < 3


def test_a_storm_of_ordinary_lines_is_cheap() -> None:
    lines = [HEAD + OPEN.replace("/srv/a", f"/srv/{n}") + TAIL for n in range(20_000)]
    started = time.process_time()
    assert len(parsed(lines)) == len(lines)
    assert time.process_time() - started < 5
