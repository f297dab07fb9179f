"""Paths and the templates they fall under."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.logs.routes import MALFORMED, MAX_DEPTH, MAX_LENGTH, http_route

pytestmark = pytest.mark.unit

CASES = [
    ("root", "/", "/"),
    ("plain", "/cart/checkout", "/cart/checkout"),
    ("trailing_slash", "/cart/", "/cart/"),
    ("number", "/users/42", "/users/{id}"),
    ("digit", "/users/7/edit", "/users/{id}/edit"),
    ("neighbours", "/1/2/3", "/{id}/{id}/{id}"),
    ("uuid", "/o/123e4567-e89b-12d3-a456-426614174000", "/o/{id}"),
    ("hash", "/o/d41d8cd98f00b204e9800998ecf8427e/x", "/o/{id}/x"),
    ("date", "/blog/2026-11-23/news", "/blog/{id}/news"),
    ("slug_with_number", "/product/item-31893", "/product/{id}"),
    ("opaque", "/acme/FMuukC2JOJ5HKmLBujjE_BkDo", "/acme/{id}"),
    ("long", "/t/" + "a" * 40, "/t/{id}"),
    ("one_digit", "/step1/a2b/", "/step1/a2b/"),
    ("two_digits_apart", "/a1b2c/d", "/a1b2c/d"),
    ("digit_then_escape", "/a1%20/b", "/{id}/b"),
    ("percent_encoded", "/tag/%D8%B3", "/tag/{id}"),
    ("semicolon", "/a;jsessionid=1/b", "/{id}/b"),
    ("version", "/api/v2/users/42", "/api/v2/users/{id}"),
    ("version_two_digits", "/api/v12/users", "/api/v12/users"),
    ("page", "/about.html", "/about.html"),
    ("script", "/index.php/contact", "/index.php/contact"),
    ("asset", "/assets/app.3f9a.js", "/assets/*.js"),
    ("asset_nested", "/assets/img/p/42/x.webp", "/assets/*.webp"),
    ("asset_at_root", "/favicon.ico", "/*.ico"),
    ("asset_without_name", "/assets/.js", "/assets/*.js"),
    ("no_asset", "/css", "/css"),
    ("asset_upper_case", "/test/PHOTO.JPG", "/test/*.jpg"),
    ("asset_of_a_user", "/user31893/avatar.png", "/{id}/*.png"),
    ("deep", "/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f"),
    ("double_slash", "//admin", "//admin"),
    ("asterisk", "*", "*"),
    ("malformed", "\\x16\\x03", MALFORMED),
    ("authority", "proxy.example:443", MALFORMED),
    ("none", None, None),
]


@pytest.fixture(scope="module")
def routes(spark: SparkSession) -> dict[str, str]:
    rows = spark.createDataFrame(
        [(name, path) for name, path, _ in CASES], "name string, path string"
    )
    return {
        row.name: row.route
        for row in rows.select("name", http_route(F.col("path")).alias("route")).collect()
    }


@pytest.mark.parametrize(("name", "route"), [pytest.param(n, r, id=n) for n, _, r in CASES])
def test_route(routes: dict[str, str], name: str, route: str | None) -> None:
    assert routes[name] == route


def test_hostile_paths_are_bounded(spark: SparkSession) -> None:
    paths = ["/" + "a" * 1_000_000, "/" * 100_000, "/a1/" * 50_000 + "x.js", "/%" * 50_000]
    rows = spark.createDataFrame([(path,) for path in paths], "path string")
    found = [row[0] for row in rows.select(http_route(F.col("path"))).collect()]
    assert len(found) == len(paths)
    for route in found:
        assert len(route) <= MAX_LENGTH + MAX_DEPTH * len("{id}")
        assert route.count("/") <= MAX_DEPTH


def test_a_million_ids_are_one_route(spark: SparkSession) -> None:
    paths = spark.range(100_000).select(
        F.concat(F.lit("/order/"), F.md5(F.col("id").cast("string")))
    )
    routes = paths.toDF("path").select(http_route(F.col("path")).alias("route"))
    found = routes.groupBy("route").count().orderBy(F.desc("count")).collect()
    assert [row.route for row in found] == ["/order/{id}"]
