"""What nginx wrote, counted by plain Python: independent of every parser under test."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streaming.contracts import names


@dataclass
class Window:
    """The exact part of `http_traffic` for one server and 10 seconds."""

    requests: int = 0
    bytes: int = 0
    latency_max: float = 0.0
    statuses: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def fields(self) -> dict[str, Any]:
        """The fields of the measurement that must match to the last digit."""
        return {
            "requests": self.requests,
            "bytes": self.bytes,
            "latency_max": self.latency_max,
            **{f"status_{c}xx": self.statuses[f"{c}"] for c in range(1, 6)},
        }


def log_lines(home: Path, server: str, name: str) -> Iterator[bytes]:
    """Every line of a log and of its rotated predecessors."""
    for path in sorted((home / "nginx" / server).glob(f"{name}*")):
        yield from path.read_bytes().splitlines()


def access_lines(home: Path, server: str) -> list[dict[str, Any]]:
    """The access lines of a server."""
    return [json.loads(line) for line in log_lines(home, server, "access.log")]


def windows(home: Path, servers: tuple[str, ...]) -> dict[tuple[str, int], Window]:
    """Windows by server and start (epoch seconds)."""
    found: dict[tuple[str, int], Window] = defaultdict(Window)
    for server in servers:
        for line in access_lines(home, server):
            second = int(float(line["msec"]))
            window = found[server, second - second % names.WINDOW_SECONDS]
            window.requests += 1
            window.bytes += line["body_bytes_sent"]
            window.latency_max = max(window.latency_max, line["request_time"])
            window.statuses[str(line["status"])[0]] += 1
    return dict(found)
