"""Reading log files for a replay: offsets, ends of lines, compression, damage."""

import gzip
from pathlib import Path

import pytest

from stack.replay import looks_known, read_lines
from streaming.contracts import names


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"a\nbc\n", [(0, b"a"), (2, b"bc")], id="plain"),
        pytest.param(b"a\r\nbc", [(0, b"a"), (3, b"bc")], id="crlf-and-no-last-newline"),
        pytest.param(b"\n\nx\n", [(0, b""), (1, b""), (2, b"x")], id="empty-lines"),
        pytest.param(b"\xff\x00\n", [(0, b"\xff\x00")], id="not-utf8"),
    ],
)
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_offsets_are_those_of_the_uncompressed_file(
    tmp_path: Path, content: bytes, expected: list[tuple[int, bytes]], compress: bool
) -> None:
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(content) if compress else content)
    assert list(read_lines(path)) == expected


def test_too_long_a_line_is_cut_and_the_next_one_keeps_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 5_000_000 + b"\nnext\n")
    (_, cut), following = read_lines(path)
    assert len(cut) == names.MAX_LINE_BYTES + 1
    assert following == (5_000_001, b"next")


def test_line_of_just_the_limit_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * names.MAX_LINE_BYTES + b"\nnext")
    assert [len(line) for _, line in read_lines(path)] == [names.MAX_LINE_BYTES, 4]


def test_progress_adds_up_to_the_size_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(b"some line\n" * 10_000))
    steps: list[int] = []
    list(read_lines(path, steps.append))
    assert sum(steps) == path.stat().st_size


@pytest.mark.parametrize(
    ("line", "errors", "known"),
    [
        pytest.param(b'{"msec":"1"}', False, True, id="json"),
        pytest.param(b'{"msec":', False, False, id="broken-json"),
        pytest.param(b'1.2.3.4 - - [1/Jan/2026:0:0:0 +0000] "GET / HTTP/1.1" 200 1', False, True),
        pytest.param(b"2026/11/23 09:00:00 [error] 1#1: x", True, True, id="error"),
        pytest.param(b"2026/11/23 09:00:00 [error] 1#1: x", False, False, id="error-as-access"),
        pytest.param(b'{"msec":"1"}', True, False, id="access-as-error"),
        pytest.param(b"", False, False, id="empty"),
    ],
)
def test_outward_form(line: bytes, errors: bool, known: bool) -> None:
    assert looks_known(line, errors=errors) is known
