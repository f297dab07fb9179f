"""Ask the running Dagster to run a job, and wait for the end of it.

`loglake up` starts the streams through Dagster itself with `launch(settings, "start_streams")`,
once `dagster-webserver` answers and `dagster-daemon` runs; so does
`python -m orchestration.launch start_streams`.
"""

import sys
import time

from dagster import DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from streaming.contracts.settings import Settings

POLL_SECONDS = 1.0
FAILED = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


class LaunchError(RuntimeError):
    """Dagster could not be asked, or the run did not succeed; the text links the run."""


FAILURES = """query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on ExecutionStepFailureEvent { failureMetadata { description } } } } } }"""


def launch(settings: Settings, job: str, timeout_seconds: float = 240) -> str:
    """Run `job` and return the URL of its run once it succeeded.

    Raises `LaunchError` if Dagster does not answer, or the run fails or takes too long.
    """
    base = f"http://127.0.0.1:{settings.dagster_port}"
    deadline = time.monotonic() + timeout_seconds
    try:
        client = DagsterGraphQLClient("127.0.0.1", port_number=settings.dagster_port, timeout=30)
        run_id = client.submit_job_execution(job)
        while time.monotonic() < deadline:
            status = client.get_run_status(run_id)
            if status is DagsterRunStatus.SUCCESS:
                return f"{base}/runs/{run_id}"
            if status in FAILED:
                raise LaunchError(
                    f"Dagster job {job} failed; see {base}/runs/{run_id}{_reasons(client, run_id)}"
                )
            time.sleep(POLL_SECONDS)
    except DagsterGraphQLClientError as error:
        reason = " ".join(str(part) for part in error.args).partition("\n")[0]
        raise LaunchError(f"Dagster does not run {job} at {base}: {reason}") from error
    raise LaunchError(
        f"Dagster job {job} is not done after {timeout_seconds:.0f} s; see {base}/runs/{run_id}"
    )


def _reasons(client: DagsterGraphQLClient, run_id: str) -> str:
    """What the failed steps said, each after a colon."""
    events = client._execute(FAILURES, {"run": run_id})["logsForRun"].get("events", [])
    said = [
        event["failureMetadata"]["description"] for event in events if event.get("failureMetadata")
    ]
    return "".join(f": {text}" for text in said if text)


if __name__ == "__main__":
    try:
        sys.stdout.write(launch(Settings(), sys.argv[1]) + "\n")
    except (LaunchError, IndexError) as failure:
        sys.exit(f"{failure}")
