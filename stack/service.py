"""What the stack must know of one program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Service:
    """One program: how it starts, when it is ready, what it waits for, what it listens on.

    `ports` are named by the setting that chooses them; the first one tells readiness, with a
    `health_path` by an HTTP 200 there. `prepare` writes what the program reads, before its start;
    `complete` sets up what lives in it, once it is ready. `on_demand` programs are not started
    by `loglake up` itself. It is stopped before those it depends on and those of `stops_before`.
    Times are seconds.
    """

    name: str
    command: Sequence[str]
    ports: Mapping[str, int] = field(default_factory=dict)
    health_path: str | None = None
    depends_on: tuple[str, ...] = ()
    stops_before: tuple[str, ...] = ()
    prepare: Callable[[], object] = _nothing
    complete: Callable[[], object] = _nothing
    environment: Mapping[str, str] = field(default_factory=dict)
    on_demand: bool = False
    restart: str = "true"
    start_seconds: int = 1
    start_retries: int = 20
    stop_seconds: int = 20
    stop_group: bool = True

    @property
    def port(self) -> int | None:
        """The port that tells readiness."""
        return next(iter(self.ports.values()), None)
