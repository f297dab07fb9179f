"""`loglake detect --follow`, and what signals and a full disk do to it and to a long run."""

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from batch.files import follow as follow_module
from batch.files.follow import News
from streaming.detection.incidents import Incident
from streaming.detection.model import Evaluation
from tests.stack.detect_runs import START, access, big_log, run, scan, start

pytestmark = pytest.mark.unit


def news(*steps: tuple[str, int | None, bool]) -> Iterator[News]:
    """Yield news of one incident each: its client, when it closed, and whether it holds."""
    for client, closed, holds in steps:
        peak = Evaluation(
            "ip_spike", "web1", client, START, 20, 90.0, 3.0, 40.0, 80.0, "static", None, ("/",)
        )
        incident = Incident(client, START, START + 10, closed, peak)
        yield News([incident], []) if holds else News([], [client])


def test_following_tells_what_opens_closes_and_no_longer_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.log"
    path.touch()
    steps = (
        ("a", None, True),
        ("a", None, True),
        ("b", None, True),
        ("unknown", None, False),
        ("a", START + 10, True),
        ("b", None, False),
        ("c", START + 10, True),
    )
    monkeypatch.setattr(
        follow_module, "follow", lambda _f, _t, tell: [tell(some) for some in news(*steps)]
    )
    done = run(tmp_path, path, "--follow", "--exit-code")
    when, numbers = "2026-01-05 08:00", "90 observed, 3 expected, threshold 40, score 80"
    assert done.stdout.splitlines() == [
        "No incidents.",
        f"ip_spike on web1 a, since {when}:00: {numbers}",
        f"ip_spike on web1 b, since {when}:00: {numbers}",
        f"ip_spike on web1 a, over at {when}:10: {numbers}",
        f"ip_spike on web1 b, since {when}:00: {numbers}; further lines took it back",
        f"ip_spike on web1 c, over at {when}:10: {numbers}",
    ]
    assert done.exit_code == 1
    rows = [json.loads(line) for line in run(tmp_path, path, "-f", "--json").stdout.splitlines()]
    assert [(row["entity"], row["closed_at"] is None) for row in rows] == [
        ("a", True),
        ("b", True),
        ("a", False),
        ("b", True),
        ("c", False),
    ]
    assert [row.get("retracted", False) for row in rows] == [False, False, False, True, False]


def follows(process: subprocess.Popen[str], path: Path) -> None:
    """Wait until a process has read a file and goes on with it."""
    files = Path(f"/proc/{process.pid}/fd")
    limit = time.monotonic() + 30
    while path not in {file.resolve() for file in files.iterdir()}:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.02)
    time.sleep(1)


@pytest.mark.parametrize(
    ("arguments", "sent", "attacks", "status"),
    [
        ((), signal.SIGINT, 2, 0),
        (("--exit-code",), signal.SIGINT, 1, 1),
        (("--exit-code",), signal.SIGINT, 0, 0),
        ((), signal.SIGTERM, 0, 128 + signal.SIGTERM),
    ],
    ids=["Ctrl-C", "Ctrl-C with --exit-code", "Ctrl-C without incidents", "SIGTERM"],
)
def test_following_tells_within_a_second_and_ends_with_a_signal(
    tmp_path: Path, arguments: tuple[str, ...], sent: int, attacks: int, status: int
) -> None:
    path, took = tmp_path / "shop.log", []
    path.write_text(access(time.time(), "192.0.2.1", "/", 200), encoding="utf-8")
    options = ("-f", "--json", "--baselines", "none", *arguments)
    with start(tmp_path, path, *options) as process:
        assert process.stdout is not None
        try:
            follows(process, path)
            for number in range(attacks):
                if number:
                    path.rename(tmp_path / "shop.log.1")
                lines = scan(time.time()).replace("203.0.113.9", f"203.0.113.{number}")
                with path.open("a", encoding="utf-8") as stream:
                    stream.write(lines)
                began = time.monotonic()
                row = json.loads(process.stdout.readline())
                took.append(time.monotonic() - began)
                assert (row["kind"], row["entity"]) == ("path_scan", f"203.0.113.{number}")
        finally:
            process.send_signal(sent)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (status, "", "")
    # The better one: tests share the machine.
    assert min(took, default=0) < 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_leaves_no_process_and_no_file(tmp_path: Path, sent: int, status: int) -> None:
    path = big_log(tmp_path / "shop.log", 20)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with start(tmp_path, path, variables={"TMPDIR": str(scratch)}) as process:
        family = psutil.Process(process.pid)
        limit = time.monotonic() + 20
        while not any(scratch.rglob("*.arrow")) and process.poll() is None:
            assert time.monotonic() < limit
            time.sleep(0.01)
        children = family.children(recursive=True)
        # A terminal sends Ctrl-C to all of them.
        os.killpg(process.pid, sent)
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (status, "")
    assert "Traceback" not in errors
    psutil.wait_procs(children, timeout=5)
    assert not [child for child in children if child.is_running()]
    assert list(scratch.iterdir()) == []


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))


@pytest.mark.parametrize("megabytes", [1, 12], ids=["one process", "several processes"])
def test_a_full_disk_is_one_sentence(tmp_path: Path, megabytes: int) -> None:
    path = big_log(tmp_path / "shop.log", megabytes)
    with start(tmp_path, path, preexec_fn=small_files) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    (sentence,) = errors.splitlines()
    assert "no temporary file can be written (File too large" in sentence
    assert "let TMPDIR name a directory with more room" in sentence
