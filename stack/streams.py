"""Start both Spark streams through Dagster, so that its assets know of them."""

from collections.abc import Callable
from typing import Final

from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

JOB: Final = "start_streams"


def start_streams(settings: Settings, report: Callable[[str, str], None]) -> None:
    """Run the Dagster job that starts both streams and waits for their first batches.

    Raises `StackError` when it fails; the text links the run.
    """
    # Dagster takes seconds to import, and the other commands do without it.
    from orchestration.launch import LaunchError, launch

    for stream in names.STREAMS:
        report(stream, "starting through Dagster")
    try:
        launch(settings, JOB)
    except LaunchError as error:
        raise StackError(str(error)) from error
    for stream in names.STREAMS:
        report(stream, "ready")
