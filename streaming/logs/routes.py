"""Route templates: the few shapes of the many paths that clients ask for."""

from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

MALFORMED: Final = "{malformed}"
"""The route of a request line that names no path."""

MAX_DEPTH: Final = 6
MAX_LENGTH: Final = 200

_ASSETS: Final = (
    *("css", "js", "mjs", "map", "wasm", "pdf", "zip", "gz"),
    *("png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "bmp"),
    *("woff", "woff2", "ttf", "otf", "eot", "mp3", "mp4", "webm", "ogg"),
)
_FIRST_SEGMENT: Final = r"^(/[^/]{0,64})[^/]*/"
_SAFE: Final = r"[A-Za-z._~*-]"
_OPAQUE: Final = (
    r"/(?!v\d{1,3}(?:/|$))"
    # Possessive, and every step decided by the next character: with a greedy [^/]* in front, half
    # of the time that a template takes is spent on going back.
    rf"(?:\d++|{_SAFE}*+(?:\d{_SAFE}++)*+(?:\d\d|\d?[^A-Za-z0-9._~*/-])[^/]*+"
    r"|(?=[^/]*\d)[^/]{16,}+|[^/]{32,}+)(?=/|$)"
)


def http_route(path: Column) -> Column:
    """Return the template of a path: `/users/42` is `/users/{id}`, `/a/b/c.css` is `/a/*.css`.

    A segment is masked when it is a number, holds two digits in a row or a character outside
    the unreserved set (a percent-encoding, for one), or is long; versions such as `v2` stay.
    At most `MAX_DEPTH` segments are kept, of the first `MAX_LENGTH` characters.
    """
    suffix = F.lower(F.substring_index(path, ".", -1))
    asset = F.concat(F.regexp_extract(path, _FIRST_SEGMENT, 1), F.lit("/*."), suffix)
    shape = F.when(suffix.isin(*_ASSETS), asset).otherwise(
        F.substring_index(path, "/", MAX_DEPTH + 1)
    )
    template = F.regexp_replace(F.substring(shape, 1, MAX_LENGTH), _OPAQUE, "/{id}")
    return F.when(path.startswith("/"), template).when(
        path.isNotNull(), F.when(path == "*", path).otherwise(MALFORMED)
    )
