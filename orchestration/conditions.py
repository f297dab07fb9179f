"""Why a batch job should not run now."""

import dagster as dg

from orchestration import keys
from orchestration.health import utc_now
from streaming.contracts import names

LOGS = (names.ACCESS_LOGS, names.ERROR_LOGS)

WAITING = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


def why_stale(instance: dg.DagsterInstance, *, minutes: float, job: str) -> str | None:
    """Return why `job` has no fresh input, or already runs; None if it may run."""
    if running := unfinished(instance, job=job):
        return f"The last run of {job} is not done yet ({running.run_id[:8]})."
    ages = [age for table in LOGS if (age := _age_minutes(instance, table)) is not None]
    if not ages:
        return "The lake is empty: no stream reported a commit to it."
    if min(ages) > minutes:
        return f"The lake is stale: the last lines were committed {min(ages):.0f} minutes ago."
    return None


def unfinished(
    instance: dg.DagsterInstance, *, job: str | None = None, tags: dict[str, str] | None = None
) -> dg.DagsterRun | None:
    """Return the newest run of `job`, or with these tags, that is not done; None without one."""
    runs = dg.RunsFilter(job_name=job, tags=tags, statuses=list(WAITING))
    return next(iter(instance.get_runs(runs, limit=1)), None)


def _age_minutes(instance: dg.DagsterInstance, table: str) -> float | None:
    event = instance.get_latest_materialization_event(keys.table(table))
    return None if event is None else (utc_now().timestamp() - event.timestamp) / 60
