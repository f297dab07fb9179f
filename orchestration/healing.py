"""When a stream that should run is started again, and when that is given up. No I/O, no clock."""

from datetime import datetime, timedelta

from pydantic import BaseModel

from orchestration.desired import Desired
from orchestration.health import Health

DELAYS_SECONDS = (0, 30, 60, 120, 240)
"""Pause before each attempt; after the last one it is given up until a person starts the stream."""
GRACE_SECONDS = 20
"""A start that a person asked for gets so long before a sensor helps."""
STABLE_SECONDS = 300
"""After so long in good health, earlier failures no longer count."""


class Healing(BaseModel):
    """What a sensor remembers of its attempts."""

    since: datetime | None = None
    """The wish that the attempts belong to."""
    attempts: int = 0
    last_attempt_at: datetime | None = None
    healthy_since: datetime | None = None

    @property
    def given_up(self) -> bool:
        """Whether every attempt was used."""
        return self.attempts >= len(DELAYS_SECONDS)


def heal(
    memory: Healing, desired: Desired | None, health: Health, now: datetime, *, busy: bool = False
) -> tuple[Healing, bool, str]:
    """Decide whether to start a stream now; returns the new memory, the decision and the reason.

    `busy` says that the run of an earlier attempt is not done: on a slow machine it takes minutes.
    """
    if desired is None:
        return Healing(), False, "Nobody asked for this stream yet; run start_streams."
    if memory.since != desired.since:
        memory = Healing(since=desired.since)
    if desired.state == "stopped":
        return memory, False, "A person stopped it; run start_streams to start it."
    if not health.needs_start:
        return _in_good_health(memory, health, now), False, ""
    memory = memory.model_copy(update={"healthy_since": None})
    if busy:
        return memory, False, f"Attempt {memory.attempts} is not done yet."
    if memory.given_up:
        return (
            memory,
            False,
            (f"Given up after {memory.attempts} attempts; mend the cause, then run start_streams."),
        )
    due = desired.since + timedelta(seconds=GRACE_SECONDS)
    if memory.last_attempt_at:
        pause = timedelta(seconds=DELAYS_SECONDS[memory.attempts])
        due = max(due, memory.last_attempt_at + pause)
    if now < due:
        return memory, False, f"Next attempt in {(due - now).total_seconds():.0f} s."
    attempt = memory.attempts + 1
    return (
        memory.model_copy(update={"attempts": attempt, "last_attempt_at": now}),
        True,
        f"Attempt {attempt} of {len(DELAYS_SECONDS)}.",
    )


def _in_good_health(memory: Healing, health: Health, now: datetime) -> Healing:
    if health is not Health.HEALTHY:
        return memory
    since = memory.healthy_since or now
    if now - since >= timedelta(seconds=STABLE_SECONDS):
        return Healing(since=memory.since, healthy_since=since)
    return memory.model_copy(update={"healthy_since": since})
