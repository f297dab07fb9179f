"""One asset per stream application. To materialise it is to make sure that it runs.

A stream is a process under supervisord, never a Dagster run: it outlives a restart of Dagster, and
the run only starts it and waits for its first committed batch.
"""

import dagster as dg

from orchestration import keys, metadata
from orchestration.control import StreamControl, log_tail
from orchestration.desired import read_desired, wish
from orchestration.resources import Loglake
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.progress import StreamProgress

HEAL_TAG = "loglake/heal"
"""On runs that a sensor asked for; they never override what a person wants."""

DESCRIPTIONS = {
    names.STREAM_ACCESS: (
        "Reads access-log lines from Kafka for as long as it runs: appends them to the lake, "
        "renews live metrics every second and evaluates traffic against baselines."
    ),
    names.STREAM_ERRORS: (
        "Reads error-log lines from Kafka for as long as it runs: joins continued lines, finds "
        "their pattern and category, appends them to the lake and counts them for InfluxDB."
    ),
}
HOW_TO = (
    "\n\nMaterialise to make sure that it runs. `stop_streams` stops it and it stays stopped; "
    "if it crashes or hangs, its sensor starts it again."
)


def make_sure_it_runs(
    context: dg.OpExecutionContext, loglake: Loglake, name: str
) -> StreamProgress:
    """Start a stream if need be and wait for its first committed batch.

    Raises `dagster.Failure` with the end of its log when it does not come up.
    """
    control = StreamControl(loglake.settings, name)
    try:
        progress = control.ensure_running()
    except StackError as error:
        log = loglake.settings.log_dir / f"{name}.log"
        raise dg.Failure(
            description=str(error),
            metadata={
                "log_file": dg.MetadataValue.path(str(log)),
                "log": dg.MetadataValue.md(f"```\n{log_tail(log)}\n```"),
            },
            allow_retries=False,
        ) from error
    context.log.info(f"{name} runs as process {progress.pid}")
    return progress


def stream_asset(name: str) -> dg.AssetsDefinition:
    """Return the asset of one stream."""

    @dg.asset(
        key=keys.stream(name),
        deps=[keys.TOPICS[name]],
        group_name="streams",
        kinds={"spark", "python"},
        owners=["team:platform"],
        tags={"loglake/stream": name},
        description=DESCRIPTIONS[name] + HOW_TO,
        pool=name,
        output_required=False,
    )
    def ensure(context: dg.AssetExecutionContext, loglake: Loglake):  # type: ignore[no-untyped-def]
        settings = loglake.settings
        if HEAL_TAG in context.run.tags:
            desired = read_desired(settings, name)
            if desired is None or desired.state == "stopped":
                context.log.info(f"{name} was stopped by a person meanwhile; left alone")
                return
        else:
            wish(settings, name, "running")
        progress = make_sure_it_runs(context.op_execution_context, loglake, name)
        yield dg.MaterializeResult(metadata=metadata.of_stream(settings, progress))

    return ensure


STREAM_ASSETS = [stream_asset(name) for name in names.STREAMS]


@dg.definitions
def defs() -> dg.Definitions:
    """The assets and the resource they share."""
    return dg.Definitions(assets=STREAM_ASSETS)
