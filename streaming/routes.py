"""Route templates: the few shapes of the many paths that clients ask for."""

from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

MALFORMED: Final = "{malformed}"
"""The route of a request line that names no path."""

MAX_DEPTH: Final = 6
MAX_LENGTH: Final = 200

_ASSET: Final = (
    r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|bmp"
    r"|woff2?|ttf|otf|eot|mp[34]|webm|ogg|wasm|pdf|zip|gz)$"
)
_FIRST_SEGMENT: Final = r"^(/[^/]{0,64})[^/]*/"
_OPAQUE: Final = (
    r"/(?!v\d{1,3}(?:/|$))"
    r"(?:\d+|[^/]*(?:\d\d|[^A-Za-z0-9._~*/-])[^/]*|(?=[^/]*\d)[^/]{16,}|[^/]{32,})(?=/|$)"
)


def http_route(path: Column) -> Column:
    """Return the template of a path: `/users/42` is `/users/{id}`, `/a/b/c.css` is `/a/*.css`.

    A segment is masked when it is a number, holds two digits in a row or a character outside
    the unreserved set (a percent-encoding, for one), or is long; versions such as `v2` stay.
    At most `MAX_DEPTH` segments are kept, of the first `MAX_LENGTH` characters.
    """
    suffix = F.lower(F.regexp_extract(F.substring(path, -8, 8), _ASSET, 0))
    asset = F.concat(F.regexp_extract(path, _FIRST_SEGMENT, 1), F.lit("/*"), suffix)
    shape = F.when(suffix == "", F.substring_index(path, "/", MAX_DEPTH + 1)).otherwise(asset)
    template = F.regexp_replace(F.substring(shape, 1, MAX_LENGTH), _OPAQUE, "/{id}")
    return F.when(path.startswith("/"), template).when(
        path.isNotNull(), F.when(path == "*", path).otherwise(MALFORMED)
    )
