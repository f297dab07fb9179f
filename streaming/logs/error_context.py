"""What nginx appends to a message about a connection: client, server, request and so on."""

import re
from typing import Final
from urllib.parse import unquote

import polars as pl

from streaming.logs.error_stitching import CLIENT

_LOOKED_AT: Final = 8192
"""Characters of a tail that are looked at."""

_COMPLETE: Final = re.compile(
    rf'(?P<client>{CLIENT}(?:[0-9A-Fa-f.:%]+|unix:)), server: [^",]*, request: "'
)
_REQUEST: Final = r'(?s)^[^"]*, request: "(.*?)(?:", (?:subrequest|upstream|host|referrer): "|"$|$)'
_REQUEST_OF_TAIL: Final = re.compile(_REQUEST)
_OF_TAIL: Final = {
    "client": r"^([^,\s]*)",
    "server": r'^[^,]*, server: ([^",]*)',
    "request": _REQUEST,
    "upstream": r', upstream: "([^"]*)',
    "host": r', host: "([^"]*)',
    "referrer": r'(?s), referrer: "(.*?)"?$',
}
_PRINTS_CLIENT_TEXT: Final = re.compile(r"FastCGI sent in stderr|(?:stream )?\[lua\]|lua |js")


def split_context(bodies: pl.Series) -> pl.DataFrame:
    """Cut texts behind the head of a record into what nginx says and the fields that it appends.

    Columns `said`, `tail` (from the client on, at most 8192 characters), `client`, `server`,
    `request`, `upstream`, `host` and `referrer`; null where absent.
    """
    parts = [(None, None) if body is None else _split(body) for body in bodies.to_list()]
    said, tail = zip(*parts, strict=True) if parts else ((), ())
    split = pl.DataFrame(
        {"said": said, "tail": tail}, schema={"said": pl.String, "tail": pl.String}
    )
    return split.with_columns(
        pl.col("tail").str.extract(expression).alias(name) for name, expression in _OF_TAIL.items()
    )


def _split(body: str) -> tuple[str, str | None]:
    at = _tail_at(body)
    if at is None:
        return body, None
    start = at + len(CLIENT)
    return body[:at], body[start : start + _LOOKED_AT]


def _tail_at(body: str) -> int | None:
    """Return where nginx's own tail starts, None if there is none.

    A client can put a tail into a message, where nginx quotes the path that he asks for, and into
    what follows nginx's own tail, which is his request line and his referrer. A tail is *complete*
    if it goes `, client: ADDRESS, server: NAME, request: "`. The first case that holds decides:

    | case | nginx's own |
    |---|---|
    | there is only one tail | that one |
    | the message is the output of a script, which may hold anything | last |
    | none before the last is complete | last |
    | the message quotes something before the first complete one, and the request of the last, | |
    | decoded, names that one's client: the path brought it into the message | last |
    | the last stands in the request line of the first complete one | first complete |
    | the last stands behind a `, referrer: "` of the first complete one | first complete |
    | the first complete one follows `while reading client request line` | first complete |
    | anything else: the first complete one is quoted in the message | last |
    """
    first, last = body.find(CLIENT), body.rfind(CLIENT)
    if first == last:
        return None if last < 0 else last
    complete = _COMPLETE.search(body, 0, last)
    if complete is None or _PRINTS_CLIENT_TEXT.match(body):
        return last
    before, between = body[: complete.start()], body[complete.start() : last]
    if '"' in before and _asks_for(complete["client"], body[last + len(CLIENT) :]):
        return last
    holds_last = (
        between.count('"') == 1
        or ', referrer: "' in between
        or before.endswith("while reading client request line")
    )
    return complete.start() if holds_last else last


def _asks_for(text: str, tail: str) -> bool:
    """Whether the request line of a tail, once decoded, holds a text."""
    request = _REQUEST_OF_TAIL.match(tail[:_LOOKED_AT])
    return request is not None and text in unquote(request[1])
