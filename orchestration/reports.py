"""What a sensor tells Dagster of a stream, and how often. No I/O, no clock."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg
from pydantic import BaseModel

from orchestration import keys, metadata
from orchestration.healing import Healing
from orchestration.verdicts import Verdict
from streaming.contracts.progress import StreamProgress
from streaming.contracts.settings import Settings

OBSERVE_SECONDS = 60
"""Dagster never deletes events, so plots get one point a minute."""
COMMIT_SECONDS = 120
"""Pause between two materialisations; well within the freshness of a table."""
REPEAT_SECONDS = 3600
"""An unchanged verdict is repeated hourly, so that its age shows that somebody still looks."""

Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


class Memory(BaseModel):
    """The cursor of a sensor: what was reported when, and the attempts to start the stream."""

    healing: Healing = Healing()
    observed_at: datetime | None = None
    materialized_at: datetime | None = None
    batches: dict[str, int] = {}
    """Newest batch of each query that was reported."""
    verdicts: dict[str, str] = {}
    evaluated_at: datetime | None = None


def observation(
    memory: Memory, settings: Settings, progress: StreamProgress, now: datetime
) -> Iterator[Event]:
    """Yield the figures of a stream, at most once a minute."""
    if _due(memory.observed_at, OBSERVE_SECONDS, now):
        memory.observed_at = now
        yield dg.AssetObservation(
            keys.stream(progress.stream), metadata=metadata.of_stream(settings, progress)
        )


def materializations(
    memory: Memory, settings: Settings, progress: StreamProgress, now: datetime
) -> Iterator[Event]:
    """Yield what queries committed since the last report, so that freshness means new data."""
    if not _due(memory.materialized_at, COMMIT_SECONDS, now):
        return
    fresh = {
        name: query
        for name, query in progress.queries.items()
        if query.batch_id != memory.batches.get(name)
    }
    if not fresh:
        return
    memory.materialized_at = now
    memory.batches |= {name: query.batch_id for name, query in fresh.items()}
    yield dg.AssetMaterialization(
        keys.stream(progress.stream), metadata=metadata.of_stream(settings, progress)
    )
    for name, query in fresh.items():
        for key in keys.OUTPUTS[progress.stream].get(name, ()):
            yield dg.AssetMaterialization(
                key,
                metadata={"stream": progress.stream, **metadata.of_query(name, query)},
            )


def evaluations(
    memory: Memory, stream: str, verdicts: dict[str, Verdict], now: datetime
) -> Iterator[Event]:
    """Yield verdicts that changed, and all of them once an hour."""
    everything = _due(memory.evaluated_at, REPEAT_SECONDS, now)
    if everything:
        memory.evaluated_at = now
    for name, verdict in verdicts.items():
        if everything or memory.verdicts.get(name) != verdict.key:
            memory.verdicts[name] = verdict.key
            yield dg.AssetCheckEvaluation(
                asset_key=keys.stream(stream),
                check_name=name,
                passed=verdict.passed,
                severity=verdict.severity,
                description=verdict.why,
                metadata={},
            )


def _due(last: datetime | None, seconds: float, now: datetime) -> bool:
    return last is None or now - last >= timedelta(seconds=seconds)
