"""Sample lines for incidents, chosen where the lines of the lake lie."""

from collections.abc import Sequence
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from streaming.contracts import tables
from streaming.detection.evidence import COLUMNS, candidates, samples, wanted
from streaming.detection.incidents import Incident
from streaming.spark.arrow_bridge import collect_frame, map_frames
from streaming.spark.delta_tables import PARTITION


def with_samples(access_logs: DataFrame, incidents: Sequence[Incident]) -> list[Incident]:
    """Return the incidents with sample lines as evidence; see `evidence.samples`."""
    need = wanted(incidents)
    if need is None:
        return list(incidents)
    time = F.col("event_time")
    lines = access_logs.where(
        F.col(PARTITION).between(need.start.date(), need.stop.date())
        & (time >= need.start)
        & (time < need.stop)
    )
    if need.clients is not None:
        lines = lines.where(F.col("client_address").isin(*need.clients))
    columns = {name: tables.ACCESS_LOGS[name] for name in COLUMNS}
    choose = partial(candidates, incidents=tuple(incidents))
    return samples(collect_frame(map_frames(lines.select(*COLUMNS), choose, columns)), incidents)
