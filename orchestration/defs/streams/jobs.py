"""Start, stop and restart the streams; what these jobs do is what people want from then on."""

import dagster as dg
from pydantic import Field

from orchestration import keys, metadata
from orchestration.control import StreamControl
from orchestration.defs.streams.assets import make_sure_it_runs
from orchestration.desired import wish
from orchestration.resources import Loglake
from streaming.contracts import names


class Which(dg.Config):
    """The streams that a job acts on."""

    streams: list[str] = Field(default=list(names.STREAMS), description="Names of the streams.")


def _known(streams: list[str]) -> list[str]:
    unknown = set(streams) - set(names.STREAMS)
    if unknown or not streams:
        raise dg.Failure(
            f"no stream is called {', '.join(sorted(unknown)) or '(nothing)'}; "
            f"choose from {', '.join(names.STREAMS)}"
        )
    return streams


@dg.op(description="Finish the running batch, end the process, and leave it so.")
def stop(context: dg.OpExecutionContext, config: Which, loglake: Loglake) -> list[str]:
    """Stop streams."""
    for name in _known(config.streams):
        wish(loglake.settings, name, "stopped")
        StreamControl(loglake.settings, name).stop()
        context.log.info(f"{name} is stopped and stays so until it is started again")
    return config.streams


@dg.op(description="Start the process and wait for its first committed batch.")
def start_again(context: dg.OpExecutionContext, loglake: Loglake, streams: list[str]) -> None:
    """Start streams."""
    for name in streams:
        wish(loglake.settings, name, "running")
        progress = make_sure_it_runs(context, loglake, name)
        context.log_event(
            dg.AssetMaterialization(
                keys.stream(name), metadata=metadata.of_stream(loglake.settings, progress)
            )
        )


start_streams = dg.define_asset_job(
    "start_streams",
    selection=dg.AssetSelection.groups("streams").without_checks(),
    description="Make sure that both streams run.",
    executor_def=dg.multiprocess_executor,  # both at once
)


@dg.job(description="Stop the streams after their running batch; sensors do not revive them.")
def stop_streams() -> None:
    """Stop only."""
    stop()


@dg.job(description="Stop the streams after their running batch, then start them.")
def restart_streams() -> None:
    """Stop, then start."""
    start_again(stop())
