"""What one micro-batch of parsed lines holds, found in one look at it."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.logs.records import delay_micros
from streaming.spark.replay_detection import FILE, Run


@dataclass(frozen=True)
class Summary:
    """Lines of a batch: all, those with a reason, those too old for live metrics, runs by file."""

    lines: int
    rejected: int
    late: int
    runs: list[Run]


def summary(parsed: DataFrame) -> Summary:
    """Summarise rows of a log table with `lines.VERDICT`.

    Lines without a byte offset are in no run.
    """
    line_end = F.col("byte_offset") + F.col("line_bytes") + 1
    placed = F.when(line_end.isNotNull(), F.col("kafka_offset"))
    late = delay_micros(F.col("event_time")) > names.WATERMARK_SECONDS * 1_000_000
    files = (
        parsed.groupBy(*FILE)
        .agg(
            F.count("*").alias("lines"),
            F.count_if(F.col("reason").isNotNull()).alias("rejected"),
            F.count_if(late).alias("late"),
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
