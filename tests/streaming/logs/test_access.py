"""Access lines of every format, hostile ones, real ones and arbitrary bytes."""

import gzip
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from streaming.contracts import names
from streaming.logs.access import NARROW, parse_access
from streaming.logs.records import RAW_BYTES, VERDICT, accepted, rejected
from streaming.spark import schemas
from tests.streaming.logs.access_cases import FORMATS, HOSTILE, NOW, nginx, text

pytestmark = pytest.mark.unit

CASES = FORMATS + HOSTILE
DATA = Path(__file__).parents[3] / "shared" / "data"


def frame(spark: SparkSession, lines: Iterable[bytes], server: str | None = "web1") -> DataFrame:
    rows = [
        (bytearray(line), names.TOPIC_ACCESS, 0, i, NOW, server, "access.log", i * 1000)
        for i, line in enumerate(lines)
    ]
    return spark.createDataFrame(rows, schemas.RECORD)


@pytest.fixture(scope="module")
def parsed(spark: SparkSession) -> dict[str, Row]:
    rows = parse_access(frame(spark, [line for _, line, _ in CASES]), history_days=30).collect()
    return {CASES[row.kafka_offset][0]: row for row in rows}


def test_ids_are_unique_and_every_case_is_one_row(parsed: dict[str, Row]) -> None:
    assert len({name for name, _, _ in CASES}) == len(CASES) == len(parsed)


@pytest.mark.parametrize(("name", "expected"), [pytest.param(n, e, id=n) for n, _, e in CASES])
def test_line(parsed: dict[str, Row], name: str, expected: dict[str, Any] | str) -> None:
    row = parsed[name].asDict()
    if isinstance(expected, str):
        assert row["reason"] == expected
    else:
        assert row["reason"] is None
        assert {key: row[key] for key in expected} == expected


def test_columns_are_the_contract(spark: SparkSession) -> None:
    parsed = parse_access(frame(spark, [nginx(), b"{"]), history_days=30)
    assert parsed.drop(*VERDICT).schema == schemas.ACCESS_LOGS
    assert accepted(parsed).schema == schemas.ACCESS_LOGS
    assert rejected(parsed).schema == schemas.REJECTED_LINES


def test_every_line_is_accepted_or_rejected(spark: SparkSession) -> None:
    records = frame(spark, [line for _, line, _ in CASES])
    parsed = parse_access(records, history_days=30)
    kept = {row.kafka_offset for row in accepted(parsed).select("kafka_offset").collect()}
    dead = rejected(parsed).collect()
    assert kept.isdisjoint(row.kafka_offset for row in dead)
    assert len(kept) + len(dead) == len(CASES)
    assert {row.reason for row in dead} <= set(names.REJECT_REASONS)
    assert max(len(row.raw.encode()) for row in dead) <= RAW_BYTES + 2


def test_narrow_agrees_with_detail(spark: SparkSession) -> None:
    records = frame(spark, [line for _, line, _ in CASES])
    full = parse_access(records, history_days=30).select(*NARROW, "reason")
    narrow = parse_access(records, history_days=30, detail=False)
    assert narrow.collect() == full.collect()


def test_no_history_leaves_times_unchecked(spark: SparkSession) -> None:
    lines = [nginx(msec=0), nginx(msec=4070908800)]
    rows = parse_access(frame(spark, lines), history_days=None).collect()
    assert [row.reason for row in rows] == [None, None]


def test_server_of_the_record_wins_over_the_line(spark: SparkSession) -> None:
    lines = [nginx(hostname="web9"), nginx(hostname=None, server="web8"), nginx(hostname="")]
    rows = parse_access(frame(spark, lines, server=None), history_days=30).collect()
    assert [row.server_address for row in rows] == ["web9", "web8", None]
    assert [row.reason for row in rows] == [None, None, "missing_field"]
    (row,) = parse_access(frame(spark, [nginx(hostname="forged")]), history_days=30).collect()
    assert row.server_address == "web1"


def test_event_id_tells_equal_lines_apart_and_repeats_for_the_same_place(
    spark: SparkSession,
) -> None:
    line = text("GET / HTTP/1.1")
    first, second = parse_access(frame(spark, [line, line]), history_days=30).collect()
    (again,) = parse_access(frame(spark, [line]), history_days=30).collect()
    assert first.event_id != second.event_id
    assert first.event_id == again.event_id
    unplaced = frame(spark, [line, line]).withColumn("byte_offset", F.lit(None).cast("bigint"))
    ids = {row.event_id for row in parse_access(unplaced, history_days=30).collect()}
    assert len(ids) == 2


def test_spark_generates_no_method_that_the_jvm_would_interpret(spark: SparkSession) -> None:
    # C1 compiled one of 8.7 kB and refused one of 13.2 kB, which ran interpreted for 100,000 lines.
    debug = spark._jvm.org.apache.spark.sql.execution.debug.package
    for detail in (False, True):
        parsed = parse_access(frame(spark, [nginx()]), history_days=30, detail=detail)
        plan = parsed._jdf.queryExecution().executedPlan()
        sizes = re.findall(r"maxMethodCodeSize:(\d+)", debug.codegenString(plan))
        assert 0 < max(map(int, sizes)) < 10_000


def test_narrow_reads_only_what_it_needs(spark: SparkSession) -> None:
    narrow = parse_access(frame(spark, [nginx()]), history_days=30, detail=False)
    plan = narrow._jdf.queryExecution().optimizedPlan().toString()
    assert "http_user_agent" not in plan
    assert "request_uri" not in plan
    assert plan.count("from_json") == 1


@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.data())
def test_any_bytes_are_one_row_and_no_exception(spark: SparkSession, lines: st.DataObject) -> None:
    whole, part = st.binary(max_size=300), st.sampled_from([nginx(), text("GET /a HTTP/1.1")])
    torn = st.builds(
        lambda line, at, junk: line[: at % len(line)] + junk + line[at % len(line) :],
        part,
        st.integers(0, 1000),
        st.binary(max_size=20),
    )
    drawn = lines.draw(st.lists(whole | torn, min_size=200, max_size=200))
    rows = parse_access(frame(spark, drawn), history_days=30).collect()
    assert sorted(row.kafka_offset for row in rows) == list(range(len(drawn)))
    assert {row.reason for row in rows} <= {None, *names.REJECT_REASONS}
    texts = [f.name for f in schemas.ACCESS_LOGS if f.dataType == T.StringType()]
    for row in rows:
        if row.reason is None:
            shown = "".join(row[name] or "" for name in texts)
            assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)


@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.data())
def test_no_byte_of_a_client_rejects_his_request(spark: SparkSession, lines: st.DataObject) -> None:
    """Whatever arrives as URI, agent, referrer or host, escaped as nginx escapes it."""
    client = st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b""))
    sent = lines.draw(
        st.lists(st.tuples(client, client, client, client), min_size=100, max_size=100)
    )
    logged = [as_json(*four) for four in sent] + [as_text(*four) for four in sent]
    rows = parse_access(frame(spark, logged), history_days=30).collect()
    wrong = [(logged[row.kafka_offset], row.reason) for row in rows if row.reason is not None]
    assert not wrong
    assert {row.http_response_status_code for row in rows} == {404}
    assert {row.client_address for row in rows} == {"203.0.113.9"}


def as_json(uri: bytes, agent: bytes, referrer: bytes, host: bytes) -> bytes:
    line = nginx(status=404, request_uri="U", http_user_agent="A", http_referer="R", http_host="H")
    for mark, value in ((b'"U"', uri), (b'"A"', agent), (b'"R"', referrer), (b'"H"', host)):
        line = line.replace(mark, b'"' + b"".join(map(_json_byte, value)) + b'"', 1)
    return line


def as_text(uri: bytes, agent: bytes, referrer: bytes, user: bytes) -> bytes:
    u, a, r, n = (b"".join(map(_default_byte, part)) for part in (uri, agent, referrer, user))
    head = b"203.0.113.9 - " + n + b" [23/Nov/2026:11:59:50 +0000]"
    return head + b' "GET /' + u + b' HTTP/1.1" 404 5 "' + r + b'" "' + a + b'"'


def _json_byte(byte: int) -> bytes:
    """ngx_escape_json: quote, backslash and control characters; bytes above 0x7e pass raw."""
    if byte in b'"\\':
        return b"\\" + bytes([byte])
    return b"\\u%04x" % byte if byte < 0x20 else bytes([byte])


def _default_byte(byte: int) -> bytes:
    r"""ngx_http_log_escape: quote, backslash and what is not printable ASCII as \xNN."""
    plain = 0x20 <= byte < 0x7F and byte not in b'"\\'
    return bytes([byte]) if plain else b"\\x%02X" % byte


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
def test_real_logs(spark: SparkSession, name: str, lines: int, refused: dict[str, int]) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    rows = parse_access(frame(spark, raw.splitlines()), history_days=None).collect()
    assert len(rows) == lines
    assert Counter(row.reason for row in rows if row.reason) == refused
    assert sum(row.http_request_method is None for row in rows if not row.reason) == (
        12 if "malformed" in name else 0
    )
