"""Is what was sent in the lake, once, and does InfluxDB say the same? One job answers all."""

from collections.abc import Iterable

import dagster as dg

from orchestration import keys
from orchestration.batch_process import check_batch
from orchestration.defs.upkeep.assets import POOL
from orchestration.resources import Loglake
from streaming.contracts import names

NO_GAP = "every_line_in_kafka_is_in_the_lake"
ONCE = "no_event_is_there_twice"
FEW_REJECTED = "few_lines_are_rejected"
EQUAL = "points_equal_the_lake"

TEXTS = {
    NO_GAP: "Every Kafka offset of the last hour is a row of the lake, or a line sent again.",
    ONCE: "No event_id of the last hour occurs twice in the table.",
    FEW_REJECTED: "At most one in a hundred lines of the last hour was rejected.",
    EQUAL: "Every final window of the last hour has the points that the lake yields.",
}
VERIFIED = {
    keys.table(names.ACCESS_LOGS): (NO_GAP, ONCE, FEW_REJECTED),
    keys.table(names.ERROR_LOGS): (NO_GAP, ONCE, FEW_REJECTED),
    keys.measurement(names.HTTP_TRAFFIC): (EQUAL,),
    keys.measurement(names.ERROR_EVENTS): (EQUAL,),
}


@dg.multi_asset_check(
    name="kafka_lake_and_influxdb_agree",
    specs=[
        dg.AssetCheckSpec(name, asset=key, description=TEXTS[name])
        for key, checks in VERIFIED.items()
        for name in checks
    ],
    pool=POOL,
)
def verify(
    context: dg.AssetCheckExecutionContext, loglake: Loglake
) -> Iterable[dg.AssetCheckResult]:
    """Run `loglake verify` over the last hour."""
    yield from check_batch(context, loglake, "batch.jobs.verify")
