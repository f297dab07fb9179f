"""Real HTTP traffic through every nginx server: `python -m stack.demo.traffic --rate 200`."""

import heapq
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import click

from stack.demo.profile import Profile, timeline
from stack.demo.visitors import Ask
from stack.demo.wire import Reply, Wire, gave_up
from streaming.contracts.settings import Settings

LATEST_S: Final = 5.0
"""A request that could not be sent this long after it was due is dropped and counted."""

SAMPLE: Final = 100_000
"""Latencies kept for percentiles, the first ones; a run may last for weeks."""

Planned = tuple[str, Ask]


@dataclass
class Tally:
    """What happened to the requests that were due."""

    sent: int = 0
    dropped: int = 0
    gave_up: int = 0
    failed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    def add(self, reply: Reply) -> None:
        """Count a request that ended."""
        if gave_up(reply):
            self.gave_up += 1
        elif reply.error:
            self.failed += 1
            self.problems[reply.error] += 1
        else:
            self.statuses[reply.status] += 1
            if len(self.seconds) < SAMPLE:
                self.seconds.append(reply.seconds)

    def line(self, elapsed: float) -> str:
        """One line for a person, over the last `elapsed` seconds."""
        times = sorted(self.seconds) or [0.0]
        errors = sum(n for status, n in self.statuses.items() if status >= 500)
        text = (
            f"{self.sent / elapsed:8.1f} req/s  ok {sum(self.statuses.values()) - errors}"
            f"  5xx {errors}  gave up {self.gave_up}  failed {self.failed}  dropped {self.dropped}"
            f"  p50 {times[len(times) // 2] * 1000:.0f} ms"
            f"  p95 {times[int(len(times) * 0.95)] * 1000:.0f} ms"
        )
        worst = self.problems.most_common(1)
        return text + (f"  ({worst[0][0]})" if worst else "")


def plan(profile: Profile, start: float, end: float, seed: int) -> Iterator[Planned]:
    """Yield what is due at which server in [start, end), in order of time."""

    def of(server: str) -> Iterator[tuple[float, str, Ask]]:
        return ((ask.at, server, ask) for ask in timeline(profile, server, start, end, seed))

    for _, server, ask in heapq.merge(*map(of, profile.servers)):
        yield server, ask


def drive(
    wire: Wire,
    planned: Iterable[Planned],
    on_reply: Callable[[Reply], None],
    on_sent: Callable[[bool], None],
    stopped: Callable[[], bool] = lambda: False,
    latest: float = LATEST_S,
) -> None:
    """Send each request when it is due, whatever became of the earlier ones (open loop).

    `on_sent` hears of every request that was due: True when sent, False when dropped, which
    one is that is more than `latest` seconds behind or for which too many are under way.
    """
    for server, ask in planned:
        while (wait := ask.at - time.time()) > 0.0005 and not stopped():
            for reply in wire.pump(min(wait, 0.1)):
                on_reply(reply)
        if stopped():
            return
        on_sent(-wait < latest and wire.send(server, ask))
        for reply in wire.pump(0.0):
            on_reply(reply)


def send_known(
    settings: Settings, count: int, *, rate: float = 500.0, seed: int = 1
) -> list[Reply]:
    """Send exactly `count` requests at an even pace and return each with its request id.

    Nobody gives up and nothing is dropped, so nginx writes `count` access lines.
    Raises `ConnectionError` when a request gets no answer.
    """
    start = time.time() + 0.05
    asks = plan(Profile(rate, settings.servers, flat=True), start, float("inf"), seed)
    paced = (
        (server, ask._replace(at=start + i / rate, patience=30.0))
        for i, (server, ask) in zip(range(count), asks, strict=False)
    )
    replies: list[Reply] = []
    refused: list[bool] = []

    def sent(taken: bool) -> None:
        if not taken:
            refused.append(taken)

    with Wire(settings.nginx_ports(), in_flight=count, headers=True) as wire:
        drive(wire, paced, replies.append, sent, latest=float("inf"))
        replies.extend(wire.drain(35.0))
    lost = [reply.error for reply in replies if reply.error]
    if lost or refused or len(replies) != count:
        missing = count - len(replies) + len(lost)
        raise ConnectionError(
            f"{missing} of {count} requests got no answer"
            f" ({lost[0] if lost else 'too slow'}); see that every nginx runs"
        )
    return replies


class Meter:
    """Prints a line every few seconds and stops at a signal."""

    def __init__(self, every: float) -> None:
        self.total = Tally()
        self.stopping = False
        self._recent = Tally()
        self._every = every
        self._since = time.monotonic()

    def watch_signals(self) -> None:
        """End the run at SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def sent(self, taken: bool) -> None:
        """Count a request that was due."""
        for tally in (self.total, self._recent):
            tally.sent += taken
            tally.dropped += not taken
        elapsed = time.monotonic() - self._since
        if elapsed >= self._every:
            click.echo(self._recent.line(elapsed))
            self._recent, self._since = Tally(), time.monotonic()

    def reply(self, reply: Reply) -> None:
        """Count a request that ended."""
        self._recent.add(reply)
        self.total.add(reply)

    def _stop(self, *_: object) -> None:
        self.stopping = True


@click.command()
@click.option("--rate", type=float, help="Mean requests/s over all servers; LOGLAKE_DEMO_RATE.")
@click.option("--seconds", default=float("inf"), help="How long; without it until a signal.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same visitors.")
@click.option("--flat", is_flag=True, help="Leave out the day and week curve.")
@click.option("--speed-up", default=1.0, show_default=True, help="Run through the curve faster.")
@click.option("--report-every", default=5.0, show_default=True, help="Seconds between lines.")
def main(
    rate: float | None,
    seconds: float,
    seed: int,
    flat: bool,
    speed_up: float,
    report_every: float,
) -> None:
    """Send the traffic of a shop's visitors to every nginx server, open loop."""
    settings = Settings()
    rate = rate or settings.demo_rate
    # The visits that are already under way at the start are worked out before it.
    start = time.time() + 0.5 + rate / 500.0
    profile = Profile(rate, settings.servers, flat, speed_up, anchor=start)
    meter = Meter(report_every)
    meter.watch_signals()
    with Wire(settings.nginx_ports()) as wire:
        planned = plan(profile, start, start + seconds, seed)
        drive(wire, planned, meter.reply, meter.sent, lambda: meter.stopping)
        for reply in wire.drain(3.0):
            meter.reply(reply)
    click.echo(f"in all {meter.total.line(time.time() - start)}")


if __name__ == "__main__":
    main()
