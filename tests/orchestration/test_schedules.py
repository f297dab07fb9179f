"""A schedule starts nothing that has no fresh input or already runs, and says so."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration import conditions, keys
from orchestration.health import utc_now
from streaming.contracts import names
from tests.orchestration.world import DEFINITIONS

LIMITS = {
    "baselines_hourly": 60,
    "baselines_nightly": 24 * 60,
    "backtest_nightly": 24 * 60,
    "reconcile_every_5_minutes": 15,
    "verify_hourly": 60,
}
"""Minutes without a commit after which a schedule skips."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def tick(instance: dg.DagsterInstance, name: str) -> str:
    """Why a schedule skips now, empty if it asks for a run."""
    schedule = DEFINITIONS.resolve_schedule_def(name)
    data = schedule.evaluate_tick(dg.build_schedule_context(instance=instance))
    assert bool(data.run_requests) != bool(data.skip_message)
    return data.skip_message or ""


def commit(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(keys.table(names.ACCESS_LOGS)))


@pytest.mark.parametrize("name", LIMITS)
def test_it_skips_while_the_lake_is_empty(instance: dg.DagsterInstance, name: str) -> None:
    assert "The lake is empty" in tick(instance, name)


@pytest.mark.parametrize(("name", "minutes"), LIMITS.items())
def test_it_skips_once_the_lake_is_stale(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, name: str, minutes: int
) -> None:
    commit(instance)
    now = utc_now()
    monkeypatch.setattr(conditions, "utc_now", lambda: now + timedelta(minutes=minutes - 1))
    assert not tick(instance, name)
    monkeypatch.setattr(conditions, "utc_now", lambda: now + timedelta(minutes=minutes + 1))
    assert "The lake is stale" in tick(instance, name)


@pytest.mark.parametrize("name", LIMITS)
def test_it_skips_while_the_last_run_is_not_done(instance: dg.DagsterInstance, name: str) -> None:
    commit(instance)
    job = DEFINITIONS.resolve_schedule_def(name).job_name
    instance.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED))
    assert "not done yet" in tick(instance, name)


def test_every_schedule_runs_by_itself() -> None:
    schedules = DEFINITIONS.get_repository_def().schedule_defs
    assert {schedule.name for schedule in schedules} == {*LIMITS, "maintenance_nightly"}
    assert all(s.default_status is dg.DefaultScheduleStatus.RUNNING for s in schedules)
