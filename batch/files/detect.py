"""The detector over log files, with no stack running and no JVM."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from batch.files.log_files import Chunk
from batch.files.past import Past, Tell, read_past
from batch.files.workers import Workers
from batch.learning.profiles import Profiles, Run, evaluate_all
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import Evaluation

Learn = Callable[[Profiles, Run], Limits]
"""Returns the limits to evaluate profiles by; `Run` uses all cores."""


@dataclass(frozen=True)
class Found:
    """What came of a run: incidents, every evaluation from 25 up, lines read and rejected."""

    incidents: list[Incident]
    evaluations: list[Evaluation]
    lines: int
    rejected: int


Then = Callable[[Past, Limits, Found], None]


def detect(
    chunks: Iterable[Chunk],
    time_zones: Mapping[str, str],
    rules: Rules,
    learn: Learn,
    workers: Workers,
    tell: Tell = lambda _: None,
    then: Then = lambda *_: None,
) -> Found:
    """Evaluate log files as the streams would have, in any order of files and lines.

    `time_zones` are those of error logs by server, `*` for the rest. `tell` hears of progress,
    `then` gets the past before its temporary files are removed. Raises what `chunks` and
    `read_past` raise.
    """
    with read_past(chunks, time_zones, workers, tell) as past:
        limits = learn(past.profiles, workers.map)
        found = evaluate_past(past, limits, rules, workers)
        then(past, limits, found)
        return found


def evaluate_past(past: Past, limits: Limits, rules: Rules, workers: Workers) -> Found:
    """Evaluate every window of the past."""
    evaluations = evaluate_all(past.profiles, limits, rules, workers.map)
    incidents = merge(evaluations, past.profiles.end())
    return Found(incidents, evaluations, past.lines, past.rejected)
