"""What a stream says of itself: one small file, replaced atomically. No Spark import."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from streaming.contracts.settings import Settings


class QueryProgress(BaseModel):
    """The last committed micro-batch of one streaming query."""

    model_config = ConfigDict(frozen=True)

    batch_id: int
    committed_at: datetime
    input_rows: int
    input_rows_per_s: float
    lag_rows: int = Field(description="Kafka records not yet read, over all partitions.")
    batch_seconds: float
    trigger_seconds: float
    state_rows: int = 0
    rejected_rows: int = Field(0, description="Since the start of this process.")
    duplicate_rows: int = Field(0, description="Replayed lines left out, since this start.")
    late_rows: int = Field(0, description="Too late for live metrics, since this start.")
    watermark: datetime | None = None
    event_time_delay_s: float | None = Field(
        None, description="Commit time less the newest event time of the batch."
    )
    delta_version: int | None = None


class StreamProgress(BaseModel):
    """A stream application: who runs it, when it last spoke, what each query did."""

    model_config = ConfigDict(frozen=True)

    stream: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    queries: dict[str, QueryProgress] = {}
    error: str | None = Field(None, description="Why a query ended, in one sentence.")

    def age_s(self, now: datetime | None = None) -> float:
        """Seconds since the stream last spoke."""
        return ((now or datetime.now(UTC)) - self.heartbeat_at).total_seconds()


def progress_path(settings: Settings, stream: str) -> Path:
    """Where a stream keeps its progress."""
    return settings.run_dir / "streams" / f"{stream}.json"


def write_progress(settings: Settings, progress: StreamProgress) -> None:
    """Replace the progress file so that a reader sees the old or the new one, never half."""
    path = progress_path(settings, progress.stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(progress.model_dump_json(), encoding="utf-8")
    draft.replace(path)


def read_progress(settings: Settings, stream: str) -> StreamProgress | None:
    """Return the last progress of a stream, or None if it never ran under this home."""
    try:
        text = progress_path(settings, stream).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return StreamProgress.model_validate(json.loads(text))
