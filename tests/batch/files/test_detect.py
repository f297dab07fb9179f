"""What is found in files of every kind, in any order and in any number of processes."""

import gzip
import json
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from batch.files.detect import Found, detect
from batch.files.log_files import CHUNK_BYTES, chunks, log_file
from batch.files.workers import Workers
from batch.learning.learn import learn
from batch.learning.profiles import Profiles, Run
from streaming.contracts.settings import CHECKOUT
from streaming.detection.limits import Limits, Rules
from tests.batch.files.shop_lines import facts, shop_lines, write_logs

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


def found_in(*paths: Path, fit: bool = False, size: int = CHUNK_BYTES, processes: int = 1) -> Found:
    def limits(profiles: Profiles, run: Run) -> Limits:
        return learn(profiles, RULES, run=run).limits(RULES) if fit else Limits()

    lines = chain.from_iterable(chunks(log_file(path), size=size) for path in paths)
    with Workers(processes) as workers:
        return detect(lines, {"*": "UTC"}, RULES, limits, workers)


def names(found: Found) -> set[tuple[str, str, str]]:
    return {(i.kind, i.server, i.entity) for i in found.incidents}


def write(path: Path, lines: list[str]) -> Path:
    Random(3).shuffle(lines)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("size", [CHUNK_BYTES, 2_000], ids=["whole files", "small chunks"])
def test_one_scanner_is_named_in_unsorted_files_of_every_format(tmp_path: Path, size: int) -> None:
    write(tmp_path / "json.log", scan(as_json))
    write(tmp_path / "combined.log.gz", scan(combined))
    write(tmp_path / "common.log", scan(common))
    paths = sorted(tmp_path.glob("*.log*"))
    found = found_in(*paths, size=size)
    assert (found.lines, found.rejected) == (3 * 280, 0)
    scans = {("path_scan", s, SCANNER) for s in ("web1", "combined", "common")}
    # On all three at once his load is too much for a fleet, though not for one of its servers.
    assert names(found) == scans | {("ip_spike", "*", SCANNER)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], dict[bool, Found]]:
    """Logs of two servers, the access logs in no order, and what is in them at once."""
    home = tmp_path_factory.mktemp("shop")
    paths = write_logs(home, shop_lines(11, rate=1.0))
    for path in paths:
        if "access" in path.name:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(Random(1).sample(lines, len(lines))), encoding="utf-8")
    return paths, {fit: found_in(*paths, fit=fit) for fit in (False, True)}


@pytest.mark.parametrize(
    ("processes", "size"),
    [(1, 25_000), (2, 100_000), (2, 1 << 20)],
    ids=["small chunks", "2 processes", "2 processes, large chunks"],
)
@pytest.mark.parametrize("fit", [False, True], ids=["none", "learn"])
def test_neither_chunks_nor_processes_change_what_is_found(
    shop: tuple[list[Path], dict[bool, Found]], fit: bool, processes: int, size: int
) -> None:
    paths, whole = shop
    found = found_in(*paths, fit=fit, size=size, processes=processes)
    assert (found.lines, found.rejected) == (whole[fit].lines, 0)
    assert facts(found.incidents) == facts(whole[fit].incidents)
    assert {i.kind for i in found.incidents} >= {"path_scan", "error_log_burst"}
    assert sorted(found.evaluations) == sorted(whole[fit].evaluations)


def test_a_message_of_several_lines_is_whole_in_any_chunk(tmp_path: Path) -> None:
    lines = [
        f'2026/01/05 08:{n // 60:02}:{n % 60:02} [error] 7#7: *{n} FastCGI sent in stderr: "PHP '
        'message: PHP Fatal error:  Uncaught\n#0 {main}\n  thrown in /srv/x.php" while reading '
        'response header from upstream, client: 192.0.2.1, server: shop, request: "GET / HTTP/1.1"'
        for n in range(300)
    ]
    path = tmp_path / "error.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    whole = found_in(path)
    assert (whole.lines, whole.rejected) == (300, 0)
    for size in (1000, 10_000):
        found = found_in(path, size=size)
        assert (found.lines, found.rejected) == (300, 0)
        assert found.evaluations == whole.evaluations


def test_times_out_of_the_calendar_are_rejected(tmp_path: Path) -> None:
    years = ("0001", "1969", "1970", "9998", "9999")
    lines = [combined(START, "192.0.2.1", "/", 200).replace("2026", year) for year in years]
    errors = [f"{year}/01/05 08:00:00 [error] 7#7: *1 gone" for year in years]
    paths = write(tmp_path / "web1.log", lines), write(tmp_path / "error.log", errors)
    for fit in (False, True):
        found = found_in(*paths, fit=fit)
        assert (found.lines, found.rejected) == (10, 6)


@pytest.mark.parametrize(
    ("content", "lines", "rejected"),
    [
        (b"", 0, 0),
        (b"\n\n", 2, 2),
        (bytes(range(256)) * 9, 10, 10),
        (b"x" * 3_000_000, 1, 1),
        (b"2026/01/05 08:00:00 [notice] 7#7: started", 1, 0),
    ],
    ids=["empty", "blank lines", "binary", "one long line", "an error log without errors"],
)
def test_files_with_nothing_in_them(
    tmp_path: Path, content: bytes, lines: int, rejected: int
) -> None:
    path = tmp_path / "some.log"
    path.write_bytes(content)
    for fit in (False, True):
        found = found_in(path, fit=fit)
        assert (found.lines, found.rejected, found.incidents) == (lines, rejected, [])


def test_files_of_different_years_are_no_fleet(tmp_path: Path) -> None:
    day = 86_400
    quiet = [combined(START + s, "192.0.2.1", "/", 200) for s in range(0, 4 * day, 600)]
    busy = [
        combined(START + 400 * day + i / 9, f"192.0.2.{i % 200}", "/", 200) for i in range(2000)
    ]
    paths = write(tmp_path / "old.log", quiet), write(tmp_path / "new.log", busy)
    assert names(found_in(*paths, fit=True)) == set()


def test_a_burst_in_an_error_log_is_found(tmp_path: Path) -> None:
    lines = [
        f"2026/01/05 08:00:{i % 50:02} [error] 7#7: *{i} connect() failed (111: Connection "
        "refused) while connecting to upstream, client: 192.0.2.1, server: shop, "
        'request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:1/", host: "shop"'
        for i in range(100)
    ]
    found = found_in(write(tmp_path / "error.log", lines))
    assert names(found) == {("error_log_burst", "error", "upstream_refused")}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not here")
@pytest.mark.parametrize("fit", [False, True], ids=["none", "learn"])
def test_all_real_logs_together(fit: bool) -> None:
    paths = [*REAL.glob("*.log.gz"), *REAL.glob("crowdsec/*/*.log")]
    named = names(found_in(*paths, fit=fit))
    assert named == {
        *(("ip_spike", "http_dos_bypass_cache", f"127.0.0.{n}") for n in (1, 2, 3, 4)),
        ("ip_spike", "http_dos_random_uri", "127.0.0.1"),
        ("path_scan", "http_dos_random_uri", "127.0.0.1"),
        ("path_scan", "nginx_http-logs", "1.2.3.4"),
    }
