"""Jobs that keep the lake and InfluxDB right: reconcile, rebuild, maintenance.

Each is a Spark application of its own, started through Pipes; the pool allows one at a time, for
the streams need the rest of the machine.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration import keys
from orchestration.batch_process import run_batch
from orchestration.resources import Loglake
from streaming.contracts import names

POOL = "batch"
RETRY = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL)
LOGS = [keys.table(names.ACCESS_LOGS), keys.table(names.ERROR_LOGS)]
POINTS = [keys.measurement(names.HTTP_TRAFFIC), keys.measurement(names.ERROR_EVENTS)]


def first_day() -> str:
    """The oldest day of which InfluxDB keeps points."""
    return (datetime.now(UTC) - timedelta(days=6)).strftime("%Y-%m-%d")


DAYS = dg.DailyPartitionsDefinition(start_date=first_day(), end_offset=1)


@dg.asset(
    key=keys.job("reconcile"),
    deps=[*LOGS, *POINTS],
    group_name="upkeep",
    kinds={"spark", "influxdb"},
    owners=["team:platform"],
    pool=POOL,
    retry_policy=RETRY,
)
def reconcile(context: dg.AssetExecutionContext, loglake: Loglake) -> dg.MaterializeResult[None]:
    """Make InfluxDB equal to the lake where late lines, replays or outages left a difference.

    Looks at every window that became final since the last run, and at older windows that got lines
    since. The metadata tells how many points were wrong, and why.
    """
    return run_batch(context, loglake, "batch.jobs.reconcile")


@dg.asset(
    key=keys.job("metrics_rebuilt"),
    deps=LOGS,
    group_name="upkeep",
    kinds={"spark", "influxdb"},
    owners=["team:platform"],
    pool=POOL,
    retry_policy=RETRY,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.multi_run(),
)
def metrics_rebuilt(
    context: dg.AssetExecutionContext, loglake: Loglake
) -> dg.MaterializeResult[None]:
    """Write the points of whole days again from the lake, as after the loss of InfluxDB.

    Backfill the days you miss; InfluxDB keeps seven.
    """
    window = context.partition_time_window
    return run_batch(
        context,
        loglake,
        "batch.jobs.reconcile",
        *("--from", window.start.isoformat(), "--to", window.end.isoformat()),
    )


@dg.asset(
    key=keys.job("maintenance"),
    deps=[*LOGS, keys.table(names.REJECTED_LINES), keys.table(names.TRAFFIC_PROFILES)],
    group_name="upkeep",
    kinds={"spark", "deltalake"},
    owners=["team:platform"],
    pool=POOL,
    retry_policy=RETRY,
)
def maintenance(context: dg.AssetExecutionContext, loglake: Loglake) -> dg.MaterializeResult[None]:
    """Join small files, drop days past the retention, delete files no version needs.

    Also looks whether the hourly roll-up in InfluxDB holds what the points of its hours say.
    """
    return run_batch(context, loglake, "batch.jobs.maintenance")
