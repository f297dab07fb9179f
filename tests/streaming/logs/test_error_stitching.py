"""Records of several lines, against what nginx wrote, and against arbitrary bytes."""

import time
from urllib.parse import quote

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.contracts import frames, names
from streaming.logs.error import parse_errors
from streaming.logs.error_stitching import NGX_MAX_ERROR_STR, stitch
from tests.streaming.logs.error_cases import (
    CLOSED,
    FORGED,
    FORGED_TAIL,
    FORGED_URL,
    HEAD,
    NOW,
    OPEN,
    START,
    TAIL,
    records_of,
    tail,
)

pytestmark = pytest.mark.unit

BROKEN = [HEAD + 'open() "/srv/', f'a" failed (2: x){tail("/%0Aa")}']
PIECES = [HEAD, START, OPEN, TAIL, FORGED, tail("/%0A%0a"), '"', "", ", client: ", "%0A", "\\"]


DEBUG = HEAD.replace("error", "debug")
QUIET = HEAD + "rewritten to /"
FORGED_END = HEAD + 'open() "/srv/x, client: 6.6.6.6'

CASES: dict[str, list[list[str]]] = {
    "a path that is not in the message": [[QUIET], [HEAD + "forbidden" + tail("/%0A")]],
    "another path is in the message": [[QUIET], [HEAD + "forbidden" + tail("/%0Ae")]],
    "a line that ends as no path does": [[HEAD + "rewritten to y"], ["e" + tail("/x%0Ae")]],
    "a line of no connection": [[START + "rewritten to /"], ["e" + tail("/%0Ae")]],
    "a path that nginx does not decode": [[QUIET], ["e" + tail("/%zz%0Ae")]],
    "a newline in another field than the request": [
        [QUIET],
        ['e, client: 10.0.0.9, server: web1, upstream: "GET /%0Ae x"'],
    ],
    "a line that ends as the path does": [[QUIET, "e" + tail("/%0Ae")]],
    "slashes that nginx merges": [
        [FORGED_END, FORGED + tail("/x,%20client:%206.6.6.6%0A" + FORGED_URL.replace("/", "//"))]
    ],
    "dot segments that nginx resolves, behind the date": [
        [FORGED_END, FORGED + tail(f"/x,%20client:%206.6.6.6%0A{FORGED_URL}/../gone")]
    ],
    "the end of a record forged in a name, but without the last quote": [
        [HEAD + 'user "x, client: 6.6.6.6, request: "G', f'y" was not found{TAIL}']
    ],
    "messages for debugging": [
        [DEBUG + 'http header: "a: b"'],
        [DEBUG + 'header: "c: d"'],
        [FORGED],
    ],
    "what Lua prints": [[HEAD + "[lua] a.lua:1: a", "b" + TAIL], [CLOSED]],
    "what Lua prints in the background": [[HEAD + "lua a", "b, context: ngx.timer"], [CLOSED]],
    "what Lua prints about a stream": [[HEAD + "stream [lua] a", "b" + TAIL], [CLOSED]],
    "what JavaScript prints": [[HEAD + "js: a", "b" + TAIL], [CLOSED]],
    "what Perl prints": [[HEAD + "perl: a", "b" + TAIL], [CLOSED]],
    "what ends a connection of a stream": [
        [HEAD + 'x "a', 'b", bytes from/to upstream:1/2'],
        [CLOSED],
    ],
    "as long as a record may be": [[HEAD + 'x "', "y" * (2047 - len(HEAD) - 4 - len(TAIL)) + TAIL]],
    "longer than a record may be": [
        [HEAD + 'x "'],
        ["y" * (2048 - len(HEAD) - 4 - len(TAIL)) + TAIL],
    ],
}
"""The lines of each record of a file."""


@pytest.mark.parametrize("name", CASES)
def test_lines_that_nginx_wrote_as_one_record(name: str) -> None:
    frame = records_of({"f": [line for lines in CASES[name] for line in lines]})
    assert values(stitch(frame)) == ["\n".join(lines).encode() for lines in CASES[name]]


def values(frame: pl.DataFrame) -> list[bytes]:
    return frame["value"].to_list()


def files_of(frame: pl.DataFrame) -> dict[str, bytes]:
    """The content of each file."""
    joined = frame.group_by("log_file", maintain_order=True).agg("value").rows()
    return {file: b"\n".join(lines) for file, lines in joined}


def test_lines_that_need_no_joining_are_the_same_frame() -> None:
    frame = records_of({"f": [HEAD + OPEN + TAIL, CLOSED, FORGED, b"\xff", b""]})
    assert stitch(frame) is frame


def test_a_joined_record_has_the_place_of_its_first_line() -> None:
    frame = records_of({"f": [CLOSED, *BROKEN, CLOSED]})
    joined = stitch(frame)
    assert joined.drop("value").equals(frame[[0, 1, 3]].drop("value"))
    assert values(joined)[1] == "\n".join(BROKEN).encode()


def test_files_are_read_each_by_itself_in_the_order_of_the_topic() -> None:
    frame = records_of({"f": BROKEN, "g": BROKEN})
    mixed = stitch(frame[[3, 1, 0, 2]])
    assert values(mixed) == ["\n".join(BROKEN).encode()] * 2
    assert mixed["log_file"].to_list() == ["f", "g"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(pl.col("byte_offset") + pl.col("kafka_offset"), id="bytes are missing"),
        pytest.param(pl.lit(None, pl.Int64), id="no offsets"),
    ],
)
def test_only_lines_that_adjoin_are_joined(change: pl.Expr) -> None:
    frame = records_of({"f": BROKEN}).with_columns(change.alias("byte_offset"))
    assert values(stitch(frame)) == values(frame)


def test_a_file_of_no_known_server_is_a_file() -> None:
    frame = records_of({"f": BROKEN}).with_columns(server_address=pl.lit(None, pl.String))
    assert len(stitch(frame)) == 1


def test_a_null_value_is_a_record() -> None:
    frame = records_of({"f": [*BROKEN, b""]})
    empty = frame.with_columns(pl.when(pl.col("value") != b"").then("value").alias("value"))
    assert values(stitch(empty)) == ["\n".join(BROKEN).encode(), None]


def test_a_replay_gives_the_same_records_however_it_is_cut() -> None:
    lines = [(0, HEAD + 'open() "/srv/'), (len(HEAD) + 14, f'b" failed{TAIL}')]
    sent = [*lines, *lines, lines[0]]
    records = [
        (line.encode(), names.TOPIC_ERRORS, 0, number, NOW, "web1", "f", offset)
        for number, (offset, line) in enumerate(sent)
    ]
    frame = stitch(pl.DataFrame(records, schema=frames.RECORD, orient="row"))
    found = parse_errors(frame, time_zones={"*": "UTC"}, history_days=None)
    assert sorted(found["message"].str.count_matches("failed")) == [0, 1, 1]
    assert found["event_id"].n_unique() == 1


texts = st.sampled_from(
    ["\n", "\n", "a", '"', " ", "+", "/", "b c", FORGED, FORGED_TAIL + '"', ", client: 6.6.6.6"]
)


def record_of(path: str) -> str:
    """What nginx writes when a client asks for a file that does not exist."""
    asked = path.replace("//", "/").replace("//", "/")
    return HEAD + f'open() "/srv{asked}" failed (2: No such file){tail(quote(path))}'


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(texts, max_size=7).map(lambda parts: "/" + "".join(parts)), max_size=5))
def test_whatever_clients_ask_for_the_records_are_those_that_nginx_wrote(paths: list[str]) -> None:
    written = [record_of(path).encode() for path in paths]
    lines = b"\n".join(written).split(b"\n") if written else []
    assert values(stitch(records_of({"f": lines}))) == written


bytes_of_lines = st.lists(
    st.one_of(st.sampled_from([piece.encode() for piece in PIECES]), st.binary(max_size=5)),
    max_size=5,
).map(lambda pieces: b"".join(pieces).replace(b"\n", b""))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(bytes_of_lines, max_size=12), max_size=3))
def test_arbitrary_bytes_are_each_in_exactly_one_record(lines: list[list[bytes]]) -> None:
    frame = records_of({str(number): file for number, file in enumerate(lines)})
    stitched = stitch(frame)
    assert files_of(stitched) == files_of(frame)
    joined = stitched.filter(pl.col("value").bin.contains(b"\n"))
    assert all(len(value) < NGX_MAX_ERROR_STR for value in values(joined))
    places = set(zip(frame["log_file"], frame["byte_offset"], strict=True))
    assert set(zip(stitched["log_file"], stitched["byte_offset"], strict=True)) <= places


def seconds(lines: list[str]) -> float:
    values = pl.Series("value", lines).cast(pl.Binary)
    ends = (values.bin.size().cast(pl.Int64) + 1).cum_sum()
    frame = records_of({"f": [""]}).drop("value", "byte_offset", "kafka_offset")
    file = values.to_frame().join(frame, how="cross").with_row_index("kafka_offset")
    placed = file.with_columns(ends.shift(1, fill_value=0).alias("byte_offset"))
    records = placed.select(pl.col(name).cast(kind) for name, kind in frames.RECORD.items())
    started = time.process_time()
    assert files_of(stitch(records)) == files_of(records)
    return time.process_time() - started


HOSTILE = (
    HEAD + 'x "',
    TAIL,
    HEAD + "x" + TAIL + tail("/%0A" * 20 + START[:19]),
    "",
    '"%0A',
)
"""Opens, closes, claims lines before it, empty, none of these."""


def test_200_000_hostile_lines_take_linear_time() -> None:
    def of(count: int) -> float:
        return seconds([HEAD + 'x "', *(line for line in HOSTILE for _ in range(count))])

    assert of(40_000) < 1 + 2 * sum(of(4_000) for _ in range(10))


@pytest.mark.parametrize("piece", ['"', ", client: ", "%0A", ", context: a", 'client: "'])
def test_lines_of_1_mb_are_records_by_themselves(piece: str) -> None:
    long = HEAD + piece * (1_000_000 // len(piece))
    assert seconds([HEAD + 'x "', long, long + TAIL, *BROKEN]) < 3
