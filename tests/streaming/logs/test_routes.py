"""Paths and the templates they fall under."""

import hashlib
import time

import polars as pl
import pytest

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
    ("31_letters", "/t/" + "a" * 31, "/t/" + "a" * 31),
    ("32_letters", "/t/" + "a" * 32, "/t/{id}"),
    ("15_with_a_digit", "/t/" + "a" * 14 + "1", "/t/" + "a" * 14 + "1"),
    ("16_with_a_digit", "/t/" + "a" * 15 + "1", "/t/{id}"),
    ("letters_beyond_ascii", "/t/été", "/t/{id}"),
    ("one_digit", "/step1/a2b/", "/step1/a2b/"),
    ("two_digits_apart", "/a1b2c/d", "/a1b2c/d"),
    ("digit_then_escape", "/a1%20/b", "/{id}/b"),
    ("percent_encoded", "/tag/%D8%B3", "/tag/{id}"),
    ("semicolon", "/a;jsessionid=1/b", "/{id}/b"),
    ("version", "/api/v2/users/42", "/api/v2/users/{id}"),
    ("version_two_digits", "/api/v12/users", "/api/v12/users"),
    ("versions_side_by_side", "/v1/v2/v33", "/v1/v2/v33"),
    ("version_of_four_digits", "/v1234/a", "/{id}/a"),
    ("no_version_but_its_start", "/v12x/a", "/{id}/a"),
    ("page", "/about.html", "/about.html"),
    ("script", "/index.php/contact", "/index.php/contact"),
    ("asset", "/assets/app.3f9a.js", "/assets/*.js"),
    ("asset_nested", "/assets/img/p/42/x.webp", "/assets/*.webp"),
    ("asset_at_root", "/favicon.ico", "/*.ico"),
    ("asset_without_name", "/assets/.js", "/assets/*.js"),
    ("no_asset", "/css", "/css"),
    ("asset_upper_case", "/test/PHOTO.JPG", "/test/*.jpg"),
    ("asset_of_five_letters", "/fonts/a1.woff2", "/fonts/*.woff2"),
    ("asset_under_a_long_folder", "/" + "b" * 70 + "/x.css", "/{id}/*.css"),
    ("no_asset_but_its_end", "/a/x.xjs", "/a/x.xjs"),
    ("dot_at_the_end", "/a/js.", "/a/js."),
    ("asset_of_a_user", "/user31893/avatar.png", "/{id}/*.png"),
    ("deep", "/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f"),
    ("deep_with_a_slash_at_the_end", "/a/b/c/d/e/f/", "/a/b/c/d/e/f"),
    ("cut_at_200", "/" + "a" * 9 + "/" + "b/" * 3 + "c" * 190, "/" + "a" * 9 + "/b/b/b/{id}"),
    ("double_slash", "//admin", "//admin"),
    ("asterisk", "*", "*"),
    ("malformed", "\\x16\\x03", MALFORMED),
    ("authority", "proxy.example:443", MALFORMED),
    ("none", None, None),
]


def routes(paths: list[str | None]) -> list[str | None]:
    return pl.DataFrame({"path": paths}).select(http_route(pl.col("path")))["path"].to_list()


@pytest.mark.parametrize(
    ("path", "route"), [pytest.param(path, route, id=name) for name, path, route in CASES]
)
def test_route(path: str | None, route: str | None) -> None:
    # Beside another path, so that a null is a text.
    assert routes([path, "/"]) == [route, "/"]


HOSTILE = {
    "one_long_segment": "/" + "a" * 1_000_000,
    "slashes": "/" * 1_000_000,
    "segments_before_an_asset": "/a1/" * 250_000 + "x.js",
    "long_segment_before_an_asset": "/" + "a" * 1_000_000 + "/x.js",
    "percent_signs": "/%" * 500_000,
    "dots": "/" + "." * 1_000_000,
    "digits": "/" + "1" * 1_000_000,
    "digits_apart": "/" + "a1" * 500_000,
    "no_slash": "a" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_paths_are_bounded(name: str) -> None:
    began = time.process_time()
    (route,) = routes([HOSTILE[name]])
    assert time.process_time() - began < 0.5
    assert len(route) <= MAX_LENGTH + MAX_DEPTH * len("{id}")
    assert route.count("/") <= MAX_DEPTH


def test_a_million_ids_are_one_route() -> None:
    paths = [f"/order/{hashlib.md5(b'%d' % i).hexdigest()}" for i in range(100_000)]
    assert set(routes(paths)) == {"/order/{id}"}
