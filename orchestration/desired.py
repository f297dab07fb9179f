"""What people want of a stream: HOME/run/streams/NAME.desired. Sensors obey it, only people set it.

Without it a sensor could not tell a stream that crashed from one that somebody stopped.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from streaming.contracts.progress import progress_path
from streaming.contracts.settings import Settings


class Desired(BaseModel):
    """A wish and when it was made; a newer wish starts the count of failed starts anew."""

    model_config = ConfigDict(frozen=True)

    state: Literal["running", "stopped"]
    since: datetime


def desired_path(settings: Settings, stream: str) -> Path:
    """Where the wish is kept."""
    return progress_path(settings, stream).with_suffix(".desired")


def read_desired(settings: Settings, stream: str) -> Desired | None:
    """Return what was last wished, None if nobody ever asked for this stream."""
    try:
        return Desired.model_validate_json(desired_path(settings, stream).read_bytes())
    except FileNotFoundError:
        return None


def wish(settings: Settings, stream: str, state: Literal["running", "stopped"]) -> Desired:
    """Record what is wanted from now on."""
    desired = Desired(state=state, since=datetime.now(UTC))
    path = desired_path(settings, stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(desired.model_dump_json(), encoding="utf-8")
    draft.replace(path)
    return desired
