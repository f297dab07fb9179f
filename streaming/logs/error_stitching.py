"""Which physical lines of an nginx error log make up one record."""

from typing import Final

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from streaming.spark import schemas

NGX_MAX_ERROR_STR: Final = 2048
"""Most bytes of one record, its newline among them (nginx, src/core/ngx_log.h); cut beyond."""

HEAD: Final = r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]{4,6}\] \d{1,18}#\d{1,18}: "
"""How each record starts."""

CLIENT: Final = ", client: "
"""How the part starts that nginx appends to a message about a connection."""

_CHAIN_BYTES: Final = 1 << 16
_DATE_LENGTH: Final = 19
_OF_CONNECTION: Final = HEAD + r"\*\d+ "
_PATH: Final = r'^[^"]*, request: "[^ "]+ ([^ ?]*)'
_NEWLINE: Final = "(?i)%0a"
_SCRIPT: Final = r"^.{20,80}: \*\d+ (?:\[lua\]|lua |js|perl|stream \[lua\])"
_ENDS_UNQUOTED: Final = r"(?:, context: [a-z_.*]+|, bytes from/to upstream:\d+/\d+)$"
_DEBUG: Final = r"^.{20}\[debug\]"


def stitch(records: DataFrame) -> DataFrame:
    r"""Join the lines of a bounded batch of `schemas.RECORD` that nginx wrote as one record.

    A joined record has the place of its first line and the lines joined by `\n` as its value.

    nginx decodes `%0A` in a URL, so a client can break a record and go on with text that looks
    like one. Therefore a record of a connection (`*7`) that quotes something is open until the
    line that ends with `, client: …`, and takes in every line up to there, whatever it looks
    like, within the 2048 bytes of a record. Where the client wrote such an end himself, the `%0A`
    of the request that follows tell how many lines back the record began. Only lines whose byte
    offsets adjoin are joined; a record that is still open at the end of a batch stays as it is.

    What a client can still do: pass off a line as a record of its own where nginx logs at level
    `debug`, where the batch ends between the two lines, where he forges the end and hides the
    number of lines behind dot segments (`/../`) or in text that is not his URL (a user name,
    what a script prints); hide the next record in his own where a module writes quoted text
    without `client:`. He can never name another server or a time out of range.
    """
    chains = _chains(records).groupBy("server_address", "log_file", "chain")
    lines = chains.agg(F.sort_array(F.collect_list("line")).alias("lines"))
    alone = F.array(_record(F.get("lines", F.lit(0))))
    joined = F.when(F.size("lines") == 1, alone).otherwise(_joined(F.col("lines")))
    return lines.select(F.inline(joined)).select(*schemas.RECORD.names)


def _chains(records: DataFrame) -> DataFrame:
    """Number the chains: a line that is surely a head, and those after it that may continue it."""
    order = _in_file("place")
    before = order.rowsBetween(Window.unboundedPreceding, -1)
    upto = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    opened = F.max(F.when(F.col("opens"), F.struct("place", "byte_offset"))).over(before)
    closed = F.max(F.when(F.col("closes"), F.col("place"))).over(before)
    broken = F.max(F.when(~F.col("follows"), F.col("place"))).over(upto)
    lines = _traced(_placed(records)).withColumns(
        {"opened": opened, "closed": closed, "broken": broken}
    )
    may_continue = F.coalesce(
        (F.col("opened.place") > F.coalesce("closed", F.lit(0)))
        & (F.col("opened.place") >= F.col("broken"))
        & (F.col("end") - F.col("opened.byte_offset") <= NGX_MAX_ERROR_STR),
        F.lit(False),
    )
    start = F.max(F.when(~F.col("goes_on"), F.struct("place", "byte_offset"))).over(upto)
    chained = lines.withColumn("goes_on", may_continue).withColumn("start", start)
    piece = F.floor((F.col("byte_offset") - F.col("start.byte_offset")) / _CHAIN_BYTES)
    return chained.select(
        "server_address",
        "log_file",
        F.struct("start.place", piece.alias("piece")).alias("chain"),
        F.struct("place", *schemas.RECORD.names, "end", "opens", "closes").alias("line"),
    )


def _placed(records: DataFrame) -> DataFrame:
    """Add each line's place in its file, and what it looks like by itself."""
    order = _in_file("kafka_partition", "kafka_offset")
    text, end = F.col("value").cast("string"), F.octet_length("value") + 1
    flagged = records.withColumns(
        {"end": F.col("byte_offset") + end, "opens": _opens(text), "closes": _closes(text)}
    )
    follows = F.lag("end").over(order) == F.col("byte_offset")
    return flagged.withColumns(
        {"place": F.row_number().over(order), "follows": F.coalesce(follows, F.lit(False))}
    )


def _traced(lines: DataFrame) -> DataFrame:
    """Correct `opens` and `closes` where a request tells that its URL broke the record.

    With k `%0A` in its path the record began k lines earlier, if that line ends as the path does
    before its first `%0A` and this one starts as it does behind its last.
    """
    text = F.make_valid_utf8(F.col("value").cast("string"))
    path = F.regexp_extract(F.substring_index(text, CLIENT, -1), _PATH, 1)
    parts = F.split(F.replace(path, F.lit("+"), F.lit("%2B")), _NEWLINE)
    of_first, of_last = (
        F.regexp_replace(F.try_url_decode(F.element_at(parts, at)), "/+", "/") for at in (1, -1)
    )
    ending = F.concat(F.lit("/"), F.substring_index(of_first, "/", -1))
    goes_on = text.startswith(F.left(of_last, F.lit(_DATE_LENGTH)))
    goes_on &= (of_last != "") | ~text.rlike(HEAD)
    start = (F.col("place") - F.size(parts) + 1).alias("start")
    claims = F.when(
        F.col("closes") & text.rlike(_NEWLINE),
        F.when((F.size(parts) > 1) & goes_on, F.struct(start, ending.alias("ending"))),
    )
    backwards = _in_file(F.desc("place")).rowsBetween(Window.unboundedPreceding, -1)
    covered = F.coalesce(F.col("claim.start") <= F.col("place"), F.lit(False))
    begins = (F.col("claim.start") == F.col("place")) & text.endswith(F.col("claim.ending"))
    return (
        lines.withColumn("claims", claims)
        .withColumn("claim", F.min("claims").over(backwards))
        .withColumns(
            {
                "opens": F.col("opens") | (covered & begins & text.rlike(_OF_CONNECTION)),
                "closes": F.col("closes") & ~covered,
            }
        )
    )


def _in_file(*order: str | Column) -> WindowSpec:
    return Window.partitionBy("server_address", "log_file").orderBy(*order)


def _opens(text: Column) -> Column:
    """Whether a line is a record of a connection that still lacks what nginx appends to it."""
    return F.coalesce(
        text.rlike(_OF_CONNECTION)
        & ~_closes(text)
        & ~text.rlike(_DEBUG)
        & (text.contains('"') | text.rlike(_SCRIPT)),
        F.lit(False),
    )


def _closes(text: Column) -> Column:
    """Whether a line ends with what nginx appends to a message about a connection."""
    after = F.substring_index(text, CLIENT, -1)
    of_client = text.contains(CLIENT) & (~after.contains('"') | text.endswith('"'))
    return F.coalesce(of_client | text.rlike(_ENDS_UNQUOTED), F.lit(False))


def _joined(lines: Column) -> Column:
    """Cut a chain into records, line by line as nginx would have written them."""
    first = F.get(lines, F.lit(0))
    nothing = F.struct(
        first["byte_offset"].alias("head"),
        F.lit(False).alias("open"),
        F.array().cast("array<bigint>").alias("heads"),
    )

    def step(state: Column, line: Column) -> Column:
        size = line["end"] - state["head"]
        swallowed = state["open"] & (size <= NGX_MAX_ERROR_STR)
        size = F.when(swallowed, size).otherwise(line["end"] - line["byte_offset"])
        goes_on = F.when(swallowed, ~line["closes"]).otherwise(line["opens"])
        return F.struct(
            F.when(swallowed, state["head"]).otherwise(line["byte_offset"]).alias("head"),
            (goes_on & (size != NGX_MAX_ERROR_STR)).alias("open"),
            F.when(swallowed, state["heads"])
            .otherwise(F.array_append(state["heads"], line["byte_offset"]))
            .alias("heads"),
        )

    def record(head: Column, place: Column) -> Column:
        following = F.get(heads, place + 1)
        own = F.filter(
            lines,
            lambda line: (
                (line["byte_offset"] >= head)
                & (following.isNull() | (line["byte_offset"] < following))
            ),
        )
        text = F.array_join(F.transform(own, lambda line: line["value"].cast("string")), "\n")
        return _record(F.get(own, F.lit(0)), text.cast("binary"))

    heads = F.aggregate(lines, nothing, step, lambda state: state["heads"])
    return F.transform(heads, record)


def _record(line: Column, value: Column | None = None) -> Column:
    return F.struct(
        *(
            (value if name == "value" and value is not None else line[name]).alias(name)
            for name in schemas.RECORD.names
        )
    )
