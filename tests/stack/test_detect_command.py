"""`loglake detect` as a person or a program meets it: exit status, bad input, progress."""

import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from stack import file_progress
from tests.stack.detect_runs import QUIET, SCAN, START, access, big_log, environment, run, start

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("content", "arguments", "status"),
    [
        (QUIET, (), 0),
        (QUIET, ("--exit-code",), 0),
        (SCAN, (), 0),
        (SCAN, ("--exit-code",), 1),
        (SCAN, ("--exit-code", "--json"), 1),
        (SCAN, ("--exit-code", "--baselines", "none"), 1),
        (SCAN, ("--exit-code", "--allow", "203.0.113.0/24"), 0),
        ("", (), 0),
        ("", ("--exit-code",), 0),
        ("no log line\n", (), 2),
        ("no log line\n", ("--exit-code",), 2),
        (SCAN, ("--exit-code", "--baselines", "/nowhere"), 2),
        (SCAN, ("--exit-code", "/nowhere.log"), 2),
        (SCAN, ("--allow", "everyone"), 2),
        (SCAN, ("--no-such-option",), 2),
    ],
)
def test_exit_status(tmp_path: Path, content: str, arguments: tuple[str, ...], status: int) -> None:
    path = tmp_path / "shop.log"
    path.write_text(content, encoding="utf-8")
    assert run(tmp_path, path, *arguments).exit_code == status


def make_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(SCAN.encode())[:-20])


BAD: Final[dict[str, tuple[str, Callable[[Path], object], tuple[str, ...], str]]] = {
    "missing": ("a.log", lambda path: None, (), "a.log: no such file; name log files"),
    "directory": ("a.log", Path.mkdir, (), "a.log: a directory; name log files"),
    "fifo": ("a.log", os.mkfifo, (), "a.log: no regular file; name log files"),
    "truncated": ("a.gz", make_gzip, (), "a.gz: cannot be read (Compressed file ended"),
    "no gzip": ("a.gz", lambda path: path.write_text(SCAN), (), "cannot be read (Not a gzipped"),
    "binary": (
        "a.log",
        lambda path: path.write_bytes(bytes(range(256)) * 9),
        (),
        "none of the 10 lines is in a known format: JSON, combined, common, or nginx's error log",
    ),
    "blank": ("a.log", lambda path: path.write_text("\n\n"), (), "none of the 2 lines is in a"),
    "no baselines": (
        "a.log",
        lambda path: path.write_text(SCAN),
        ("--baselines", "/nowhere"),
        "no baselines at /nowhere; name the Delta table `baselines`, or the lake that holds it",
    ),
    "to follow a packed file": (
        "a.gz",
        lambda path: path.write_bytes(gzip.compress(SCAN.encode())),
        ("--follow",),
        "a.gz: compressed, so nothing is appended to it",
    ),
    "hostile name": ("\x1b[31m[b]a.log", lambda path: None, (), "\ufffd[31m[b]a.log: no such file"),
}


@pytest.mark.parametrize(("name", "make", "arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence(
    tmp_path: Path,
    name: str,
    make: Callable[[Path], object],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    make(tmp_path / name)
    done = run(tmp_path, tmp_path / name, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_lines_in_no_known_format_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    path.write_text(SCAN + "what is this?\n" * 3, encoding="utf-8")
    done = run(tmp_path, path, "--json")
    assert done.stderr == "3 of 18 lines are in no known format\n"
    assert json.loads(done.stdout)["kind"] == "path_scan"


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    lines = [access(START, "203.0.113.9", f"/x{n}", 200) for n in range(30)]
    (tmp_path / "shop.log").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "link.log").symlink_to(tmp_path / "shop.log")
    done = run(tmp_path, tmp_path / "shop.log", tmp_path / "link.log", tmp_path / "shop.log")
    assert (done.exit_code, done.stdout) == (0, "No incidents.\n")


def test_options_reach_the_detector(tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    path.write_text(SCAN, encoding="utf-8")
    row = json.loads(run(tmp_path, path, "--json", "--server", "web7").stdout)
    assert row["server"] == "web7"
    assert json.loads(run(tmp_path, path, "--json").stdout)["server"] == "shop"


def test_progress_is_told_in_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_progress, "SLOW_BYTES", 0)
    path = tmp_path / "shop.log"
    path.write_text(SCAN, encoding="utf-8")
    assert run(tmp_path, path).stderr.splitlines() == [
        "15 lines read",
        "1 windows of traffic",
        "fit 1 of 2: 1 incidents left out",
        "fit 2 of 2: 1 incidents left out",
    ]


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    path = big_log(tmp_path / "shop.log", 17)
    ours, theirs = pty.openpty()
    with start(tmp_path, path, stderr=theirs, variables={"TERM": "xterm"}) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                seen += os.read(ours, 10_000)
            except OSError:
                break
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, out
    text = seen.decode()
    assert all(word in text for word in ("Reading", "MB/s", "lines read", "Evaluating", "3/4"))


IMPORTS = """
import sys
from click.testing import CliRunner
from stack.commands.detect import detect_command
from streaming.contracts.settings import Settings
print(CliRunner().invoke(detect_command, [sys.argv[1]], obj=Settings()).exit_code)
heavy = {"pyspark", "py4j", "pyarrow", "pandas", "numpy", "deltalake", "dagster", "rich.progress"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_small_file_loads_nothing_that_it_does_without(tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    path.write_text(SCAN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(path)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n[]\n"
