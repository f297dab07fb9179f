"""Checks of a running stream. Its sensor reports them; here a person can run them at any time."""

import dagster as dg

from orchestration import keys, verdicts
from orchestration.control import StreamControl
from orchestration.desired import read_desired
from orchestration.healing import Healing
from orchestration.resources import Loglake
from streaming.contracts import names


def result(verdict: verdicts.Verdict) -> dg.AssetCheckResult:
    """Say a verdict to Dagster."""
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=verdict.severity,
        description=verdict.why,
    )


def progress_check(stream: str, name: str) -> dg.AssetChecksDefinition:
    """Return a check that reads the progress file of a stream."""
    evaluate = verdicts.PROGRESS_VERDICTS[name]

    @dg.asset_check(asset=keys.stream(stream), name=name, description=evaluate.__doc__)
    def check(loglake: Loglake) -> dg.AssetCheckResult:
        progress = StreamControl(loglake.settings, stream).progress()
        if progress is None:
            return dg.AssetCheckResult(passed=False, description=f"{stream} never ran.")
        return result(evaluate(progress))

    return check


def process_check(stream: str) -> dg.AssetChecksDefinition:
    """Return the check that asks supervisord."""

    @dg.asset_check(
        asset=keys.stream(stream),
        name=verdicts.PROCESS_STAYS_UP,
        description=verdicts.process_stays_up.__doc__,
    )
    def check(loglake: Loglake) -> dg.AssetCheckResult:
        health, why = StreamControl(loglake.settings, stream).health()
        desired = read_desired(loglake.settings, stream)
        wanted = desired is not None and desired.state == "running"
        return result(verdicts.process_stays_up(wanted, health, why, Healing()))

    return check


@dg.definitions
def defs() -> dg.Definitions:
    """The same checks for every stream."""
    checks = [progress_check(s, name) for s in names.STREAMS for name in verdicts.PROGRESS_VERDICTS]
    return dg.Definitions(asset_checks=[*checks, *(process_check(s) for s in names.STREAMS)])
