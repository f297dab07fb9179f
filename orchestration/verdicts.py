"""Evaluations of a stream's progress, by name; the name is the statement that holds or does not."""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from orchestration.healing import Healing
from orchestration.health import Health
from streaming.contracts.progress import StreamProgress

MAX_LAG_SECONDS = 60
"""More unread lines than this many seconds of reading is a backlog that users notice."""
MIN_LAG_ROWS = 1000
"""Fewer unread lines are never a backlog: at a trickle, rows per second say nothing."""
MAX_BATCH_TRIGGERS = 3
"""A batch that takes longer than so many trigger intervals does not keep up."""
MIN_BATCH_SECONDS = 10
"""A batch shorter than this keeps up, whatever its trigger; a busy machine takes seconds."""


@dataclass(frozen=True)
class Verdict:
    """Whether a statement holds, why, and how bad it is if it does not."""

    passed: bool
    why: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN

    @property
    def key(self) -> str:
        """Changes when the verdict does."""
        return "passed" if self.passed else self.severity.value


def process_stays_up(wanted: bool, health: Health, why: str, memory: Healing) -> Verdict:
    """Fail while a stream that should run does not; an error once nobody tries any more."""
    if not wanted or not health.needs_start:
        return Verdict(True, why)
    if memory.given_up:
        return Verdict(
            False,
            f"{why} Given up after {memory.attempts} attempts: mend the cause, then start_streams.",
            dg.AssetCheckSeverity.ERROR,
        )
    return Verdict(False, f"{why} {memory.attempts} attempts to start it so far.")


def lag_is_bounded(progress: StreamProgress) -> Verdict:
    """Fail when a query has more left to read than it reads in a minute."""
    behind = [
        f"{name} has {query.lag_rows} lines left to read at {query.input_rows_per_s:.0f} per second"
        for name, query in sorted(progress.queries.items())
        if query.lag_rows > max(MIN_LAG_ROWS, MAX_LAG_SECONDS * query.input_rows_per_s)
    ]
    return Verdict(not behind, "; ".join(behind) or "Every query is close to the newest line.")


def batches_keep_up(progress: StreamProgress) -> Verdict:
    """Fail when a batch takes much longer than the pause between batches."""
    slow = [
        f"{name} takes {query.batch_seconds:.1f} s every {query.trigger_seconds:g} s"
        for name, query in sorted(progress.queries.items())
        if query.batch_seconds > max(MIN_BATCH_SECONDS, MAX_BATCH_TRIGGERS * query.trigger_seconds)
    ]
    return Verdict(not slow, "; ".join(slow) or "Every batch ends before the next is due.")


PROGRESS_VERDICTS: dict[str, Callable[[StreamProgress], Verdict]] = {
    "lag_is_bounded": lag_is_bounded,
    "batches_keep_up": batches_keep_up,
}
PROCESS_STAYS_UP = "process_stays_up"
