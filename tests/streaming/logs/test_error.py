"""Error-log lines of nginx, genuine and hostile, through `stitch` and `parse_errors`."""

import random
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from streaming.contracts import names
from streaming.logs.error import parse_errors, stitch
from streaming.spark import schemas

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 10, 5, tzinfo=UTC)
START = "2026/11/23 10:00:00 [error] 12#12: "
HEAD = START + "*7 "
TAIL = ', client: 10.0.0.9, server: web1, request: "GET / HTTP/1.1", host: "shop"'
OPEN = 'open() "/srv/a" failed (2: No such file or directory)'
FORGED = "2026/11/23 09:59:59 [emerg] 1#1: gone"
FORGED_URL = "2026/11/23%2009:59:59%20%5Bemerg%5D%201%231:%20gone"
FORGED_TAIL = ', client: 6.6.6.6, server: y, request: "GET / HTTP/1.1", host: "h'
CUT = HEAD + 'open() "/srv/' + "a" * (2047 - len(HEAD) - 13)
CLOSED = HEAD + "client 10.0.0.9 closed keepalive connection"

Lines = list[bytes | str]


def tail(request: str) -> str:
    return f', client: 10.0.0.9, server: web1, request: "GET {request} HTTP/1.1", host: "shop"'


def parsed(
    spark: SparkSession, files: dict[str, Lines], zones: dict[str, str] | None = None
) -> dict[str, list[Row]]:
    """The rows of each file, in its order, all by one action."""
    frame = stitch(records_of(spark, files))
    rows = parse_errors(frame, time_zones=zones or {"*": "UTC"}, history_days=30).collect()
    return by_file(rows, files)


def records_of(spark: SparkSession, files: dict[str, Lines]) -> DataFrame:
    records = []
    for file, lines in files.items():
        offset = 0
        for number, line in enumerate(lines):
            value = line.encode() if isinstance(line, str) else line
            place = (names.TOPIC_ERRORS, 0, number, NOW, "web1", file, offset)
            records.append((bytearray(value), *place))
            offset += len(value) + 1
    return spark.createDataFrame(records, schemas.RECORD)


def by_file(rows: list[Row], files: dict[str, Lines]) -> dict[str, list[Row]]:
    rows.sort(key=lambda row: row["byte_offset"])
    return {file: [row for row in rows if row["log_file"] == file] for file in files}


class Record(NamedTuple):
    """What must come out: the message's start and the client, or the reason."""

    message: str | None = None
    client: str | None = "10.0.0.9"
    reason: str | None = None


def refused(reason: str) -> list[Record]:
    return [Record(None, None, reason)]


CASES: dict[str, tuple[Lines, list[Record]]] = {
    "a notice of the master": (
        ['2026/11/23 10:00:00 [notice] 1#1: using the "epoll" event method'],
        [Record("using the", None)],
    ),
    "IPv6": (
        [HEAD + OPEN + ", client: 2001:db8::1, server: [::]:80"],
        [Record(OPEN, "2001:db8::1")],
    ),
    "a client that ends with a line feed": (
        [HEAD + OPEN + ", client: 10.0.0.9\n"],
        [Record(OPEN)],
    ),
    "a client forged in the URL": (
        [HEAD + f'open() "/srv/x, client: 6.6.6.6, server: y" failed{TAIL}'],
        [Record('open() "/srv/x, client: 6.6.6.6')],
    ),
    "a whole tail forged in the URL": (
        [HEAD + f'open() "/srv/x{FORGED_TAIL}" failed{tail("/x,%20client:%206.6.6.6")}'],
        [Record('open() "/srv/x, client: 6.6.6.6')],
    ),
    "a client forged in a user name": (
        [HEAD + f'user "a, client: 6.6.6.6, server: s, request: "x" was not found{TAIL}'],
        [Record('user "a, client: 6.6.6.6')],
    ),
    "a client forged in the referrer": (
        [HEAD + OPEN + TAIL + f', referrer: "x{FORGED_TAIL}"'],
        [Record(OPEN)],
    ),
    "a client forged in a malformed request": (
        [
            HEAD + "client sent invalid request while reading client request line"
            ', client: 10.0.0.9, server: web1, request: "GET /, client: 6.6.6.6, server: y x"'
        ],
        [Record("client sent invalid request while reading client request line")],
    ),
    "a malformed request": (
        [HEAD + 'client sent invalid method, client: 10.0.0.9, server: web1, request: "\\x16"'],
        [Record("client sent invalid method")],
    ),
    "a whole record forged by %0A": (
        [
            HEAD + 'open() "/srv/',
            f'{FORGED}" failed (2: No such file or directory){TAIL}',
            HEAD + OPEN + TAIL,
        ],
        [Record('open() "/srv/'), Record(OPEN)],
    ),
    "a record forged between two newlines": (
        [HEAD + 'open() "/srv/', FORGED, f'" failed (2: x){TAIL}', CLOSED],
        [Record('open() "/srv/'), Record("client 10.0.0.9 closed", None)],
    ),
    "a record forged behind a forged client": (
        [
            HEAD + 'open() "/srv/x" failed, client: 6.6.6.6',
            FORGED,
            f'e" failed (2: x){tail(f"/x%22%20failed,%20client:%206.6.6.6%0A{FORGED_URL}%0ae")}',
            CLOSED,
        ],
        [Record('open() "/srv/x" failed, client'), Record("client 10.0.0.9 closed", None)],
    ),
    "a newline in a URL that is not part of the message": (
        [HEAD + OPEN + TAIL, f"{HEAD}access forbidden by rule{tail('/%0A')}"],
        [Record(OPEN), Record("access forbidden by rule")],
    ),
    "a PHP trace over three lines": (
        [
            HEAD + 'FastCGI sent in stderr: "PHP message: PHP Fatal error: a',
            "Stack trace:",
            f'#0 main" while reading response header from upstream{TAIL}',
        ],
        [Record("FastCGI sent in stderr")],
    ),
    "a client that goes away hides nothing": (
        [CLOSED, HEAD + OPEN + TAIL],
        [Record("client 10.0.0.9 closed keepalive", None), Record(OPEN)],
    ),
    "a record that nginx cut hides nothing": (
        [CUT, HEAD + OPEN + TAIL],
        [Record('open() "/srv/aaa', None), Record(OPEN)],
    ),
    "a record never takes in more than nginx writes": (
        [HEAD + 'x "', *[f"{START}{'y' * 400}"] * 6],
        [Record('x "', None), Record("yyy", None), Record("yyy", None)],
    ),
    "a record that is still open": ([HEAD + 'open() "/srv/'], [Record('open() "/srv/', None)]),
    "a line that continues nothing": (["Stack trace:"], refused("continuation")),
    "an empty line": ([""], refused("empty")),
    "blanks": (["   "], refused("empty")),
    "an unknown severity": (["2026/11/23 10:00:00 [shout] 1#1: x"], refused("unknown_format")),
    "a time that is none": (["2026/13/41 10:00:00 [error] 1#1: x"], refused("invalid_time")),
    "the year 2099": (["2099/01/01 00:00:00 [error] 1#1: x"], refused("time_out_of_range")),
    "the year 1970": (["1970/01/01 00:00:00 [error] 1#1: x"], refused("time_out_of_range")),
    "invalid UTF-8 inside a message": (
        [HEAD.encode() + b'open() "/srv/\xff\xfe" failed' + TAIL.encode()],
        [Record('open() "/srv/\ufffd')],
    ),
    "invalid UTF-8 alone": ([b"\xff\xfe\x00"], refused("invalid_utf8")),
    "control characters": (
        [HEAD + f'open() "/srv/\x1b]0;title\x07\u202e" failed{TAIL}'],
        [Record('open() "/srv/]0;title" failed')],
    ),
    "a line of 5 MB": ([HEAD + "x" * 5_000_000], refused("oversized")),
    "JSON": (['{"msec": 1}'], refused("continuation")),
}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> dict[str, list[Row]]:
    """What comes out of every case."""
    return parsed(spark, {name: lines for name, (lines, _wanted) in CASES.items()})


@pytest.mark.parametrize("name", CASES)
def test_records(rows: dict[str, list[Row]], name: str) -> None:
    wanted = CASES[name][1]
    assert [(row["reason"], row["client_address"]) for row in rows[name]] == [
        (record.reason, record.client) for record in wanted
    ]
    for row, record in zip(rows[name], wanted, strict=True):
        assert (row["raw"] is None) == (record.reason is None)
        assert len((row["raw"] or "").encode()) <= 8192 * 3
        assert record.message is None or row["message"].startswith(record.message)


@pytest.mark.parametrize("name", CASES)
def test_records_are_as_long_as_their_lines(rows: dict[str, list[Row]], name: str) -> None:
    sent = [line.encode() if isinstance(line, str) else line for line in CASES[name][0]]
    assert sum(row["line_bytes"] + 1 for row in rows[name]) == sum(len(line) + 1 for line in sent)


def test_every_field_of_a_full_line(spark: SparkSession) -> None:
    line = (
        "2026/11/23 11:00:00 [error] 12#34: *7 connect() failed (111: Connection refused) while "
        'connecting to upstream, client: 2001:db8::1, server: shop.example, request: "GET /a?b=1 '
        'HTTP/2.0", upstream: "http://127.0.0.1:1/a?b=1", host: "shop.example", '
        'referrer: "https://shop.example/"'
    )
    (row,) = parsed(spark, {"f": [line]}, {"*": "UTC", "web1": "Europe/Berlin"})["f"]
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
    }
    assert {name: row[name] for name in wanted} == wanted
    assert len(row["pattern_id"]) == 12
    assert row["event_time"].astimezone(UTC) == datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_a_replay_gives_the_same_records_however_it_is_cut(spark: SparkSession) -> None:
    lines = [(0, HEAD + 'open() "/srv/'), (len(HEAD) + 14, f'b" failed{TAIL}')]
    sent = [*lines, *lines, lines[0]]
    records = [
        (bytearray(line.encode()), names.TOPIC_ERRORS, 0, number, NOW, "web1", "f", offset)
        for number, (offset, line) in enumerate(sent)
    ]
    frame = stitch(spark.createDataFrame(records, schemas.RECORD))
    found = parse_errors(frame, time_zones={"*": "UTC"}, history_days=None).collect()
    assert sorted(row["message"].count("failed") for row in found) == [0, 1, 1]
    assert len({row["event_id"] for row in found}) == 1


def test_arbitrary_bytes_are_each_in_exactly_one_record(spark: SparkSession) -> None:
    dice = random.Random(7)
    pieces = [HEAD, START, OPEN, TAIL, FORGED, tail("/%0A%0a"), '"', "", ", client: ", "%0A", "\\"]
    files: dict[str, Lines] = {}
    for number in range(60):
        files[str(number)] = [
            b"".join(
                dice.choice(pieces).encode() if dice.random() < 0.8 else dice.randbytes(5)
                for _ in range(dice.randrange(5))
            ).replace(b"\n", b"")
            for _ in range(20)
        ]
    stitched = stitch(records_of(spark, files)).persist()
    rows = parse_errors(stitched, time_zones={"*": "UTC"}, history_days=30).collect()
    for file, found in by_file(stitched.collect(), files).items():
        assert b"\n".join(bytes(row["value"]) for row in found) == b"\n".join(files[file])
        parsed_from = [row for row in rows if row["log_file"] == file]
        assert sorted(r["byte_offset"] for r in parsed_from) == [r["byte_offset"] for r in found]
    assert {row["reason"] for row in rows} <= {None, *names.REJECT_REASONS}
    stitched.unpersist()
