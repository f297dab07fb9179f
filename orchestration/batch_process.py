"""A batch job as a process of its own, through Dagster Pipes.

Dagster's `PipesSubprocessClient` interrupts the child, waits, and then leaves it running. This one
ends it in every case: SIGTERM, later SIGKILL, and a pipe on its standard input whose end tells the
child that the run is gone even when the run was killed.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg

from orchestration.resources import Loglake
from streaming.contracts import names
from streaming.contracts.settings import CHECKOUT

TERMINATION_SECONDS = 30


def run_batch(
    context: dg.AssetExecutionContext, loglake: Loglake, module: str, *arguments: str
) -> dg.MaterializeResult[None]:
    """Run `python -m module arguments` as the materialisation of an asset.

    Raises `dagster.Failure` unless it exits 0, and when the run is terminated; its log is the
    standard error of the step.
    """
    return _run(context, loglake, module, *arguments).get_materialize_result()


def check_batch(
    context: dg.AssetCheckExecutionContext, loglake: Loglake, module: str, *arguments: str
) -> Iterator[dg.AssetCheckResult]:
    """Run `python -m module arguments` and yield the checks that it evaluated."""
    # The context of a check lacks half of what Pipes asks of it; the op's own has all.
    done = _run(context.op_execution_context, loglake, module, *arguments)
    for result in done.get_results(implicit_materializations=False):
        if isinstance(result, dg.AssetCheckResult):
            yield result


def _run(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    loglake: Loglake,
    module: str,
    *arguments: str,
) -> dg.PipesClientCompletedInvocation:
    with dg.open_pipes_session(
        context=context,
        context_injector=dg.PipesTempFileContextInjector(),
        message_reader=dg.PipesTempFileMessageReader(),
    ) as session:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            cwd=CHECKOUT,
            env={
                **os.environ,
                **loglake.settings.environment(),
                **session.get_bootstrap_env_vars(),
            },
        )
        try:
            status = process.wait()
        except dg.DagsterExecutionInterruptedError as interrupt:
            # Dagster's retry policies hold for an interrupted step too: a run that somebody had
            # terminated began again half a minute later and ended as a success.
            raise dg.Failure(f"{module} was terminated", allow_retries=False) from interrupt
        finally:
            _end(process)
    if status != 0:
        said = session.get_custom_messages()
        refusals = [message[names.REFUSAL] for message in said if names.REFUSAL in message]
        reason = refusals[-1] if refusals else "the log of this step (stderr) says why"
        raise dg.Failure(
            f"{module} ended with status {status}: {reason}", allow_retries=not refusals
        )
    return dg.PipesClientCompletedInvocation(session)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(TERMINATION_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin:
        process.stdin.close()
