"""When upkeep runs, and what it needs to run: new lines in the lake."""

import dagster as dg

from orchestration import keys
from orchestration.conditions import why_stale
from orchestration.defs.upkeep.checks import VERIFIED

reconcile_job = dg.define_asset_job(
    "reconcile",
    selection=dg.AssetSelection.assets(keys.job("reconcile")),
    description="Make InfluxDB equal to the lake.",
)
maintenance_job = dg.define_asset_job(
    "maintenance",
    selection=dg.AssetSelection.assets(keys.job("maintenance")),
    description="Tidy the tables up.",
)
rebuild_job = dg.define_asset_job(
    "rebuild_metrics",
    selection=dg.AssetSelection.assets(keys.job("metrics_rebuilt")),
    description="Write the points of whole days again.",
)
verify_job = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.checks(
        *(dg.AssetCheckKey(key, name) for key, checks in VERIFIED.items() for name in checks)
    ),
    description="Compare Kafka, the lake and InfluxDB over the last hour.",
)


@dg.schedule(
    job=reconcile_job,
    cron_schedule="*/5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every 5 minutes, while lines arrive.",
)
def reconcile_every_5_minutes(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """Skip while nothing was committed to the lake."""
    reason = why_stale(context.instance, minutes=15, job="reconcile")
    return dg.SkipReason(reason) if reason else dg.RunRequest()


@dg.schedule(
    job=verify_job,
    cron_schedule="12 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour, while lines arrive.",
)
def verify_hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Skip when the last hour brought nothing."""
    reason = why_stale(context.instance, minutes=60, job="verify")
    return dg.SkipReason(reason) if reason else dg.RunRequest()


maintenance_nightly = dg.ScheduleDefinition(
    name="maintenance_nightly",
    job=maintenance_job,
    cron_schedule="20 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night, when there is least traffic.",
)
