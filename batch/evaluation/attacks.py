"""Labelled attacks to inject into history: what a backtest measures the detector by. No Spark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from streaming.contracts import names

MINUTE: Final = 60

SCAN_FAST, SCAN_SLOW, SCAN_SPREAD = "scan", "slow_scan", "spread_scan"
SPIKE, FLOOD, ERRORS, SILENCE, SLOWNESS = "spike", "flood", "errors", "silence", "slowness"

RULES: Final = {
    SCAN_FAST: "path_scan",
    SCAN_SLOW: "path_scan",
    SCAN_SPREAD: "path_scan",
    SPIKE: "ip_spike",
    FLOOD: "server_flood",
    ERRORS: "error_surge",
    SILENCE: "traffic_drop",
    SLOWNESS: "latency_surge",
}
"""The incident that each attack must raise."""

SECONDS: Final = {
    SCAN_FAST: 10,
    SCAN_SLOW: 1800,
    SCAN_SPREAD: 30,
    SPIKE: 60,
    FLOOD: 120,
    ERRORS: 240,
    SILENCE: 300,
    SLOWNESS: 240,
}

FAST_PATHS, SLOW_PATHS, SPREAD_PATHS = 15, 30, 24
SPIKE_REQUESTS: Final = 40
"""Per 10 s: twenty times the two requests of an ordinary client."""
FLOOD_CLIENTS: Final = 300
ERROR_SHARE: Final = 0.1
SLOWER: Final = 10.0


@dataclass(frozen=True)
class Attack:
    """One labelled attack; `server` is the one attacked, the fleet for an attack spread thin."""

    name: str
    server: str
    start: int
    client: str
    seed: int

    @property
    def rule(self) -> str:
        """The incident kind it must raise."""
        return RULES[self.name]

    @property
    def end(self) -> int:
        """Epoch second at which it is over."""
        return self.start + SECONDS[self.name]


class Line(NamedTuple):
    """One injected request."""

    time: float
    server: str
    client: str
    path: str
    status: int
    seconds: float


def plan(servers: Sequence[str], start: int, end: int, seed: int = 1) -> list[Attack]:
    """Return one attack of each name for every server, spread over [start, end).

    Each has a slot of its own, so that none hides another. The same arguments give the same plan.
    """
    wanted = [
        (name, server)
        for name in RULES
        for server in ([names.FLEET] if name == SCAN_SPREAD else servers)
        if name != SCAN_SPREAD or len(servers) > 1
    ]
    rng = Random(seed)  # noqa: S311
    rng.shuffle(wanted)
    slot = (end - start) // max(len(wanted), 1)
    found = []
    for number, (name, server) in enumerate(wanted):
        room = max(slot - SECONDS[name] - 30 * MINUTE, 1)
        at = start + number * slot + rng.randrange(room)
        client = f"198.51.100.{number % 250 + 1}"
        found.append(Attack(name, server, at, client, seed + number))
    return found


def lines(attack: Attack, servers: Sequence[str], busy: float) -> Iterator[Line]:
    """Yield the requests that an attack adds; `busy` is the server's usual requests/min.

    Silence, slowness and errors add none: they change the lines that are there.
    """
    rng = Random(attack.seed)  # noqa: S311
    length = SECONDS[attack.name]
    if attack.name in (SCAN_FAST, SCAN_SLOW, SCAN_SPREAD):
        count = {SCAN_FAST: FAST_PATHS, SCAN_SLOW: SLOW_PATHS, SCAN_SPREAD: SPREAD_PATHS}
        total = count[attack.name]
        for number in range(total):
            server = servers[number % len(servers)] if attack.server == "*" else attack.server
            at = attack.start + length * (number + 0.5) / total
            path = f"/{rng.choice(('wp', 'old', 'cgi-bin'))}/{rng.getrandbits(48):x}.php"
            yield Line(at, server, attack.client, path, 404, 0.002)
    elif attack.name == SPIKE:
        for _ in range(SPIKE_REQUESTS * length // names.WINDOW_SECONDS):
            at = attack.start + rng.random() * length
            yield Line(at, attack.server, attack.client, "/login", 200, 0.05)
    elif attack.name == FLOOD:
        for _ in range(int(max(4 * busy, busy + 600) * length / MINUTE)):
            client = f"203.0.{113 + attack.seed % 2}.{rng.randrange(250)}"
            at = attack.start + rng.random() * length
            yield Line(at, attack.server, client, f"/search?q={rng.getrandbits(16)}", 200, 0.1)
