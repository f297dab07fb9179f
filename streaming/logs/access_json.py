r"""Access lines in JSON to columns, one per key of `contracts.access_line`.

msgspec reads nearly every line. What it refuses is read again, alone and tolerantly, for a client
can bring it about: nginx without `escape=json` writes a quote as `\x22`, and a missing status
as 000.
"""

import json
import math
import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
import polars as pl

from streaming.contracts.access_line import MeasuredLine, Whole

NUMBERS: Final[Mapping[str, pl.DataType]] = {
    "msec": pl.Float64(),
    "request_time": pl.Float64(),
    "status": pl.Int64(),
    "body_bytes_sent": pl.Int64(),
    "request_length": pl.Int64(),
}
"""Types of the keys that are no texts."""

_UNREADABLE: Final = {"msec": math.nan, "status": -1}
"""What stands for a number that cannot be read: it is there, and it is refused."""

_REAL: Final[Any] = float | None
_WHOLE: Final[Any] = Whole | None
_MAX_DIGITS: Final = 64
_TOO_LARGE: Final = 2**63
_UNKNOWN_ESCAPE: Final = re.compile(r'\\(?!["/bfnrt]|u[0-9A-Fa-f]{4})')
# Only the quote that ends a key follows a letter: one in a text follows a backslash.
_LEADING_ZEROS: Final = re.compile(r'(?<=[A-Za-z0-9_]":)( *-?)0+(?=[0-9])')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Numbers stay texts, since an integer of many digits takes long to make.
_TOLERANT: Final = json.JSONDecoder(
    strict=False, parse_int=str, parse_float=str, parse_constant=str
)


def json_fields(values: pl.Series, shape: type[MeasuredLine]) -> pl.DataFrame:
    """Return a column per key of `shape`, and `is_read`: false for a line that is no object.

    `values` are lines as bytes that start with `{`, or null, for which `is_read` is null. Of a
    key that is given twice the last one counts. A text is valid Unicode: what was not is U+FFFD.
    """
    decode = msgspec.json.Decoder(shape, strict=False).decode
    lines: list[MeasuredLine | None] = []
    append = lines.append
    for value in values.fill_null(b"{}").to_list():
        try:
            append(decode(value))
        except (msgspec.MsgspecError, RecursionError):
            append(_tolerantly(value, shape))
    nothing = shape()
    filled = [line or nothing for line in lines]
    fields = pl.DataFrame(
        pl.Series(key, list(map(attrgetter(key), filled)), NUMBERS.get(key, pl.String()))
        for key in shape.__struct_fields__
    )
    is_read = pl.Series([line is not None for line in lines], dtype=pl.Boolean)
    return fields.with_columns(pl.when(values.is_not_null()).then(is_read).alias("is_read"))


def _tolerantly(value: bytes, shape: type[MeasuredLine]) -> MeasuredLine | None:
    """Return what a line says that msgspec refuses, or None if it is no object.

    A backslash before anything but a JSON escape is left out, zeros may lead a number, control
    characters may stand in a text, and what follows the object is ignored.
    """
    # A backslash that is itself escaped escapes nothing.
    pieces = value.decode("utf-8", "replace").lstrip(" ").split(r"\\")
    text = r"\\".join(_UNKNOWN_ESCAPE.sub("", piece) for piece in pieces)
    try:
        found = _object(text)
        return shape(**{key: _field(key, found.get(key)) for key in shape.__struct_fields__})
    except (ValueError, RecursionError):
        return None


def _object(text: str) -> dict[str, Any]:
    try:
        return _TOLERANT.raw_decode(text)[0]
    except ValueError:
        return _TOLERANT.raw_decode(_LEADING_ZEROS.sub(r"\1", text))[0]


def _field(key: str, found: Any) -> Any:
    if found is None:
        return None
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    return _number(text, key) if key in NUMBERS else text


def _number(text: str, key: str) -> float | None:
    """Return a number of the type of its key, else what stands for one that is unreadable."""
    is_real = NUMBERS[key] == pl.Float64
    if len(text) > _MAX_DIGITS:
        return _UNREADABLE.get(key)
    try:
        # As msgspec reads it in a line that it does not refuse.
        return msgspec.convert(text, _REAL if is_real else _WHOLE, strict=False)
    except msgspec.ValidationError:
        return _padded_number(text, key, float if is_real else int)


def _padded_number(text: str, key: str, kind: type[float] | type[int]) -> float | None:
    """Return a number that has zeros or blanks around it."""
    try:
        number = kind(text)
    except ValueError:
        return _UNREADABLE.get(key)
    return number if abs(number) < _TOO_LARGE else _UNREADABLE.get(key)
