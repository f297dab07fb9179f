"""A run launcher that knows when a run's process is gone.

Dagster's own says of a local run that it is fine for ever: a run whose process died together with
its code server would stay STARTED and keep its pool. This one looks for the process.
"""

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

CLOCK_SECONDS = 5
"""A process is created before it says so; a later one with the same pid is another."""


class LocalRunLauncher(DefaultRunLauncher):
    """`DefaultRunLauncher` with a health check, which run monitoring then uses."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Look for the process that reported the start of the run."""
        events = self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        for entry in events:
            event = entry.get_dagster_event()
            pid = event.engine_event_data.metadata.get("pid")
            if pid is None:
                continue
            if _is_running(int(str(pid.value)), entry.timestamp):
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND, f"process {pid.value} of the run is gone"
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING, "the run never said its process")


def _is_running(pid: int, said_at: float) -> bool:
    try:
        process = psutil.Process(pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.create_time() <= said_at + CLOCK_SECONDS
        )
    except psutil.NoSuchProcess:
        return False
