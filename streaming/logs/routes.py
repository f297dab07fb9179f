"""Route templates: the few shapes of the many paths that clients ask for."""

from typing import Final

import polars as pl

MALFORMED: Final = "{malformed}"
"""The route of a request line that names no path."""

MAX_DEPTH: Final = 6
MAX_LENGTH: Final = 200

_ASSETS: Final = (
    *("css", "js", "mjs", "map", "wasm", "pdf", "zip", "gz"),
    *("png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "bmp"),
    *("woff", "woff2", "ttf", "otf", "eot", "mp3", "mp4", "webm", "ogg"),
)
_LONGEST: Final = max(map(len, _ASSETS))
_SUFFIX: Final = rf"\.([0-9A-Za-z]{{2,{_LONGEST}}})$"
_FIRST_SEGMENT: Final = r"^(/[^/]{0,64})[^/]*/"
_VERSION: Final = r"^v[0-9]{1,3}$"
_OPAQUE: Final = r"[0-9][0-9]|[^A-Za-z0-9._~*-]|^[0-9]$"
_ID_LENGTH: Final = 16
_LONG_LENGTH: Final = 32


def http_route(path: pl.Expr) -> pl.Expr:
    """Return the template of a path: `/users/42` is `/users/{id}`, `/a/b/c.css` is `/a/*.css`.

    A segment is masked when it is a number, holds two digits in a row or a character outside
    the unreserved set (a percent-encoding, for one), or is long; versions such as `v2` stay.
    At most `MAX_DEPTH` segments are kept, of the first `MAX_LENGTH` characters.
    """
    rooted = pl.when(path.str.starts_with("/")).then(path)
    suffix = rooted.str.tail(1 + _LONGEST).str.extract(_SUFFIX).str.to_lowercase()
    is_asset = suffix.is_in(_ASSETS)
    folder = pl.when(is_asset).then(rooted).str.extract(_FIRST_SEGMENT).fill_null("")
    shape = pl.when(is_asset).then(pl.concat_str(folder, pl.lit("/*."), suffix)).otherwise(rooted)
    segments = shape.str.head(MAX_LENGTH).str.split("/").list.head(MAX_DEPTH + 1)
    template = segments.list.eval(_masked(pl.element())).list.join("/")
    other = pl.when(path == "*").then(path).when(path.is_not_null()).then(pl.lit(MALFORMED))
    return pl.coalesce(template, other)


def _masked(segment: pl.Expr) -> pl.Expr:
    length = segment.str.len_bytes()
    is_id = (length >= _ID_LENGTH) & segment.str.contains("[0-9]")
    is_opaque = segment.str.contains(_OPAQUE) | is_id | (length >= _LONG_LENGTH)
    is_version = segment.str.contains(_VERSION)
    return pl.when(is_opaque & ~is_version).then(pl.lit("{id}")).otherwise(segment)
