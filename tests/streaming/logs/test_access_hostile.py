"""Access lines that a client has under his control: any bytes, and lines that take long."""

import time
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.contracts import frames, names
from streaming.logs.access import NARROW, parse_access
from tests.streaming.logs.access_cases import nginx, text
from tests.streaming.logs.test_access import frame, parsed

pytestmark = pytest.mark.unit

TEXTS = [name for name, kind in frames.ACCESS_LOGS.items() if kind == pl.String()]

whole = st.binary(max_size=300)
torn = st.builds(
    lambda line, at, junk: line[: at % len(line)] + junk + line[at % len(line) :],
    st.sampled_from([nginx(), text("GET /a HTTP/1.1")]),
    st.integers(0, 1000),
    st.binary(max_size=20)
    | st.sampled_from([b'"', b"\\", b'\\"', b"\\x22", b"{", b"0", b'" 200 5']),
)


@settings(max_examples=50, deadline=None)
@given(lines=st.lists(whole | torn, min_size=100, max_size=100))
def test_any_bytes_are_one_row_and_no_exception(lines: list[bytes]) -> None:
    found = parse_access(frame(lines), history_days=30)
    assert found["kafka_offset"].to_list() == list(range(len(lines)))
    assert set(found["reason"]) <= {None, *names.REJECT_REASONS}
    narrow = parse_access(frame(lines), history_days=30, columns=NARROW)
    assert narrow.equals(found.select(*NARROW))
    kept = found.filter(pl.col("reason").is_null())
    for name in TEXTS:
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in "".join(kept[name].drop_nulls()))


client = st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b""))


@settings(max_examples=50, deadline=None)
@given(sent=st.lists(st.tuples(client, client, client, client), min_size=100, max_size=100))
def test_no_byte_of_a_client_rejects_his_request(sent: list[tuple[bytes, ...]]) -> None:
    """Whatever arrives as URI, agent, referrer or host, escaped as nginx escapes it."""
    logged = [write(*four) for write in (as_json, as_default_json, as_text) for four in sent]
    found = parsed(logged)
    wrong = [
        (line, row["reason"]) for line, row in zip(logged, found, strict=True) if row["reason"]
    ]
    assert not wrong
    assert {row["http_response_status_code"] for row in found} == {404}
    assert {row["client_address"] for row in found} == {"203.0.113.9"}


def as_json(*four: bytes) -> bytes:
    return _json(four, _json_byte)


def as_default_json(*four: bytes) -> bytes:
    """A JSON format without `escape=json`."""
    return _json(four, _default_byte)


def _json(four: tuple[bytes, ...], escaped: Callable[[int], bytes]) -> bytes:
    line = nginx(status=404, request_uri="U", http_user_agent="A", http_referer="R", http_host="H")
    for mark, value in zip((b'"U"', b'"A"', b'"R"', b'"H"'), four, strict=True):
        line = line.replace(mark, b'"' + b"".join(map(escaped, value)) + b'"', 1)
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


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "bare": lambda junk: junk,
    "in_braces": lambda junk: b"{" + junk,
    "unread_key": lambda junk: b'{"a":' + junk,
    "agent": lambda junk: nginx(http_user_agent="@").replace(b"@", junk),
    "uri": lambda junk: nginx(request_uri="/@").replace(b"@", junk),
    "upstream": lambda junk: nginx(upstream_response_time="@").replace(b"@", junk),
    "status": lambda junk: nginx(status="@").replace(b'"@"', junk),
    "request": lambda junk: text("GET /@ HTTP/1.1").replace(b"@", junk),
    "user": lambda junk: text("GET / HTTP/1.1", head="203.0.113.9 - @").replace(b"@", junk),
}
JUNK = {
    "quotes": b'"',
    "backslashes": b"\\",
    "escaped_quotes": b'\\"',
    "escapes_of_default": b"\\x22",
    "lone_surrogates": b"\\ud800",
    "brackets": b"[",
    "objects": b'{"a":',
    "ends_of_request": b'" 200 5',
    "slashes": b"/",
    "segments": b"/a1%0A",
    "line_feeds": b"\n",
    "digits": b"1",
    "zeros": b'a":00,',
    "tries": b"0.1, ",
    "invalid_bytes": b"\xff",
    "invisible": "\u202e".encode(),
}
SHORT, LONG = 100_000, names.MAX_LINE_BYTES - 1000


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("junk", JUNK)
def test_the_time_of_a_line_grows_with_its_length_only(place: str, junk: str) -> None:
    short, long = (
        cpu_seconds([PLACES[place](JUNK[junk] * (size // len(JUNK[junk])))])
        for size in (SHORT, LONG)
    )
    # A long line is ten times a short one; squared, it would be a hundred times.
    assert long < 20 * short + 0.1
    assert long < 2


def cpu_seconds(lines: list[bytes], runs: int = 1) -> float:
    """The least of some runs: others share the machine."""
    records = frame(lines)
    times = []
    for _ in range(runs):
        began = time.process_time()
        parse_access(records, history_days=30)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(nginx().replace(b"curl", b"\\x22"), id="escape_of_default"),
        pytest.param(nginx().replace(b":200", b":000"), id="zeros"),
        pytest.param(nginx().replace(b"curl", b"\xff"), id="bad_utf8"),
        pytest.param(nginx().replace(b"curl", "é\u202e".encode()), id="invisible"),
        pytest.param(nginx(upstream_response_time=0.1), id="another_type"),
        pytest.param(nginx()[:-9], id="torn"),
        pytest.param(text('GET /"a HTTP/1.1'), id="raw_quote"),
        pytest.param(text(r"GET /\"\\ HTTP/1.1"), id="escaped_quotes"),
    ],
)
def test_bad_lines_cost_at_most_ten_times_good_ones(bad: bytes) -> None:
    good = nginx() if bad.startswith(b"{") else text("GET /a HTTP/1.1")
    assert cpu_seconds([bad] * 2000, runs=3) < 10 * cpu_seconds([good] * 2000, runs=3)


def test_one_bad_line_does_not_slow_the_batch() -> None:
    good = [nginx()] * 3000
    assert cpu_seconds([nginx()[:-9], *good], runs=3) < 2 * cpu_seconds(good, runs=3)
