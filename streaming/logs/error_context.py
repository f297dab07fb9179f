"""What nginx appends to a message about a connection: client, server, request and so on."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from streaming.logs.error_stitching import CLIENT

_LOOKED_AT: Final = 8192
_COMPLETE: Final = r', client: (?:[0-9A-Fa-f.:%]+|unix:), server: [^",]*, request: "'
_REQUEST: Final = r'(?s)^[^"]*, request: "(.*?)(?:", (?:subrequest|upstream|host|referrer): "|"$|$)'
_OF_TAIL: Final = {
    "client": r"^([^,\s]*)",
    "server": r'^[^,]*, server: ([^",]*)',
    "request": _REQUEST,
    "upstream": r', upstream: "([^"]*)',
    "host": r', host: "([^"]*)',
    "referrer": r'(?s), referrer: "(.*?)"?$',
}
_PRINTS_CLIENT_TEXT: Final = r"^FastCGI sent in stderr|^(?:stream )?\[lua\]|^lua |^js"


def split_tail(lines: DataFrame) -> DataFrame:
    """Cut `body` into `said`, what nginx says, and the fields that it appends; '' where absent."""
    body = F.col("body")
    placed = lines.withColumn("tail_at", F.when(body.contains(CLIENT), _tail_at()))
    said = F.when(F.col("tail_at").isNotNull(), F.left(body, F.col("tail_at") - 1)).otherwise(body)
    tail = body.substr(F.col("tail_at") + len(CLIENT), F.lit(_LOOKED_AT))
    cut = placed.withColumns({"said": said, "tail": tail})
    return cut.withColumns(
        {name: F.regexp_extract("tail", expression, 1) for name, expression in _OF_TAIL.items()}
    )


def _tail_at() -> Column:
    """Return where nginx's own tail starts (from 1).

    It is the last one, for text from a client is quoted in the message before it, except that
    request line and referrer follow it and are the client's as well. So a complete tail wins over
    one that is found in its request line or behind its `referrer:`, unless the later request,
    decoded, names the earlier tail: then the request path brought it into the message.
    """
    body = F.col("body")
    after_last = F.substring_index(body, CLIENT, -1)
    last = F.length(body) - F.length(after_last) - len(CLIENT) + 1
    complete = F.regexp_instr(body, F.lit(_COMPLETE))
    between = body.substr(complete, last - complete)
    own_text = F.length(between) - F.length(F.replace(between, F.lit('"'), F.lit("")))
    inside = (
        between.contains(', referrer: "')
        | (own_text == 1)
        | F.left(body, complete - 1).endswith("while reading client request line")
    )
    request = F.regexp_extract(F.left(after_last, F.lit(_LOOKED_AT)), _REQUEST, 1)
    brought = F.coalesce(F.try_url_decode(request).contains(CLIENT), F.lit(False))
    earlier = (complete > 0) & (complete < last) & inside & ~brought
    only_one = F.substring_index(body, CLIENT, 1) == F.left(body, last - 1)
    return (
        F.when(only_one, last)
        .when(body.rlike(_PRINTS_CLIENT_TEXT), last)
        .when(earlier, complete)
        .otherwise(last)
    )
