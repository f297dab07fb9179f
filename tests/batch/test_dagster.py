"""Batch jobs as Dagster runs: real Spark children, ended with their run, right the next time."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest

from streaming.contracts import names
from streaming.contracts.settings import CHECKOUT
from streaming.spark import delta_tables
from streaming.windows.traffic_profile import traffic_profiles
from tests.batch.conftest import Lake
from tests.fixtures.lake import append, rows_of
from tests.fixtures.stack import eventually
from tests.orchestration.world import DEFINITIONS

pytestmark = pytest.mark.stack

DAGSTER = str(Path(sys.executable).parent / "dagster")
RECONCILE = [DAGSTER, "job", "execute", "-m", "orchestration.definitions", "-j", "reconcile"]

DAY = 24 * 60
START_SECONDS = 240


@pytest.fixture
def located(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake, where jobs that Dagster starts look for one."""
    for name, value in lake.settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return lake


def family(pid: int) -> list[psutil.Process]:
    """The batch job of a run and its JVM, once both are there."""
    found = psutil.Process(pid).children(recursive=True)
    try:
        job = any("batch.jobs.reconcile" in process.cmdline() for process in found)
        jvm = any(process.name() == "java" for process in found)
    except psutil.NoSuchProcess:  # Spark's launcher starts short-lived helpers
        return []
    return found if job and jvm else []


def test_a_run_that_is_killed_leaves_no_orphan_and_the_next_run_is_right(located: Lake) -> None:
    located.access("ab", minutes_ago=30)
    with subprocess.Popen(RECONCILE, cwd=CHECKOUT, env=os.environ) as run:
        children = eventually(lambda: family(run.pid), START_SECONDS)
        run.kill()
    _, left = psutil.wait_procs(children, timeout=60)
    assert not left
    assert subprocess.run(RECONCILE, cwd=CHECKOUT, env=os.environ, check=False).returncode == 0
    assert located.requests() == {"web1": 2}


def test_a_run_that_is_terminated_is_not_tried_again(located: Lake) -> None:
    located.access("ab", minutes_ago=30)
    with subprocess.Popen(
        RECONCILE, cwd=CHECKOUT, env=os.environ, stderr=subprocess.PIPE, text=True
    ) as run:
        children = eventually(lambda: family(run.pid), START_SECONDS)
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        said = run.stderr.read()
    assert run.returncode != 0
    assert "batch.jobs.reconcile was terminated" in said
    assert "STEP_UP_FOR_RETRY" not in said
    _, left = psutil.wait_procs(children, timeout=60)
    assert not left


def test_days_that_are_missing_are_backfilled_one_by_one(located: Lake) -> None:
    for days, ids in enumerate(("a", "bc"), start=1):
        located.access(ids, minutes_ago=days * DAY)
    job = DEFINITIONS.resolve_job_def("rebuild_metrics")
    expected = 0
    with dg.DagsterInstance.ephemeral() as instance:
        for days, lines in enumerate((1, 2), start=1):
            day = f"{located.now - timedelta(days=days):%Y-%m-%d}"
            assert job.execute_in_process(instance=instance, partition_key=day).success
            expected += lines
            assert located.requests() == {"web1": expected}


@pytest.mark.parametrize(
    ("job", "asset", "figure"),
    [
        pytest.param("reconcile", "jobs/reconcile", "windows_compared", id="reconcile"),
        pytest.param("maintenance", "jobs/maintenance", "files_joined", id="maintenance"),
        pytest.param("baselines", "lake/baselines", "version", id="baselines"),
        pytest.param("backtest", "jobs/backtest", "recall", id="backtest"),
    ],
)
def test_each_job_ends_well_on_a_young_lake_and_reports_its_figures(
    located: Lake, job: str, asset: str, figure: str
) -> None:
    for ids, minutes in (("abc", 190), ("def", 100), ("gh", 30)):
        located.access(ids, minutes_ago=minutes)
    for name in (names.TRAFFIC_PROFILES, names.ERROR_PROFILES, names.BASELINES, names.INCIDENTS):
        delta_tables.ensure_table(located.spark, located.settings, name)
    logs = rows_of(located.spark, located.settings, names.ACCESS_LOGS)
    profiles = traffic_profiles(logs)
    append(located.spark, located.settings, names.TRAFFIC_PROFILES, profiles)
    with dg.DagsterInstance.ephemeral() as instance:
        result = DEFINITIONS.resolve_job_def(job).execute_in_process(
            instance=instance, raise_on_error=False
        )
        assert result.success, [event.message for event in result.all_events if event.is_failure]
        event = instance.get_latest_materialization_event(dg.AssetKey(asset.split("/")))
        assert event is not None
        assert event.asset_materialization is not None
        assert figure in event.asset_materialization.metadata


def test_a_job_that_cannot_run_yet_says_why_and_is_not_tried_again(located: Lake) -> None:
    for name in (names.TRAFFIC_PROFILES, names.BASELINES):
        delta_tables.ensure_table(located.spark, located.settings, name)
    job = DEFINITIONS.resolve_job_def("backtest")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "there are no traffic profiles yet" in str(failure.event_specific_data)
    assert not any(event.is_step_up_for_retry for event in result.all_events)


def test_verify_answers_every_check_it_is_named_for(located: Lake) -> None:
    for position, event_id in enumerate("abcdef"):  # a minute: verify samples one window in four
        located.access(event_id, minutes_ago=30 + position / 6, offset=position)
    job = DEFINITIONS.resolve_job_def("verify")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert result.success
    answers = {
        (check.asset_key.to_user_string(), check.check_name): check.passed
        for check in result.get_asset_check_evaluations()
    }
    assert len(answers) == 8
    # InfluxDB was told nothing of these lines.
    assert not answers["influxdb/http_traffic", "points_equal_the_lake"]
    assert answers["lake/access_logs", "no_event_is_there_twice"]
