"""A file that grows, is rotated, is truncated or is away: each line is read once."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from batch.files import tail as module
from batch.files.log_files import LogFile, LogFileError
from batch.files.tail import Tail

pytestmark = pytest.mark.unit

Step = tuple[Callable[[Path], object], list[str]]
"""What happens to the file, and the lines that the next call reads."""


def append(text: str) -> Callable[[Path], object]:
    def step(path: Path) -> None:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)

    return step


def rename(name: str = "old") -> Callable[[Path], object]:
    return lambda path: path.rename(path.with_name(name))


def append_to_old(text: str) -> Callable[[Path], object]:
    return lambda path: append(text)(path.with_name("old"))


def rotate(text: str) -> Callable[[Path], object]:
    def step(path: Path) -> None:
        rename()(path)
        path.write_text(text, encoding="utf-8")

    return step


def rewrite(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")


def nothing(_path: Path) -> None:
    pass


CASES: dict[str, list[Step]] = {
    "growth": [
        (append("a\nb\n"), ["a", "b"]),
        (nothing, []),
        (append("c\n"), ["c"]),
        (append("d\ne\n"), ["d", "e"]),
    ],
    "a line in parts": [
        (append("a\nhal"), ["a"]),
        (append("f of"), []),
        (append(" it\nb"), ["half of it"]),
        (append("\n"), ["b"]),
    ],
    "blank lines": [(append("\n\na\n"), ["", "", "a"]), (append("\n"), [""])],
    "rotation": [(append("a\n"), ["a"]), (rotate("b\n"), ["b"]), (append("c\n"), ["c"])],
    "rotation with lines not yet read": [
        (append("a\n"), ["a"]),
        (append("b\n"), ["b"]),
        (lambda path: (append("c\nd")(path), rotate("e\n")(path)), ["c", "d", "e"]),
    ],
    "the program goes on with the old file": [
        (append("a\n"), ["a"]),
        (rotate(""), []),
        (append_to_old("b\n"), ["b"]),
        (append("c\n"), ["c"]),
        (append_to_old("never seen\n"), []),
    ],
    "two rotations": [
        (append("a\n"), ["a"]),
        (rotate("b\n"), ["b"]),
        (lambda path: (path.rename(path.with_name("older")), rewrite("c\n")(path)), ["c"]),
    ],
    "away for a while": [
        (append("a\n"), ["a"]),
        (rename(), []),
        (append_to_old("b\n"), ["b"]),
        (nothing, []),
        (rewrite("c\n"), ["c"]),
    ],
    "deleted": [
        (append("a\n"), ["a"]),
        (Path.unlink, []),
        (nothing, []),
        (rewrite("b\n"), ["b"]),
    ],
    "truncated": [
        (append("a\nb\nc"), ["a", "b"]),
        (rewrite(""), ["c"]),
        (append("d\n"), ["d"]),
    ],
    "truncated and written to": [(append("first line\n"), ["first line"]), (rewrite("b\n"), ["b"])],
    "not there yet": [(Path.unlink, []), (nothing, []), (rewrite("a\n"), ["a"])],
    "a directory in its place": [
        (append("a\n"), ["a"]),
        (lambda path: (rename()(path), path.mkdir()), []),
        (lambda path: (path.rmdir(), rewrite("b\n")(path)), ["b"]),
    ],
}


def read(tail: Tail) -> list[str]:
    found = []
    for chunk in tail.read():
        found += chunk.lines.decode().split("\n")
    return found


@pytest.mark.parametrize("block", [3, 1 << 20], ids=["small blocks", "large blocks"])
@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
def test_each_line_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[Step], block: int
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", block)
    path = tmp_path / "access.log"
    path.touch()
    tail = Tail(LogFile(path, "web1", errors=False))
    for happens, expected in steps:
        happens(path)
        assert read(tail) == expected
    tail.close()


def test_offsets_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("ab\nc", encoding="utf-8")
    tail = Tail(LogFile(path, "web1", errors=False))
    assert [(c.offset, c.lines) for c in tail.read()] == [(0, b"ab")]
    append("d\ne\n")(path)
    assert [(c.offset, c.lines) for c in tail.read()] == [(3, b"cd\ne")]
    rotate("f\n")(path)
    assert [(c.offset, c.lines) for c in tail.read()] == [(0, b"f")]


def test_lines_written_while_the_file_is_replaced_are_read(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("a\n", encoding="utf-8")

    class Slow(Tail):
        def _replaced(self, stream: IO[bytes]) -> bool:
            found = super()._replaced(stream)
            if found:
                append_to_old("b\n")(path)
            return found

    tail = Slow(LogFile(path, "web1", errors=False))
    assert read(tail) == ["a"]
    rotate("c\n")(path)
    assert read(tail) == ["b", "c"]


def test_a_packed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"a\n"))
    with pytest.raises(LogFileError, match="compressed"):
        Tail(LogFile(path, "web1", errors=False, packed=True))
