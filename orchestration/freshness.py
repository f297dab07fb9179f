"""How old the newest data of an asset may be; one place for all of them."""

from datetime import timedelta

import dagster as dg

from orchestration import keys
from streaming.contracts import names

STREAMED = (5, 10)
"""Minutes until a warning and until failure. A stream is reported every two minutes."""

GROUPS = {"streams": STREAMED, "lake": STREAMED, "metrics": STREAMED}
ASSETS: dict[dg.AssetKey, tuple[int, int] | None] = {
    # Written when something happens, which may be never.
    keys.table(names.REJECTED_LINES): None,
    keys.table(names.INCIDENTS): None,
    keys.table(names.ERROR_LOGS): None,
    keys.measurement(names.ERROR_EVENTS): None,
    keys.measurement(names.ANOMALIES): None,
    # No query of its own writes it, so no commit of it is reported.
    keys.measurement(names.PIPELINE): None,
    keys.table(names.BASELINES): (90, 180),
    keys.measurement(names.BASELINE): (90, 180),
    keys.job("backtest"): (26 * 60, 50 * 60),
    keys.job("reconcile"): (10, 20),
    keys.job("maintenance"): (26 * 60, 50 * 60),
}
"""Exceptions and batch jobs, which have an interval of their own."""


def policy(spec: dg.AssetSpec) -> dg.FreshnessPolicy | None:
    """Policy of an asset, None where age means nothing."""
    limits = ASSETS.get(spec.key, GROUPS.get(spec.group_name or ""))
    if limits is None:
        return None
    warn, fail = (timedelta(minutes=minutes) for minutes in limits)
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warn)


def with_freshness(defs: dg.Definitions) -> dg.Definitions:
    """Return the definitions with a policy on every asset that has to be fresh."""

    def fresh(spec: dg.AssetSpec) -> dg.AssetSpec:
        wanted = policy(spec)
        return dg.apply_freshness_policy(spec, wanted) if wanted else spec

    return defs.permissive_map_resolved_asset_specs(func=fresh, selection=None)
