"""`loglake detect`: what is found in files of every kind, and what a person is told of bad ones."""

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from pyspark.sql import SparkSession

from batch.files.detect import Found, detect
from batch.files.log_files import log_file
from batch.learning.learn import learn
from streaming.contracts.settings import CHECKOUT, Settings
from streaming.detection.limits import Limits, Rules

pytestmark = pytest.mark.unit

START = 1_767_600_000
RULES = Rules()
SCANNER = "203.0.113.9"
REAL = CHECKOUT.parent / "shared" / "data"


def combined(second: float, client: str, path: str, status: int, host: str = "") -> str:
    at = datetime.fromtimestamp(second, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    line = f'{client} - - [{at}] "GET {path} HTTP/1.1" {status} 512'
    return f'{host}{line} "-" "Mozilla/5.0"'


def common(second: float, client: str, path: str, status: int) -> str:
    return combined(second, client, path, status).removesuffix(' "-" "Mozilla/5.0"')


def as_json(second: float, client: str, path: str, status: int) -> str:
    return json.dumps(
        {
            "msec": f"{second:.3f}",
            "hostname": "web1",
            "remote_addr": client,
            "request_method": "GET",
            "request_uri": path,
            "server_protocol": "HTTP/1.1",
            "status": status,
            "body_bytes_sent": 512,
        }
    )


def scan(form) -> list[str]:
    """Twenty minutes of a few visitors, and a scanner of 40 paths in 24 s among them."""
    rng = Random(7)
    lines = [
        form(START + second, f"192.0.2.{rng.randrange(1, 9)}", f"/page{rng.randrange(5)}", 200)
        for second in range(0, 1200, 5)
    ]
    return lines + [form(START + 600 + 0.6 * i, SCANNER, f"/x{i}.php", 404) for i in range(40)]


def found_in(spark: SparkSession, settings: Settings, *paths: Path, fit: bool = False) -> Found:
    def limits(traffic, troubles):
        return learn(traffic, troubles, RULES).limits(RULES) if fit else Limits()

    return detect(spark, settings, [log_file(path) for path in paths], RULES, limits)


def names(found: Found) -> set[tuple[str, str, str]]:
    return {(i.kind, i.server, i.entity) for i in found.incidents}


def write(path: Path, lines: list[str]) -> Path:
    Random(3).shuffle(lines)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    return path


def test_one_scanner_is_named_in_unsorted_files_of_every_format(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path / "json.log", scan(as_json))
    write(tmp_path / "combined.log.gz", scan(combined))
    write(tmp_path / "common.log", scan(common))
    paths = sorted(tmp_path.glob("*.log*"))
    found = found_in(spark, settings, *paths)
    assert (found.lines, found.rejected) == (3 * 280, 0)
    scans = {("path_scan", s, SCANNER) for s in ("web1", "combined", "common")}
    # On all three at once his load is too much for a fleet, though not for one of its servers.
    assert names(found) == scans | {("ip_spike", "*", SCANNER)}


def test_files_of_different_years_are_no_fleet(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    day = 86_400
    quiet = [combined(START + s, "192.0.2.1", "/", 200) for s in range(0, 4 * day, 600)]
    busy = [
        combined(START + 400 * day + i / 9, f"192.0.2.{i % 200}", "/", 200) for i in range(2000)
    ]
    paths = write(tmp_path / "old.log", quiet), write(tmp_path / "new.log", busy)
    assert names(found_in(spark, settings, *paths, fit=True)) == set()


def test_a_burst_in_an_error_log_is_found(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    lines = [
        f"2026/01/05 08:00:{i % 50:02} [error] 7#7: *{i} connect() failed (111: Connection "
        "refused) while connecting to upstream, client: 192.0.2.1, server: shop, "
        'request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:1/", host: "shop"'
        for i in range(100)
    ]
    found = found_in(spark, settings, write(tmp_path / "error.log", lines))
    assert names(found) == {("error_log_burst", "error", "upstream_refused")}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not here")
@pytest.mark.parametrize("fit", [False, True], ids=["none", "learn"])
def test_all_real_logs_together(spark: SparkSession, settings: Settings, fit: bool) -> None:
    paths = [*REAL.glob("*.log.gz"), *REAL.glob("crowdsec/*/*.log")]
    named = names(found_in(spark, settings, *paths, fit=fit))
    assert named == {
        *(("ip_spike", "http_dos_bypass_cache", f"127.0.0.{n}") for n in (1, 2, 3, 4)),
        ("ip_spike", "http_dos_random_uri", "127.0.0.1"),
        ("path_scan", "http_dos_random_uri", "127.0.0.1"),
        ("path_scan", "nginx_http-logs", "1.2.3.4"),
    }


def loglake(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "loglake"
    environment = {"PATH": "/usr/bin:/bin", **Settings(home=home).environment()}
    return subprocess.run(
        [str(program), "detect", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        pytest.param(None, (), "no such file", id="missing"),
        pytest.param("directory", (), "a directory", id="directory"),
        pytest.param(b"GIF89a\x00\x01", (), "cannot be read", id="not-gzip"),
        pytest.param(bytes(range(256)) * 9, (), "is in a known format", id="binary"),
        pytest.param(
            common(START, "192.0.2.1", "/", 200).encode(),
            ("--baselines", "/nowhere"),
            "no baselines at /nowhere",
            id="no-baselines-there",
        ),
        pytest.param(b"", ("--allow", "everyone"), "everyone", id="no-address"),
    ],
)
def test_bad_input_gets_one_sentence(
    tmp_path: Path, content: bytes | str | None, arguments: tuple[str, ...], said: str
) -> None:
    packed = isinstance(content, bytes) and content.startswith(b"GIF")
    path = tmp_path / ("access.log.gz" if packed else "access.log")
    if content == "directory":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    done = loglake(tmp_path / "home", str(path), *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
