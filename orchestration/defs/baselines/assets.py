"""What is normal at this hour of the week, and whether the detector is any good at it."""

from collections.abc import Iterator

import dagster as dg

from orchestration import keys
from orchestration.batch_process import run_batch
from orchestration.defs.lake.assets import schema
from orchestration.defs.upkeep.assets import POOL, RETRY
from orchestration.resources import Loglake
from streaming.contracts import names

PROFILES = keys.table(names.TRAFFIC_PROFILES)

CHECKS = {
    "backtest_gate": "The new version finds injected attacks at least as well as the one before, "
    "without more false alarms; otherwise it is held back.",
    "training_data_is_clean": "No server has more than a fifth of its history inside incidents; "
    "one that has keeps its old baselines.",
    "thresholds_move_slowly": "At most one threshold in ten wants to move by more than half; "
    "each moves by that at most.",
}


class Extent(dg.Config):
    """How much history is learnt from: all of it, or what came since the last time."""

    full: bool = False


@dg.asset(
    key=keys.table(names.BASELINES),
    deps=[PROFILES],
    check_specs=[
        dg.AssetCheckSpec(name, asset=keys.table(names.BASELINES), description=text)
        for name, text in CHECKS.items()
    ],
    group_name="baselines",
    kinds={"spark", "deltalake"},
    owners=["team:detection"],
    metadata={
        "dagster/table_name": names.BASELINES,
        "dagster/column_schema": schema(names.BASELINES),
    },
    pool=POOL,
    retry_policy=RETRY,
)
def baselines(
    context: dg.AssetExecutionContext, config: Extent, loglake: Loglake
) -> Iterator[dg.MaterializeResult[None]]:
    """Learn centre, spread and thresholds per server, metric and hour of the week.

    The streams read the newest version back without a restart. Until a baseline is `provisional`
    they evaluate by fixed limits.
    """
    yield run_batch(context, loglake, "batch.jobs.baselines", *(["--full"] if config.full else []))


@dg.asset(
    key=keys.job("backtest"),
    deps=[keys.table(names.BASELINES), PROFILES, keys.table(names.INCIDENTS)],
    group_name="baselines",
    kinds={"spark"},
    owners=["team:detection"],
    pool=POOL,
    retry_policy=RETRY,
)
def backtest(context: dg.AssetExecutionContext, loglake: Loglake) -> dg.MaterializeResult[None]:
    """Evaluate the past again: what would have been found, and what was a false alarm."""
    return run_batch(context, loglake, "batch.jobs.backtest")
