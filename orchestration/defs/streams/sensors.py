"""One sensor per stream: says how it is, and starts it again when it died or hangs.

It reads two small files and asks supervisord; it never talks to Kafka.
"""

import dagster as dg

from orchestration import keys, reports, verdicts
from orchestration.conditions import unfinished
from orchestration.control import StreamControl
from orchestration.defs.streams.assets import HEAL_TAG
from orchestration.desired import read_desired
from orchestration.healing import heal
from orchestration.health import Health, utc_now
from orchestration.resources import Loglake
from streaming.contracts import names
from streaming.contracts.exceptions import StackError

INTERVAL_SECONDS = 10
"""A crash costs at most this, the start of a run and the start of Spark."""


def watch(
    control: StreamControl, memory: reports.Memory, *, busy: bool
) -> tuple[dg.SensorResult, str]:
    """Look at a stream once; `memory` is updated. The text says why nothing is started.

    `busy` says that a run that this sensor asked for is not done.
    """
    now = utc_now()
    desired = read_desired(control.settings, control.name)
    progress = control.progress()
    health, why = control.health()
    memory.healing, start, reason = heal(memory.healing, desired, health, now, busy=busy)
    wanted = desired is not None and desired.state == "running"
    evaluated = {
        verdicts.PROCESS_STAYS_UP: verdicts.process_stays_up(wanted, health, why, memory.healing)
    }
    events: list[reports.Event] = []
    # A process that has just started knows nothing of its queries yet, no lag either.
    if progress and progress.queries and health is Health.HEALTHY:
        evaluated |= {
            name: evaluate(progress) for name, evaluate in verdicts.PROGRESS_VERDICTS.items()
        }
        events += reports.observation(memory, control.settings, progress, now)
        events += reports.materializations(memory, control.settings, progress, now)
    if desired:
        events += reports.evaluations(memory, control.name, evaluated, now)
    requests = [_start(control.name, memory)] if start else []
    return dg.SensorResult(run_requests=requests, asset_events=events), f"{why} {reason}".strip()


def _start(name: str, memory: reports.Memory) -> dg.RunRequest:
    healing = memory.healing
    return dg.RunRequest(
        run_key=f"{name}:{healing.since}:{healing.last_attempt_at}",
        asset_selection=[keys.stream(name)],
        asset_check_keys=[],
        tags={HEAL_TAG: str(healing.attempts)},
    )


def stream_sensor(name: str) -> dg.SensorDefinition:
    """Return the sensor of one stream."""

    @dg.sensor(
        name=f"watch_{name}",
        target=dg.AssetSelection.assets(keys.stream(name)).without_checks(),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reports on {name} and starts it again if it died or hangs, "
        "unless a person stopped it.",
    )
    def sensor(context: dg.SensorEvaluationContext, loglake: Loglake) -> dg.SensorResult:
        text = context.cursor
        memory = reports.Memory.model_validate_json(text) if text else reports.Memory()
        own = {"dagster/sensor_name": f"watch_{name}"}
        busy = unfinished(context.instance, tags=own) is not None
        try:
            result, why = watch(StreamControl(loglake.settings, name), memory, busy=busy)
        except StackError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=text)
        skip = None if result.run_requests else why
        return dg.SensorResult(
            run_requests=result.run_requests,
            asset_events=result.asset_events,
            skip_reason=skip,
            cursor=memory.model_dump_json(),
        )

    return sensor


@dg.definitions
def defs() -> dg.Definitions:
    """A sensor for every stream."""
    return dg.Definitions(sensors=[stream_sensor(name) for name in names.STREAMS])
