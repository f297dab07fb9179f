"""Log files on disk → the records that the parsers of the streams take."""

import gzip
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.logs.access import MAX_HOST
from streaming.logs.records import clean
from streaming.spark import schemas

_ERROR: Final = re.compile(rb"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] ")
_ROTATED: Final = re.compile(r"(?:[.-]\d+)?(?:\.gz)?$")
_SAMPLE: Final = 50


@dataclass(frozen=True)
class LogFile:
    """A log file, the server that is assumed where a line names none, and what it holds."""

    path: Path
    server: str
    errors: bool


def log_file(path: Path, server: str | None = None) -> LogFile:
    """Look at the first lines of a file, plain or gzip.

    Raises `FileNotFoundError` naming a file that is missing or cannot be read.
    """
    if not path.is_file():
        what = "a directory" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path}: {what}; name log files, plain or .gz")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            lines = list(islice(stream, _SAMPLE))
    except (OSError, EOFError, zlib.error) as error:
        raise FileNotFoundError(f"{path}: cannot be read ({error}); check the file") from error
    errors = sum(bool(_ERROR.match(line)) for line in lines)
    name = server or _ROTATED.sub("", path.name).removesuffix(".log") or path.name
    return LogFile(path, name, errors * 2 > len(lines))


def records(spark: SparkSession, files: Iterable[LogFile]) -> DataFrame:
    """Return the lines of `files` as `schemas.RECORD`, numbered in the order of each file."""
    return reduce(DataFrame.unionByName, [_of_file(spark, i, f) for i, f in enumerate(files)])


def _of_file(spark: SparkSession, number: int, file: LogFile) -> DataFrame:
    value = F.col("value")
    # In the streams the record's key says the server; here only the line itself may know better.
    named = F.coalesce(F.get_json_object(value, "$.hostname"), F.get_json_object(value, "$.server"))
    own = F.when(value.startswith("{"), clean(named, MAX_HOST))
    columns = {
        "value": F.col("value").cast("binary"),
        "topic": F.lit(names.TOPIC_ERRORS if file.errors else names.TOPIC_ACCESS),
        "kafka_partition": F.lit(number),
        "kafka_offset": F.monotonically_increasing_id(),
        "ingested_at": F.current_timestamp(),
        "server_address": F.coalesce(own, F.lit(file.server)),
        "log_file": F.lit(str(file.path)),
        "byte_offset": F.monotonically_increasing_id(),
    }
    lines = spark.read.text(str(file.path.absolute()))
    return lines.withColumns(columns).select(*schemas.RECORD.names)
