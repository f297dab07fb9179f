"""Write the past of the shop into Kafka, as if Flume had sent it."""

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Final
from zoneinfo import ZoneInfo

from stack.demo.history import DAY_S, Incident, past_incidents, server_records
from stack.demo.profile import Profile
from stack.replay import producer_for
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

SEED: Final = 1
_WORKERS: Final = max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class Published:
    """Lines that Kafka has, and what happened in them."""

    access: int
    errors: int
    incidents: tuple[Incident, ...]


def publish_history(
    settings: Settings,
    days: int,
    rate: float,
    *,
    seed: int = SEED,
    now: float | None = None,
    advance: Callable[[float, int], None] = lambda share, lines: None,
) -> Published:
    """Publish the last `days` days, from a UTC midnight up to now, at a mean `rate` requests/s.

    The lines of a day depend on the seed, the rate and the date alone, and carry a file name and
    byte offsets, so that a repetition stores nothing twice. `advance` hears of the share done and
    the lines so far. Raises `StackError` for more days than the lake keeps, or without Kafka.
    """
    if not 0 < days < settings.history_days:
        raise StackError(
            f"{days} days of history were asked for; use 1 to {settings.history_days - 1},"
            " or raise LOGLAKE_HISTORY_DAYS"
        )
    end = now or time.time()
    first = math.floor(end / DAY_S) - days
    parts = [
        (settings, rate, server, day, end, seed)
        for day in range(first, math.ceil(end / DAY_S))
        for server in settings.servers
    ]
    access = errors = 0
    # A forked copy of a producer's threads and locks would hang.
    with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_publish_day, *part) for part in parts]
        try:
            for done, part in enumerate(as_completed(running), 1):
                lines = part.result()
                access, errors = access + lines[0], errors + lines[1]
                advance(done / len(parts), access + errors)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Published(access, errors, past_incidents(settings.servers, first * DAY_S, end, seed))


def _publish_day(
    settings: Settings, rate: float, server: str, day: int, end: float, seed: int
) -> tuple[int, int]:
    start = day * DAY_S
    name = f"history-{server}-{datetime.fromtimestamp(start, UTC):%Y-%m-%d}"
    zones = settings.error_log_time_zones
    zone = ZoneInfo(zones.get(server, zones.get("*", "UTC")))
    incidents = past_incidents(settings.servers, start, start + DAY_S, seed)
    key = server.encode()
    topics = (names.TOPIC_ACCESS, names.TOPIC_ERRORS)
    files = (f"{name}.log".encode(), f"{name}.error.log".encode())
    offsets, counts = [0, 0], [0, 0]
    producer = producer_for(settings, "loglake-history")
    try:
        pending = None
        for record in server_records(
            Profile(rate, settings.servers),
            server,
            start,
            min(start + DAY_S, end),
            seed + day,
            incidents,
            zone,
        ):
            log, line = int(record.error), record.line.encode()
            headers = [
                ("server", key),
                ("file", files[log]),
                ("byteoffset", b"%d" % offsets[log]),
            ]
            pending = producer.send(topics[log], line, key=key, headers=headers)
            offsets[log] += len(line) + 1
            counts[log] += 1
        producer.flush(120)
        if pending is not None:
            pending.get(1)
    finally:
        producer.close(timeout=10)
    return counts[0], counts[1]
