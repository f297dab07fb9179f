"""Learn hourly from what came, nightly from everything, then test; never from a dead stream."""

import dagster as dg

from orchestration import keys
from orchestration.conditions import why_stale
from streaming.contracts import names

baselines_job = dg.define_asset_job(
    "baselines",
    selection=dg.AssetSelection.assets(keys.table(names.BASELINES)),
    description="Learn what is normal, and publish it if it passes the backtest.",
)
backtest_job = dg.define_asset_job(
    "backtest",
    selection=dg.AssetSelection.assets(keys.job("backtest")),
    description="Evaluate the past again, with attacks injected.",
)


@dg.schedule(
    job=baselines_job,
    cron_schedule="27 0-1,3-23 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour but the one of the nightly run, while lines arrive.",
)
def baselines_hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Skip when the last hour brought nothing: silence is not normal."""
    reason = why_stale(context.instance, minutes=60, job="baselines")
    return dg.SkipReason(reason) if reason else dg.RunRequest()


@dg.schedule(
    job=baselines_job,
    cron_schedule="27 2 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night, with all profiles made anew from the lake.",
)
def baselines_nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Skip when the last day brought nothing."""
    reason = why_stale(context.instance, minutes=24 * 60, job="baselines")
    full = {"ops": {"lake__baselines": {"config": {"full": True}}}}
    return dg.SkipReason(reason) if reason else dg.RunRequest(run_config=full)


@dg.schedule(
    job=backtest_job,
    cron_schedule="50 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night, after the baselines.",
)
def backtest_nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Skip when the last day brought nothing."""
    reason = why_stale(context.instance, minutes=24 * 60, job="backtest")
    return dg.SkipReason(reason) if reason else dg.RunRequest()
