"""Which lines of a micro-batch may have been seen before.

Flume delivers at least once: after a crash it sends a contiguous run of a file's lines again. Each
line carries its byte offset. A run that starts below the end of what was seen of that file, or that
holds more bytes than it spans, is *suspect*. Only suspects are compared with the table. A false
suspicion costs time, never a line. After a rotation the offsets start at 0 and the lines stay
suspect until they pass the end of the previous file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names

File = tuple[str | None, str | None]
FILE: Final = ("server_address", "log_file")
"""What a file is known by: a server's name and the path there, and the columns that hold them."""


@dataclass(frozen=True)
class Position:
    """How far a file was seen: the byte after the last line, and where its predecessor ended."""

    end: int
    previous_end: int = 0


@dataclass(frozen=True)
class Run:
    """What one micro-batch holds of one file. Offsets are bytes; `end` is the byte after a line."""

    file: File
    start: int
    end: int
    last_end: int
    size: int

    @property
    def repeats(self) -> bool:
        """Whether bytes occur twice, or the order is not that of one file."""
        return self.size != self.end - self.start or self.last_end != self.end


class Positions:
    """The positions of all files, learnt from the lake when a file is first met."""

    def __init__(self, learn: Callable[[list[File]], Mapping[File, int]]) -> None:
        """Take `learn`, which returns the end of the highest line the lake has of each file."""
        self._learn = learn
        self._known: dict[File, Position] = {}

    def suspects(self, batch: Iterable[Run]) -> list[Run]:
        """The runs that must be compared with the lake before they are appended."""
        batch = list(batch)
        unknown = [run.file for run in batch if run.file not in self._known]
        if unknown:
            ends = self._learn(unknown)
            self._known.update((file, Position(ends.get(file, 0))) for file in unknown)
        return [run for run in batch if run.repeats or run.start < self._limit(run.file)]

    def advance(self, batch: Iterable[Run], replayed: set[File]) -> None:
        """Move on after a commit; `replayed` names the files of which lines were left out."""
        for run in batch:
            known = self._known.get(run.file, Position(0))
            if run.start < known.end and run.file not in replayed:
                # Lower offsets, and every line new: the file was rotated.
                moved = Position(run.last_end, max(known.end, run.end))
            else:
                moved = Position(max(known.end, run.end), known.previous_end)
            self._known[run.file] = moved

    def _limit(self, file: File) -> int:
        known = self._known[file]
        return max(known.end, known.previous_end)


@dataclass(frozen=True)
class Summary:
    """Lines of a batch: all, those with a reason, those too old for live metrics, runs by file."""

    lines: int
    rejected: int
    late: int
    runs: list[Run]


def summary(parsed: DataFrame) -> Summary:
    """Summarise parsed rows in one look; lines without a byte offset are in no run."""
    line_end = F.col("byte_offset") + F.col("line_bytes") + 1
    placed = F.when(line_end.isNotNull(), F.col("kafka_offset"))
    delay = F.unix_micros("ingested_at") - F.unix_micros("event_time")
    files = (
        parsed.groupBy(*FILE)
        .agg(
            F.count("*").alias("lines"),
            F.count_if(F.col("reason").isNotNull()).alias("rejected"),
            F.count_if(delay > names.WATERMARK_SECONDS * 1_000_000).alias("late"),
            F.min("byte_offset").alias("start"),
            F.max(line_end).alias("end"),
            F.max_by(line_end, placed).alias("last_end"),
            F.sum(line_end - F.col("byte_offset")).alias("size"),
        )
        .collect()
    )
    return Summary(
        lines=sum(file["lines"] for file in files),
        rejected=sum(file["rejected"] for file in files),
        late=sum(file["late"] for file in files),
        runs=[
            Run(
                (file["server_address"], file["log_file"]),
                *(file[name] for name in ("start", "end", "last_end", "size")),
            )
            for file in files
            if file["start"] is not None
        ],
    )
