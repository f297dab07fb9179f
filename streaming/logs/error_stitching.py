r"""Which physical lines of an nginx error log make up one record.

nginx decodes `%0A` in a URL, so a client can break a record and go on with text that looks like
another. The lines of a file are therefore read together, in the order of the topic:

1. A record of a connection (`*7`) that quotes something, or that a script printed, *opens* unless
   it also closes. A line *closes* that ends with what nginx appends (`, client: …`).
2. While a record is open, each line belongs to it, whatever it looks like, up to the line that
   closes it. A record never exceeds the 2048 bytes of nginx, and its lines adjoin in the file.
3. A client may write such an end himself. The request that nginx appends then gives him away: with
   k `%0A` in its path, the record began k lines earlier, if that line ends as the path does before
   its first `%0A`, and this one starts as the path does behind its last. That earlier line opens,
   and none between closes.

Example: the request `GET /x%22,%20client:%206.6.6.6%0A2026/11/23%2009:59:59%20[emerg]…%0Ae`, for a
file that does not exist, gives three lines:

    1  2026/11/23 10:00:00 [error] 9#9: *7 open() "/srv/x", client: 6.6.6.6
    2  2026/11/23 09:59:59 [emerg] 1#1: gone
    3  e" failed (2: No such file…), client: 10.0.0.9, …, request: "GET /x%22,…%0A2026…%0Ae HTTP…"

Line 1 seems to close itself, and line 2 looks like a record. But the path in line 3 holds two
`%0A`, line 1 ends with `/x", client: 6.6.6.6`, and line 3 starts with `e`. So line 1 opens, and all
three are one record.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from urllib.parse import unquote_to_bytes

import polars as pl

NGX_MAX_ERROR_STR: Final = 2048
"""Most bytes of one record, its newline among them (nginx, src/core/ngx_log.h); cut beyond."""

HEAD: Final = (
    r"^(?P<written>[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) "
    r"\[(?P<level>[a-z]{4,6})\] (?P<process_pid>[0-9]{1,18})#(?P<thread_id>[0-9]{1,18}): "
)
"""How each record starts."""

CONNECTION: Final = r"\*(?P<connection_id>[0-9]{1,18}) "
"""What follows in a record that is about a connection."""

CLIENT: Final = ", client: "
"""How the part starts that nginx appends to a message about a connection."""

_CLIENT: Final = CLIENT.encode()
_HEAD: Final = re.compile(HEAD.encode())
_OF_CONNECTION: Final = re.compile((HEAD + CONNECTION).encode())
_OF_SCRIPT: Final = (b"[lua]", b"lua ", b"js", b"perl", b"stream [lua]")
_ENDS_UNQUOTED: Final = re.compile(rb"(?:, context: [a-z_.*]+|, bytes from/to upstream:\d+/\d+)$")
_PATH: Final = re.compile(rb"[^ \"]+ ([^ ?]*)")
_NEWLINE: Final = re.compile(rb"%0a", re.IGNORECASE)
_SLASHES: Final = re.compile(rb"/+")
_DATE_LENGTH: Final = 19
_NOWHERE: Final = -1

_FILE: Final = ("server_address", "log_file")
_ROW: Final = "stitch_row"


@dataclass(slots=True)
class _Line:
    """One line of a file; `start` is its byte offset, `end` that of the next line.

    A line that no other can be joined to has both at `_NOWHERE`, and no value.
    """

    value: bytes
    start: int
    end: int
    opens: bool = False
    closes: bool = False


@dataclass(frozen=True, slots=True, order=True)
class _Claim:
    """What a request with `%0A` in its path says: the line its record began at, and how it ends."""

    first: int
    ending: bytes


def stitch(records: pl.DataFrame) -> pl.DataFrame:
    r"""Join the lines of a bounded batch (`frames.RECORD`) that nginx wrote as one record.

    A joined record has the place of its first line and the lines joined by `\n` as its value. All
    others stay as they are, in the order of the batch. A record that is still open at the end of
    the batch is joined as far as it goes.

    What a client can still do: pass off a line as a record of its own where nginx logs at level
    `debug`, where the batch ends between the two lines, where he forges the end and hides the
    number of lines behind dot segments (`/../`) or in text that is not his URL (a user name,
    what a script prints); hide the next record in his own where a module writes quoted text
    without `client:`. He can never name another server or a time out of range.
    """
    suspects = records.filter(_may_join()).select(_FILE).unique()
    if suspects.is_empty():
        return records
    numbered = records.with_row_index(_ROW)
    lines = numbered.join(suspects, on=_FILE, how="semi", nulls_equal=True)
    files = lines.sort("kafka_partition", "kafka_offset").partition_by(_FILE)
    found = [record for file in files for record in _joined(file)]
    if not found:
        return records
    continued = [row for rows, _ in found for row in rows[1:]]
    joined = pl.DataFrame(
        {_ROW: [rows[0] for rows, _ in found], "joined": [value for _, value in found]},
        schema={_ROW: numbered.schema[_ROW], "joined": pl.Binary},
    )
    return (
        numbered.filter(~pl.col(_ROW).is_in(continued))
        .join(joined, on=_ROW, how="left", maintain_order="left")
        .with_columns(pl.coalesce("joined", "value").alias("value"))
        .select(records.columns)
    )


def _may_join() -> pl.Expr:
    """Whether a line may open a record or claim earlier lines, at the price of a few searches."""
    value = pl.col("value").bin
    closes = value.contains(_CLIENT) & value.ends_with(b'"')
    is_open = pl.any_horizontal(value.contains(mark) for mark in (b'"', *_OF_SCRIPT))
    opens = value.contains(b": *") & is_open & ~closes
    return opens | value.contains(b"%0A") | value.contains(b"%0a")


def _joined(file: pl.DataFrame) -> Iterator[tuple[list[int], bytes]]:
    """Yield the rows and the joined value of each record of several lines."""
    values, starts = file["value"].to_list(), file["byte_offset"].to_list()
    lines = [_line(value, start) for value, start in zip(values, starts, strict=True)]
    _trace(lines)
    rows = file[_ROW].to_list()
    for _, places in groupby(range(len(lines)), key=_first_lines(lines).__getitem__):
        record = [*places]
        if len(record) > 1:
            yield [rows[at] for at in record], b"\n".join(lines[at].value for at in record)


def _line(value: bytes | None, start: int | None) -> _Line:
    # A line of the full length is a record by itself: nginx cut it, or another program wrote it.
    if value is None or start is None or len(value) + 1 >= NGX_MAX_ERROR_STR:
        return _Line(b"", _NOWHERE, _NOWHERE)
    closes = _closes(value)
    return _Line(value, start, start + len(value) + 1, not closes and _opens(value), closes)


def _opens(value: bytes) -> bool:
    """Whether a line is a record of a connection that quotes something or is a script's."""
    head = _OF_CONNECTION.match(value)
    if head is None or head["level"] == b"debug":
        return False
    return b'"' in value or value.startswith(_OF_SCRIPT, head.end())


def _closes(value: bytes) -> bool:
    """Whether a line ends with what nginx appends to a message about a connection."""
    _, client, after = value.rpartition(_CLIENT)
    if client and (b'"' not in after or after.endswith(b'"')):
        return True
    return _ENDS_UNQUOTED.search(value) is not None


def _trace(lines: list[_Line]) -> None:
    """Correct `opens` and `closes` where a later request tells that its URL broke the record."""
    earliest: _Claim | None = None
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        claim = _claim(lines, number)
        if earliest is not None and earliest.first <= number:
            line.closes = False
            if earliest.first == number and line.value.endswith(earliest.ending):
                line.opens = line.opens or _OF_CONNECTION.match(line.value) is not None
        if claim is not None and (earliest is None or claim < earliest):
            earliest = claim


def _claim(lines: list[_Line], number: int) -> _Claim | None:
    """Return which earlier line the record of a closing line began at, by the path it asks for."""
    line = lines[number]
    if not line.closes:
        return None
    before, _, request = line.value.rpartition(_CLIENT)[2].partition(b'"')
    path = _PATH.match(request) if before.endswith(b", request: ") else None
    parts = _NEWLINE.split(path[1]) if path else []
    if len(parts) < 2:
        return None
    of_first, of_last = unquote_to_bytes(parts[0]), _SLASHES.sub(b"/", unquote_to_bytes(parts[-1]))
    if not line.value.startswith(of_last[:_DATE_LENGTH]):
        return None
    if not of_last and _HEAD.match(line.value):
        return None
    first = number - len(parts) + 1
    # More than a record holds is no claim, or a request could undo the ends of lines far back.
    if line.end - lines[max(first, 0)].start > NGX_MAX_ERROR_STR:
        return None
    return _Claim(first, b"/" + of_first.rpartition(b"/")[2])


def _first_lines(lines: list[_Line]) -> list[int]:
    """Return for each line the number of the line that its record starts with."""
    firsts: list[int] = []
    first, end, is_open = 0, _NOWHERE, False
    for number, line in enumerate(lines):
        adjoins = is_open and line.start == end
        belongs = adjoins and line.end - lines[first].start <= NGX_MAX_ERROR_STR
        if not belongs:
            first = number
        firsts.append(first)
        is_open = not line.closes if belongs else line.opens
        end = line.end
    return firsts
