"""Access lines of every format, hostile ones and real ones, through `parse_access`."""

import gzip
import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streaming.contracts import frames, names, projections
from streaming.logs.access import NARROW, parse_access
from streaming.logs.records import RAW_BYTES, accepted, rejected
from tests.streaming.logs.access_cases import FORMATS, HOSTILE, NOW, nginx, text

pytestmark = pytest.mark.unit

CASES = FORMATS + HOSTILE
DATA = Path(__file__).parents[4] / "shared" / "data"


def frame(lines: Iterable[bytes | None], server: str | None = "web1") -> pl.DataFrame:
    """Records of one file and partition, 1000 bytes apart."""
    rows = [
        (line, names.TOPIC_ACCESS, 0, i, NOW, server, "access.log", i * 1000)
        for i, line in enumerate(lines)
    ]
    return pl.DataFrame(rows, schema=frames.RECORD, orient="row")


def parsed(lines: Iterable[bytes | None], server: str | None = "web1") -> list[dict[str, Any]]:
    return parse_access(frame(lines, server), history_days=30).rows(named=True)


@pytest.fixture(scope="module")
def records() -> pl.DataFrame:
    return frame(line for _, line, _ in CASES)


@pytest.fixture(scope="module")
def rows(records: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The rows of all cases by name, parsed at once: no line may change what another one says."""
    found = parse_access(records, history_days=30).rows(named=True)
    return dict(zip((name for name, _, _ in CASES), found, strict=True))


def test_every_case_is_one_row_in_its_place(rows: dict[str, dict[str, Any]]) -> None:
    assert [row["kafka_offset"] for row in rows.values()] == list(range(len(CASES)))


@pytest.mark.parametrize(("name", "expected"), [pytest.param(n, e, id=n) for n, _, e in CASES])
def test_line(rows: dict[str, dict[str, Any]], name: str, expected: dict[str, Any] | str) -> None:
    row = {key: _without_zone(value) for key, value in rows[name].items()}
    if isinstance(expected, str):
        assert row["reason"] == expected
    else:
        assert row["reason"] is None
        assert {key: row[key] for key in expected} == expected


def _without_zone(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


@pytest.mark.parametrize("place", [pytest.param(i, id=CASES[i][0]) for i in range(len(CASES))])
def test_a_line_alone_says_the_same(
    rows: dict[str, dict[str, Any]], records: pl.DataFrame, place: int
) -> None:
    alone = parse_access(records[place : place + 1], history_days=30)
    assert alone.row(0, named=True) == rows[CASES[place][0]]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="none"),
        pytest.param([None], id="null"),
        pytest.param([nginx()], id="json"),
        pytest.param([text("GET / HTTP/1.1")], id="text"),
        pytest.param([nginx(), text("GET / HTTP/1.1"), b"{", None, b"\xff"], id="all"),
    ],
)
def test_columns_are_the_contract(lines: list[bytes | None]) -> None:
    full = parse_access(frame(lines), history_days=30)
    assert dict(full.drop(*projections.VERDICT).schema) == frames.ACCESS_LOGS
    assert dict(accepted(full, frames.ACCESS_LOGS).schema) == frames.ACCESS_LOGS
    assert dict(rejected(full).schema) == frames.REJECTED_LINES
    narrow = parse_access(frame(lines), history_days=30, columns=NARROW)
    assert narrow.schema == full.select(*NARROW).schema


def test_a_null_record_is_an_empty_line() -> None:
    (row,) = parsed([None])
    assert (row["reason"], row["raw"], row["line_bytes"]) == ("empty", None, None)


def test_every_line_is_accepted_or_rejected(records: pl.DataFrame) -> None:
    full = parse_access(records, history_days=30)
    kept = set(accepted(full, frames.ACCESS_LOGS)["kafka_offset"])
    dead = rejected(full)
    assert kept.isdisjoint(dead["kafka_offset"])
    assert len(kept) + len(dead) == len(CASES)
    assert set(dead["reason"]) <= set(names.REJECT_REASONS)
    assert max(len(raw.encode()) for raw in dead["raw"]) <= RAW_BYTES + 2


def test_a_rejected_line_keeps_its_start_and_its_length() -> None:
    line = b"no log line \xff" + "é".encode() * 5000
    (row,) = parsed([line])
    assert row["raw"] == line[:RAW_BYTES].decode("utf-8", "replace")
    assert row["line_bytes"] == len(line)
    assert parsed([nginx()])[0]["raw"] is None


def test_narrow_agrees_with_detail(records: pl.DataFrame) -> None:
    full = parse_access(records, history_days=30).select(*NARROW)
    assert parse_access(records, history_days=30, columns=NARROW).equals(full)


def test_no_history_leaves_times_unchecked() -> None:
    records = frame([nginx(msec=0), nginx(msec=4070908800)])
    assert parse_access(records, history_days=None)["reason"].to_list() == [None, None]


def test_server_of_the_record_wins_over_the_line() -> None:
    lines = [nginx(hostname="web9"), nginx(hostname=None, server="web8"), nginx(hostname="")]
    found = parsed([*lines, nginx(hostname="w\x1b9")], server=None)
    assert [row["server_address"] for row in found] == ["web9", "web8", None, "w9"]
    assert [row["reason"] for row in found] == [None, None, "missing_field", None]
    assert parsed([nginx(hostname="forged")])[0]["server_address"] == "web1"


LINE = text("GET / HTTP/1.1")


@pytest.mark.parametrize(
    ("changes", "line", "hashed"),
    [
        pytest.param({}, LINE, b"web1\x1faccess.log\x1f0\x1f" + LINE, id="placed_in_a_file"),
        pytest.param(
            {"byte_offset": None},
            LINE,
            b"web1\x1faccess.log\x1f0/0\x1f" + LINE,
            id="placed_in_the_topic",
        ),
        pytest.param(
            {"server_address": None, "log_file": None}, LINE, b"0\x1f" + LINE, id="nulls_left_out"
        ),
        pytest.param(
            {"server_address": None},
            nginx(request_id="-", hostname="web7"),
            b"web7\x1faccess.log\x1f0\x1f" + nginx(request_id="-", hostname="web7"),
            id="server_of_the_line",
        ),
        pytest.param({}, b"\xff{ ", b"web1\x1faccess.log\x1f0\x1f\xff{ ", id="bytes_as_they_are"),
        pytest.param({}, None, b"web1\x1faccess.log\x1f0", id="null_left_out"),
    ],
)
def test_event_id_is_that_of_every_lake(
    changes: dict[str, Any], line: bytes | None, hashed: bytes
) -> None:
    """The hash must never change: a replay of what a lake holds is recognised by it."""
    types = {key: frames.RECORD[key] for key in changes}
    records = frame([line]).with_columns(
        pl.lit(value, types[key]).alias(key) for key, value in changes.items()
    )
    (event_id,) = parse_access(records, history_days=30)["event_id"]
    assert event_id == hashlib.md5(hashed).hexdigest()


def test_event_id_tells_equal_lines_apart_and_repeats_for_the_same_place() -> None:
    first, second = (row["event_id"] for row in parsed([LINE, LINE]))
    assert first != second
    assert parsed([LINE])[0]["event_id"] == first
    unplaced = frame([LINE, LINE]).with_columns(pl.lit(None, pl.Int64).alias("byte_offset"))
    assert parse_access(unplaced, history_days=30)["event_id"].n_unique() == 2


def test_event_time_is_in_utc() -> None:
    (row,) = parsed([nginx(msec=None, time_local="23/Nov/2026:08:29:50 -0330")])
    assert row["event_time"] == datetime(2026, 11, 23, 11, 59, 50, tzinfo=UTC)
    assert row["event_time"].utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    ("name", "lines", "refused"),
    [
        ("benign_blog_combined.log.gz", 10_000, {}),
        ("shop_access_combined.log.gz", 1_000, {}),
        ("crowdsec/nginx-http-malformed/nginx_http-logs.log", 12, {}),
        ("crowdsec/nginx_http-logs/nginx_http-logs.log", 9, {"unknown_format": 1}),
        ("crowdsec/http-dos-random-uri/http_dos_random_uri.log", 66, {}),
        ("crowdsec/http-dos-bypass-cache/http_dos_bypass_cache.log", 356, {}),
    ],
    ids=lambda value: value.split("/")[-1] if isinstance(value, str) else "",
)
def test_real_logs(name: str, lines: int, refused: dict[str, int]) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    found = parse_access(frame(raw.splitlines()), history_days=None)
    assert len(found) == lines
    assert Counter(found["reason"].drop_nulls()) == refused
    kept = accepted(found, frames.ACCESS_LOGS)
    assert kept["http_request_method"].null_count() == (12 if "malformed" in name else 0)
