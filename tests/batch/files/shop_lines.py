"""Lines of two servers with an attack of each kind, as the streams would get them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stack.demo.history import Incident as Attack
from stack.demo.history import Record, records
from stack.demo.profile import Profile
from streaming.detection.incidents import Incident
from streaming.detection.limits import (
    ANY_HOUR,
    CLIENT_LOAD,
    ERROR_PATTERN,
    READY,
    REQUEST_RATE,
    Limits,
)

START: Final = 1_767_600_000
SERVERS: Final = ("web1", "web2")


def shop_lines(seed: int, minutes: int = 25, rate: float = 6.0) -> list[Record]:
    """Return lines in order of time; both logs of both servers have some at the start and end."""
    attacks = (
        Attack("scan", "web1", START + 240, START + 300, seed, {"count": 60}),
        Attack("flood", "web2", START + 540, START + 600, seed, {"seconds": 60.0, "rate": 30.0}),
        Attack("errors", "web1", START + 900, START + 1140, seed, {"seconds": 240.0, "rate": 2.0}),
    )
    end = START + minutes * 60
    found = list(records(Profile(rate, SERVERS), START, end, seed, attacks))
    # Nothing in the demo's attacks fills an error log so quickly.
    found += [
        Record(START + 700 + n / 2, "web2", True, _refused(START + 700 + n / 2), "")
        for n in range(90)
    ]
    for at in (START + 1, end - 1):
        for server in SERVERS:
            usual = next(r for r in found if r.server == server and not r.error)
            moved = usual.line.replace(usual.line.split('"msec":')[1].split(",")[0], f"{at}.000")
            found.append(Record(at, server, False, moved, ""))
            found.append(Record(at, server, True, _refused(at), ""))
    return sorted(found)


def _refused(at: float) -> str:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y/%m/%d %H:%M:%S")
    return f"{stamp} [error] 7#7: *1 connect() failed (111: Connection refused)"


def learned() -> Limits:
    """Return baselines of web1; web2 and the fleet have none."""
    values = {
        REQUEST_RATE: (180.0, 500.0, 60.0),
        CLIENT_LOAD: (3.0, 25.0, None),
        ERROR_PATTERN: (0.0, 0.0, None),
    }
    return Limits(
        {
            "version": 1,
            "server_address": "web1",
            "metric": metric,
            "key": "",
            "hour_of_week": ANY_HOUR,
            "expected": expected,
            "variance": expected,
            "lower": lower,
            "upper": upper,
            "state": READY,
        }
        for metric, (expected, upper, lower) in values.items()
    )


def write_logs(home: Path, some: Iterable[Record]) -> list[Path]:
    """Write `web1.access.log`, `web1.error.log` and so on, as far as there are lines."""
    paths = []
    every = list(some)
    for server in SERVERS:
        for kind, error in (("access", False), ("error", True)):
            path = home / f"{server}.{kind}.log"
            own = [r.line + "\n" for r in every if r.server == server and r.error == error]
            path.write_text("".join(own), encoding="utf-8")
            paths.append(path)
    return paths


def facts(incidents: Iterable[Incident]) -> dict[str, tuple[Any, ...]]:
    """Return what is said of incidents, by their ids."""
    return {
        i.incident_id: (
            (i.kind, i.server, i.entity),
            i.opened_at,
            i.closed_at,
            i.peak.second,
            i.peak.score,
            i.peak.observed,
            i.peak.threshold,
            i.peak.basis,
            i.evidence,
        )
        for i in incidents
    }
