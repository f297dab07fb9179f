"""What counts as load and as missing in a profile."""

from typing import NamedTuple

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.windows.traffic_profile import PAGE_PARTS, traffic_profiles
from tests.fixtures.lines import access_logs

pytestmark = pytest.mark.unit

BROWSER = "Mozilla/5.0"
PAGE = "https://shop.example/"


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


def logs_of(spark: SparkSession, lines: list[Line]) -> DataFrame:
    """Lines of one client in one window."""
    rows = spark.createDataFrame(
        lines,
        "url_path string, http_response_status_code int, http_request_referrer string, "
        "user_agent_original string",
    ).withColumns(
        {
            "event_time": F.timestamp_seconds(F.lit(1_767_600_000)),
            "server_address": F.lit("web1"),
            "client_address": F.lit("192.0.2.1"),
        }
    )
    return access_logs(rows)


@pytest.mark.parametrize(("lines", "load"), LOADS)
def test_load_leaves_out_the_parts_of_pages(
    spark: SparkSession, lines: list[Line], load: int
) -> None:
    profiles = (
        traffic_profiles(logs_of(spark, lines))
        .select("server_address", "load", "requests")
        .collect()
    )
    assert {tuple(row) for row in profiles} == {("web1", load, len(lines)), ("*", load, len(lines))}


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
def test_what_a_scanner_looks_for_counts_as_missing(
    spark: SparkSession, path: str, status: int, missing: bool
) -> None:
    (profile,) = traffic_profiles(logs_of(spark, [Line(path, status)]), fleet=False).collect()
    assert [row["missing"] for row in profile["clients_with_404s"]] == (
        [[path.lower()]] if missing else []
    )
