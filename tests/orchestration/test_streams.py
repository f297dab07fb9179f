"""Streams as supervised processes: start, observe, stop, heal, give up."""

from datetime import timedelta

import dagster as dg
import psutil
import pytest

from orchestration import healing, health, keys
from orchestration.desired import read_desired, wish
from streaming.contracts import names
from streaming.contracts.progress import read_progress
from tests.orchestration.world import World, until

STREAM = names.STREAM_ACCESS


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between attempts, so that a test does not wait for minutes."""
    monkeypatch.setattr(healing, "GRACE_SECONDS", 0)
    monkeypatch.setattr(healing, "DELAYS_SECONDS", (0, 0, 0))


def verdict(world: World, name: str) -> str:
    """Last evaluation of a check of the stream, as the UI shows it."""
    key = dg.AssetCheckKey(keys.stream(STREAM), name)
    record = world.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    return record.status.value


def alive(world: World) -> bool:
    return world.supervisor.info(STREAM).alive


def test_start_streams_starts_both_and_reports_the_first_batch(world: World) -> None:
    world.run("start_streams")
    for stream in names.STREAMS:
        event = world.instance.get_latest_materialization_event(keys.stream(stream))
        metadata = event.asset_materialization.metadata
        assert metadata["pid"].value == world.supervisor.info(stream).pid
        assert "lake/batch_id" in metadata
        assert metadata["spark_ui"].value.startswith("http://127.0.0.1:")


def test_start_of_a_running_stream_leaves_the_process_alone(world: World) -> None:
    world.run("start_streams")
    pid = world.supervisor.info(STREAM).pid
    world.run("start_streams")
    assert world.supervisor.info(STREAM).pid == pid


def test_a_sensor_observes_at_most_once_a_minute_and_materialises_commits(world: World) -> None:
    world.start(STREAM)
    first, second = world.tick(STREAM), world.tick(STREAM)
    assert [e for e in first.asset_events if isinstance(e, dg.AssetObservation)]
    committed = {e.asset_key for e in first.asset_events if isinstance(e, dg.AssetMaterialization)}
    assert committed == {
        keys.stream(STREAM),
        keys.table(names.ACCESS_LOGS),
        keys.table(names.REJECTED_LINES),
        keys.measurement(names.HTTP_TRAFFIC),
    }
    assert not second.asset_events
    assert not first.run_requests
    assert verdict(world, "process_stays_up") == "SUCCEEDED"


def test_nobody_asked_nothing_happens(world: World) -> None:
    data = world.tick(STREAM)
    assert not data.run_requests
    assert not data.asset_events
    assert "start_streams" in data.skip_message


def test_what_a_person_stopped_stays_stopped(world: World) -> None:
    for stream in names.STREAMS:
        world.start(stream)
    world.run("stop_streams", stop={"streams": [STREAM]})
    assert not alive(world)
    assert world.supervisor.info(names.STREAM_ERRORS).alive
    data = world.tick(STREAM)
    assert not data.run_requests
    assert "A person stopped it" in data.skip_message
    assert verdict(world, "process_stays_up") == "SUCCEEDED"


def test_restart_ends_the_process_and_starts_another(world: World) -> None:
    world.start(STREAM)
    pid = world.supervisor.info(STREAM).pid
    world.run("restart_streams", stop={"streams": [STREAM]})
    assert not psutil.pid_exists(pid)
    assert alive(world)
    assert read_desired(world.settings, STREAM).state == "running"


@pytest.mark.usefixtures("impatient")
def test_a_killed_stream_is_started_again(world: World) -> None:
    world.start(STREAM)
    world.tick(STREAM)
    world.kill(STREAM)
    data = world.tick(STREAM)
    assert verdict(world, "process_stays_up") == "FAILED"
    world.obey(data.run_requests)
    assert alive(world)
    world.tick(STREAM)
    assert verdict(world, "process_stays_up") == "SUCCEEDED"


@pytest.mark.usefixtures("impatient")
def test_no_attempt_is_spent_while_the_run_of_the_last_one_waits(world: World) -> None:
    wish(world.settings, STREAM, "running")
    asked = world.tick(STREAM).run_requests
    tags = {**asked[0].tags, "dagster/sensor_name": f"watch_{STREAM}"}
    run = dg.DagsterRun(job_name="heal", status=dg.DagsterRunStatus.STARTED, tags=tags)
    world.instance.add_run(run)
    waiting = world.tick(STREAM)
    assert not waiting.run_requests
    assert "not done yet" in waiting.skip_message
    world.instance.delete_run(run.run_id)
    assert world.tick(STREAM).run_requests


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_hangs_is_killed_and_started_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(STREAM)
    pid = world.supervisor.info(STREAM).pid
    monkeypatch.setattr(health, "HEARTBEAT_SECONDS", 1)
    world.mood("silent")
    until(lambda: read_progress(world.settings, STREAM).age_s() > 1.5)
    data = world.tick(STREAM)
    assert data.run_requests
    world.mood("work")
    world.obey(data.run_requests)
    assert alive(world)
    assert world.supervisor.info(STREAM).pid != pid


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_ends_its_batch_is_not_healed_and_a_start_waits_for_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(STREAM)
    pid = world.supervisor.info(STREAM).pid
    monkeypatch.setattr(health, "HEARTBEAT_SECONDS", 1)
    world.mood("busy")
    world.supervisor.stop(STREAM, wait=False)
    until(lambda: read_progress(world.settings, STREAM).age_s() > 1.5)
    data = world.tick(STREAM)
    assert not data.run_requests
    assert f"Process {pid} finishes its running batches." in data.skip_message
    world.start(STREAM)
    assert world.supervisor.info(STREAM).pid not in (0, pid)


@pytest.mark.usefixtures("impatient")
def test_a_crash_loop_is_given_up_loudly_until_a_person_starts_it(world: World) -> None:
    world.start(STREAM)
    world.mood("crash")
    until(lambda: not alive(world))
    for _ in healing.DELAYS_SECONDS:
        data = world.tick(STREAM)
        assert data.run_requests
        world.obey(data.run_requests)
        until(lambda: not alive(world))
    data = world.tick(STREAM)
    assert not data.run_requests
    assert "Given up" in data.skip_message
    assert verdict(world, "process_stays_up") == "FAILED"
    world.mood("work")
    assert not world.tick(STREAM).run_requests
    world.start(STREAM)
    world.tick(STREAM)
    assert verdict(world, "process_stays_up") == "SUCCEEDED"


def test_a_heal_run_that_comes_late_does_not_override_a_stop(world: World) -> None:
    wish(world.settings, STREAM, "running")
    request = dg.RunRequest(asset_selection=[keys.stream(STREAM)], tags={"loglake/heal": "1"})
    wish(world.settings, STREAM, "stopped")
    world.obey([request])
    assert not alive(world)


def test_a_failed_start_ends_the_run_with_the_log(world: World) -> None:
    world.mood("crash")
    result = world.run("start_streams", expect=False)
    failures = [e for e in result.all_events if e.is_step_failure]
    metadata = failures[0].step_failure_data.user_failure_data.metadata
    assert "the disk is full" in metadata["log"].value


def test_a_sensor_says_so_when_no_supervisor_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGLAKE_HOME", str(world.settings.home / "elsewhere"))
    assert "loglake up" in world.tick(STREAM).skip_message


def test_attempts_count_anew_after_good_health() -> None:
    now = health.utc_now()
    desired = healing.Desired(state="running", since=now - timedelta(hours=1))
    memory = healing.Healing(since=desired.since, attempts=3, last_attempt_at=now)
    memory, start, _ = healing.heal(memory, desired, health.Health.HEALTHY, now)
    assert (memory.attempts, start) == (3, False)
    later = now + timedelta(seconds=healing.STABLE_SECONDS)
    memory, _, _ = healing.heal(memory, desired, health.Health.HEALTHY, later)
    assert memory.attempts == 0
