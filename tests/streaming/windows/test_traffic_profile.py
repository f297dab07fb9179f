"""What a traffic profile holds: load, missing paths, and every column against the oracle."""

import gzip
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.contracts import frames, names
from streaming.logs.access import parse_access
from streaming.windows.clients import PAGE_PARTS
from streaming.windows.requests import Requests, merged, requests_of
from streaming.windows.traffic_profile import profiles_of, traffic_profiles
from tests.fixtures.lines import access_logs
from tests.streaming.windows import oracle

pytestmark = pytest.mark.unit

BROWSER = "Mozilla/5.0"
PAGE = "https://shop.example/"
START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)

REAL: Final = Path(__file__).parents[4] / "shared" / "data"

Row = dict[str, Any]


class Line(NamedTuple):
    url_path: str
    http_response_status_code: int = 200
    http_request_referrer: str | None = None
    user_agent_original: str | None = BROWSER


LOADS = [
    pytest.param([Line(f"/{i}.css") for i in range(20)], 0, id="static_files"),
    pytest.param(
        [Line(f"/{i}.gif") for i in range(9)] * 4, 0, id="static_files_of_four_page_views"
    ),
    pytest.param([Line("/a.css")] * 20, 16, id="static_file_again_and_again"),
    pytest.param([Line(f"/img/{i}", 200, PAGE) for i in range(20)], 0, id="parts_of_a_page"),
    pytest.param(
        [Line(f"/{i}", 200, PAGE) for i in range(50)],
        50 - PAGE_PARTS,
        id="more_parts_than_a_page_has",
    ),
    pytest.param([Line(f"/img/{i}") for i in range(20)], 20, id="without_referrer"),
    pytest.param(
        [Line(f"/{i}", 200, None, None) for i in range(20)], 0, id="common_format_knows_no_referrer"
    ),
    pytest.param([Line("/", 200, None, None)] * 40, 39, id="one_path_of_common_format"),
    pytest.param([Line(f"/{i}", 404, PAGE) for i in range(9)], 9, id="missing_paths"),
]


def logs_of(lines: list[Line]) -> pl.DataFrame:
    """Lines of one client in one window."""
    always = {"event_time": START, "server_address": "web1", "client_address": "192.0.2.1"}
    return access_logs({**always, **line._asdict()} for line in lines)


@pytest.mark.parametrize(("lines", "load"), LOADS)
def test_load_leaves_out_the_parts_of_pages(lines: list[Line], load: int) -> None:
    profiles = traffic_profiles(logs_of(lines)).select("server_address", "load", "requests")
    assert profiles.rows() == [("*", load, len(lines)), ("web1", load, len(lines))]


MISSING = [
    pytest.param("/old-page", 404, True, id="not_found"),
    pytest.param("/private/", 403, True, id="forbidden"),
    pytest.param("/new-page", 200, False, id="found"),
    pytest.param("/gone.png", 404, False, id="missing_picture"),
    pytest.param("/phpMyAdmin-2.8/index.php", 302, True, id="front_end_behind_a_redirect"),
    pytest.param("/web/pma/index.php", 200, True, id="front_end_in_a_folder"),
    pytest.param("/phpmyadmin/sql.php", 200, False, id="page_of_a_front_end_in_use"),
    pytest.param("/api/.env.bak", 200, True, id="secret_on_a_server_that_answers_all"),
    pytest.param("/.git/config", 200, True, id="repository_left_behind"),
    pytest.param("/tools/site.git/objects/info/packs", 200, False, id="repository_that_is_served"),
    pytest.param("/.env", 500, False, id="secret_that_failed"),
    pytest.param("/mysql-tutorial/index.php", 200, False, id="page_of_the_same_letters"),
]


@pytest.mark.parametrize(("path", "status", "missing"), MISSING)
def test_what_a_scanner_looks_for_counts_as_missing(path: str, status: int, missing: bool) -> None:
    (profile,) = traffic_profiles(logs_of([Line(path, status)]), fleet=False).to_dicts()
    assert [row["missing"] for row in profile["clients_with_404s"]] == (
        [[path.lower()]] if missing else []
    )


BUCKETS = [
    pytest.param(0.0, 0, id="at_once"),
    pytest.param(0.001, 0, id="end_of_the_first"),
    pytest.param(0.0011, 1, id="second"),
    pytest.param(0.002, 4, id="end_of_a_doubling"),
    pytest.param(0.512, 36, id="end_of_nine_doublings"),
    pytest.param(0.513, 37, id="after_nine_doublings"),
    pytest.param(46.0, 62, id="end_of_the_last_but_one"),
    pytest.param(3600.0, 63, id="everything_longer"),
]


@pytest.mark.parametrize(("seconds", "bucket"), BUCKETS)
def test_request_times_fall_into_quarters_of_doublings(seconds: float, bucket: int) -> None:
    logs = logs_of([Line("/")]).with_columns(http_server_request_duration=pl.lit(seconds))
    (counts,) = traffic_profiles(logs, fleet=False)["latency_counts"].to_list()
    assert [i for i, count in enumerate(counts) if count] == [bucket]


def test_voters_stay_the_same_for_ever() -> None:
    (profile,) = traffic_profiles(logs_of([Line("/gone", 404)]), fleet=False).to_dicts()
    assert [shared["voters"] for shared in profile["shared_paths"]] == [[-4002298405475112943]]


PATHS: Final = (
    *("/", "/cart", "//Cart//", "/a.css", "/b/C.PNG", "/a.css.map", "/.env", "/api/.git/config"),
    *("/pma/index.php", "/Ümlaut/ÄÖ", "/İ", "/" + "x" * 300, "/" + "x" * 300 + "y", "", None),
)
ROW: Final = {
    "event_time": st.integers(0, 39_999).map(lambda ms: START + timedelta(milliseconds=ms)),
    "server_address": st.sampled_from(["web1", "web2", "web3"]),
    "client_address": st.sampled_from(["192.0.2.1", "192.0.2.10", "192.0.2.9", None]),
    "url_path": st.sampled_from(PATHS),
    "http_route": st.sampled_from(["/", "/{id}", "", None]),
    "http_response_status_code": st.sampled_from(
        [None, 101, 200, 206, 302, 399, 400, 403, 404, 405, 410, 444, 499, 500, 503, 600]
    ),
    "http_response_body_size": st.none() | st.integers(0, 2**40),
    "http_server_request_duration": st.none()
    | st.sampled_from([0.0, 5e-7, 0.0595, 3600.0])
    | st.integers(0, 60_000).map(lambda ms: ms / 1000),
    "http_request_referrer": st.sampled_from([None, PAGE]),
    "user_agent_original": st.sampled_from([None, BROWSER]),
}
LINES: Final = st.lists(st.fixed_dictionaries(ROW), min_size=1, max_size=80)


def crowd(rng: random.Random) -> Iterator[Row]:
    """One window with more clients, paths, routes and missing paths than a profile keeps."""
    for i in range(700):
        status = 404 if i % 3 == 0 else 200
        yield row(rng, 9, f"10.0.0.{i}", f"/item/{i % 450}", status, f"/r{i % 250}")
    for i in range(100):
        yield row(rng, 9, "192.0.2.1", f"/Scan//{i}", 404, "/scan")
        yield row(rng, 9, "192.0.2.2", f"/page/{i}", 200, f"/r{i}")
        yield row(rng, 9, "192.0.2.3", f"/page/{i % 7}", 503, f"/r{i}")
    for i in range(240):
        yield row(rng, 9, f"10.1.0.{i % 12}", f"/broken/{i % 3}", 404, None)
    # Clients of each share of missing paths, of which the ordinary ones vote.
    for n in (3, 4, 10):
        for k in range(n + 1):
            for i in range(n):
                yield row(rng, 9, f"10.2.{n}.{k}", f"/link/{i}", 404 if i < k else 200, None)


def ties(rng: random.Random) -> Iterator[Row]:
    """Few clients with many lines in several windows."""
    for _ in range(1500):
        status = rng.choice((200, 304, 399, 400, 404, 500))
        yield row(rng, 20, f"192.0.2.{rng.randrange(9)}", rng.choice(PATHS), status, None)


def row(
    rng: random.Random, seconds: int, client: str, path: str | None, status: int, route: str | None
) -> Row:
    return {
        "event_time": START + timedelta(milliseconds=rng.randrange(seconds * 1000)),
        "server_address": rng.choice(("web1", "web1", "web1", "web2")),
        "client_address": client,
        "url_path": path,
        "http_route": route,
        "http_response_status_code": status,
        "http_response_body_size": rng.choice((None, rng.randrange(60_000))),
        "http_server_request_duration": rng.choice((None, round(rng.expovariate(20), 3))),
        "http_request_referrer": rng.choice((None, PAGE)),
        "user_agent_original": rng.choice((None, BROWSER)),
    }


@pytest.mark.parametrize("lines", [crowd, ties])
@pytest.mark.parametrize("fleet", [True, False], ids=["fleet", "servers"])
def test_every_column_is_that_of_the_oracle(
    lines: Callable[[random.Random], Iterator[Row]], fleet: bool
) -> None:
    rows = list(lines(random.Random(1)))
    profiles = traffic_profiles(access_logs(rows), fleet=fleet)
    assert profiles.schema == pl.Schema(frames.TRAFFIC_PROFILES)
    assert profiles.to_dicts() == oracle.traffic_profiles(rows, fleet=fleet)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not here")
@pytest.mark.parametrize("log", ["benign_blog_combined.log.gz", "shop_access_combined.log.gz"])
def test_real_logs_make_the_profiles_of_the_oracle(log: str) -> None:
    lines = gzip.decompress((REAL / log).read_bytes()).splitlines()
    records = pl.DataFrame(
        {
            "value": lines,
            "topic": names.TOPIC_ACCESS,
            "kafka_partition": 0,
            "kafka_offset": range(len(lines)),
            "ingested_at": START,
            "server_address": [f"web{i % 2}" for i in range(len(lines))],
            "log_file": log,
            "byte_offset": None,
        },
        schema=frames.RECORD,
    )
    logs = parse_access(records, history_days=None).filter(pl.col("reason").is_null())
    assert traffic_profiles(logs).to_dicts() == oracle.traffic_profiles(logs.to_dicts())


@settings(max_examples=25, deadline=None)
@given(LINES, st.lists(st.integers(0, 80), max_size=4), st.booleans())
def test_parts_in_any_order_make_the_same_profiles(
    rows: list[Row], cuts: list[int], fleet: bool
) -> None:
    edges = [0, *sorted(cuts), len(rows)]
    parts = [requests_of(access_logs(rows[first:last])) for first, last in pairwise(edges)]
    profiles = profiles_of(merged(parts[::-1]), fleet=fleet)
    assert profiles.to_dicts() == oracle.traffic_profiles(rows, fleet=fleet)


def test_the_same_requests_in_several_parts_add_up() -> None:
    rows = list(ties(random.Random(3)))
    parts = [requests_of(access_logs(rows[i::3])) for i in range(3)]
    assert profiles_of(merged(parts)).equals(traffic_profiles(access_logs(rows)))


def test_parts_come_back_from_files_and_may_be_cut_by_window(tmp_path: Path) -> None:
    requests = requests_of(access_logs(ties(random.Random(2))))
    later = pl.col("window_start") >= START + timedelta(seconds=names.WINDOW_SECONDS)
    requests.rows.write_ipc(tmp_path / "rows.arrow")
    requests.latencies.write_ipc(tmp_path / "latencies.arrow")
    read = Requests(
        pl.read_ipc(tmp_path / "rows.arrow").filter(later),
        pl.read_ipc(tmp_path / "latencies.arrow").filter(later),
    )
    assert profiles_of(read).equals(profiles_of(requests).filter(later))


def test_no_lines_make_no_profiles() -> None:
    nothing = requests_of(access_logs([]))
    profiles = profiles_of(merged([nothing, nothing]))
    assert (profiles.schema, len(profiles)) == (pl.Schema(frames.TRAFFIC_PROFILES), 0)
