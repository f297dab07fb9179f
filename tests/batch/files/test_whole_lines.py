"""Blocks of any size give the same lines at the same offsets, however long the lines are."""

from collections.abc import Iterator

import pytest

from batch.files.whole_lines import WholeLines
from streaming.contracts import names

pytestmark = pytest.mark.unit

LONGEST = names.MAX_LINE_BYTES + 1
DATED = b"2026/01/05 08:00:0%d [error] 7#7: *1 "

CONTENTS = {
    "nothing": b"",
    "one line": b"abc\n",
    "no final line feed": b"abc\ndefg",
    "no line feed": b"abcdefg",
    "blank lines": b"\n\na\n\n\nb\n\n",
    "only a line feed": b"\n",
    "carriage returns": b"a\r\nbc\r\n\r\nd",
    "any bytes": bytes(range(256)) * 3,
}


def lines_of(
    content: bytes, size: int, *, records: bool = False
) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Return the lines with their offsets, and the pieces in which they came."""
    pieces = list(in_pieces(content, size, records))
    lines = []
    for offset, piece in pieces:
        for line in piece.split(b"\n"):
            lines.append((offset, line))
            offset += len(line) + 1
    return lines, [piece for _, piece in pieces]


def in_pieces(content: bytes, size: int, records: bool) -> Iterator[tuple[int, bytes]]:
    whole = WholeLines(records=records)
    for start in range(0, len(content), size):
        yield from whole.add(content[start : start + size])
    yield from whole.end()


def expected(content: bytes) -> list[tuple[int, bytes]]:
    lines = content.split(b"\n")
    offsets = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    found = list(zip(offsets, lines, strict=True))
    # What follows the last line feed is a line only if there is something.
    return found if lines[-1] else found[:-1]


@pytest.mark.parametrize("records", [False, True], ids=["access", "error"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_lines_are_those_of_the_file(content: bytes, records: bool) -> None:
    for size in (1, 2, 3, 5, 7, 64, 1 << 20):
        assert lines_of(content, size, records=records)[0] == expected(content), size


@pytest.mark.parametrize("size", [100_000, 1 << 20, 3 << 20], ids=["0.1 MB", "1 MB", "3 MB"])
@pytest.mark.parametrize(
    "length", [LONGEST - 1, LONGEST, LONGEST + 1, 2_500_000], ids=["fits", "+1", "+2", "twice"]
)
def test_of_a_long_line_so_much_is_kept_that_it_is_rejected(length: int, size: int) -> None:
    content = b"before\n" + b"x" * length + b"\nafter\nlast"
    found = [(offset, line[:LONGEST]) for offset, line in lines_of(content, size)[0]]
    long = b"x" * min(length, LONGEST)
    after = 7 + length + 1
    assert found == [(0, b"before"), (7, long), (after, b"after"), (after + 6, b"last")]


def test_a_file_without_a_line_feed_is_never_in_memory() -> None:
    lines = WholeLines(records=False)
    block = b"x" * (1 << 20)
    for _ in range(30):
        assert not list(lines.add(block))
        assert len(lines._rest) <= LONGEST
    assert [len(line) for _, line in lines.end()] == [LONGEST]


def test_no_record_of_an_error_log_is_cut() -> None:
    records = [DATED % n + b'FastCGI sent in stderr: "PHP message: a\nb\nc' for n in range(8)]
    content = b"\n".join(records) + b"\n"
    for size in (40, 100, 150, 4096):
        _, pieces = lines_of(content, size, records=True)
        starts = [piece.startswith(b"2026/") for piece in pieces]
        assert all(starts), size
        assert len(pieces) > 1 or size == 4096


def test_the_newest_record_is_not_waited_for() -> None:
    lines = WholeLines(records=True)
    assert list(lines.add(DATED % 1 + b"a\n", is_newest=True)) == [(0, DATED % 1 + b"a")]


def test_an_error_log_of_other_text_is_cut_all_the_same() -> None:
    content = b"no date in it\n" * 1000
    lines, pieces = lines_of(content, 2000, records=True)
    assert lines == expected(content)
    assert max(map(len, pieces)) < 8000
