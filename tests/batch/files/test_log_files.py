"""What a file is taken for, and its lines in chunks, plain or packed."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch.files.log_files import Chunk, LogFileError, chunks, log_file
from streaming.contracts import names

pytestmark = pytest.mark.unit

ERROR = b"2026/01/05 08:00:00 [error] 7#7: *1 gone"
ACCESS = b'192.0.2.1 - - [05/Jan/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"'
LINES = b"\n".join(ACCESS + b" %d" % number for number in range(500))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def lines_of(parts: list[Chunk]) -> list[tuple[int, bytes]]:
    found = []
    for part in parts:
        offset = part.offset
        for line in part.lines.split(b"\n"):
            found.append((offset, line))
            offset += len(line) + 1
    return found


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("shop.log", "shop"),
        ("shop.log.1", "shop"),
        ("shop.log.12.gz", "shop"),
        ("shop-20260105.gz", "shop"),
        ("shop.log-20260105", "shop"),
        ("shop", "shop"),
        (".log", ".log"),
        ("access.shop.log", "access.shop"),
    ],
)
def test_the_server_is_that_of_the_name(tmp_path: Path, name: str, server: str) -> None:
    path = written(tmp_path / name, LINES)
    assert log_file(path).server == server
    assert log_file(path, "other").server == "other"


def test_a_name_that_is_no_text_gives_a_server_that_is(tmp_path: Path) -> None:
    path = written(Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.log")), LINES)
    file = log_file(path)
    assert file.server == "a\ufffd"
    assert lines_of(list(chunks(file)))[0] == (0, LINES.split(b"\n")[0])


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        pytest.param(LINES, False, id="access"),
        pytest.param(ERROR, True, id="one error"),
        pytest.param(b"\n\n\n" + ERROR + b"\n\n\n", True, id="blank lines do not count"),
        pytest.param(b"\n".join([ERROR, ACCESS, ERROR]), True, id="more errors"),
        pytest.param(b"\n".join([ERROR, ACCESS, ACCESS]), False, id="more access lines"),
        pytest.param(ERROR + b"\nPHP message:\n#0 {main}\n#1", True, id="long messages"),
        pytest.param(b"\n".join([b'{"msec":1}', ERROR, b'{"msec":2}']), False, id="JSON"),
        pytest.param(b"", False, id="empty"),
        pytest.param(b"x" * 5_000_000, False, id="no line feed"),
    ],
)
@pytest.mark.parametrize("name", ["some.log", "some.log.gz"])
def test_the_first_lines_say_what_a_file_holds(
    tmp_path: Path, name: str, content: bytes, errors: bool
) -> None:
    assert log_file(written(tmp_path / name, content)).errors == errors


@pytest.mark.parametrize("size", [1, 10, 1000, 1 << 20])
@pytest.mark.parametrize("feed", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("name", ["some.log", "some.log.gz", "packed-without-ending"])
def test_chunks_of_any_size_hold_the_same_lines(
    tmp_path: Path, name: str, feed: bytes, size: int
) -> None:
    content = LINES[:5000].replace(b"\n", feed)
    path = tmp_path / name
    path.write_bytes(content if name == "some.log" else gzip.compress(content))
    read: list[int] = []
    parts = list(chunks(log_file(path), read.append, size))
    assert b"\n".join(part.lines for part in parts) == content
    assert all(content[offset:].startswith(line) for offset, line in lines_of(parts))
    assert sum(read) == path.stat().st_size


MEMORY = """
import resource, sys
from pathlib import Path
from batch.files.log_files import chunks, log_file
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = [len(part.lines) for part in chunks(log_file(Path(sys.argv[1])), size=1 << 20)]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(found, (after - before) // 1024)
"""


@pytest.mark.parametrize("name", ["some.log", "some.log.gz"])
def test_thirty_megabytes_without_a_line_feed_take_little_memory(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, b"x" * 30_000_000)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True
    )
    found, _, megabytes = done.stdout.rpartition(" ")
    assert found == f"[{names.MAX_LINE_BYTES + 1}]"
    assert int(megabytes) < 12


def refused(path: Path) -> str:
    with pytest.raises(LogFileError) as caught:
        list(chunks(log_file(path)))
    return str(caught.value)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "fifo")
    said = {
        tmp_path: "a directory",
        tmp_path / "nothing": "no such file",
        tmp_path / "link": "no such file",
        tmp_path / "fifo": "no regular file",
        Path("/dev/null"): "no regular file",
    }
    for path, what in said.items():
        assert refused(path) == f"{path}: {what}; name log files, plain or .gz"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(gzip.compress(LINES)[:-30], "end-of-stream", id="truncated"),
        pytest.param(gzip.compress(LINES) + b"rest", "Not a gzipped file", id="something behind"),
        pytest.param(b"plain text", "Not a gzipped file", id="not packed"),
        pytest.param(
            gzip.compress(LINES)[:200] + b"\0" * 90 + gzip.compress(LINES)[290:],
            "invalid",
            id="damaged",
        ),
    ],
)
def test_a_bad_archive_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "some.log.gz"
    path.write_bytes(content)
    said = refused(path)
    assert said.startswith(f"{path}: cannot be read (")
    assert reason in said
    assert said.endswith("); check the file")


def test_a_file_that_vanishes_or_is_forbidden_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "some.log", LINES)
    file = log_file(path)
    path.unlink()
    with pytest.raises(LogFileError, match=r"cannot be read \(No such file or directory\)"):
        list(chunks(file))
    path.write_bytes(LINES)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # Root, as which tests may run, is refused nothing.
    monkeypatch.setattr(Path, "open", refuse)
    assert refused(path) == f"{path}: cannot be read (Permission denied); check the file"
