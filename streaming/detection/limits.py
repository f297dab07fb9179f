"""Where an alarm begins: static thresholds, and baselines where there are any."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Final
from zoneinfo import ZoneInfo

from streaming.contracts.settings import Settings

REQUEST_RATE: Final = "request_rate"
ERROR_RATIO: Final = "error_ratio"
LATENCY_P95: Final = "latency_p95"
CLIENTS: Final = "clients"
CLIENT_LOAD: Final = "client_load"
CLIENT_MISSES: Final = "client_misses"
CLIENT_MISSES_SLOW: Final = "client_misses_slow"
ERROR_EVENTS: Final = "error_events"
ERROR_PATTERN: Final = "error_pattern"
"""Metrics of the `baselines` table. Per server and 60 s: requests, 5xx share, 95th percentile of
the request time in s; clients in 10 s; per client: load in 20 s, missing paths in 20 s and in
30 min; error messages per category (key) and 60 s; known patterns (key)."""

ANY_HOUR: Final = -1
"""The hour of week of a metric that does not change with it."""

NONE, LEARNING, PROVISIONAL, READY = "none", "learning", "provisional", "ready"
STATIC: Final = "static"
BASELINE: Final = "baseline"

CRAWLERS: Final = (
    r"66\.249\.(?:6[4-9]|7\d|8\d|9[0-5])\.|157\.55\.39\.|207\.46\.13\."
    r"|40\.77\.(?:139|167|17[789]|188|189|190|191|202)\.|52\.167\.144\.|13\.66\.139\."
    r"|65\.55\.210\.|17\.241\.|5\.255\.253\.|95\.108\.213\.|87\.250\.224\."
)
"""Starts of addresses that Google, Bing, Apple and Yandex publish for their crawlers
(googlebot.json, bingbot.json, 17.241.0.0/16, yandex.com/ips); a user agent is never believed."""


@dataclass(frozen=True)
class Rules:
    """Static thresholds of the rules; docs/detection.md says where each comes from."""

    spike_load: float = 40
    """Load of one client in 20 s, which a baseline only raises; the heaviest real browser has
    21, a busy API client 37. A lower one would take each of these for a flood where few come."""
    spike_minute: float = 3
    """A minute's threshold over that of 20 s: the same rate, kept up."""
    spike_peers: float = 2
    """Without a baseline, over the median client: where all are busy none stands out."""
    scan_fast: float = 11
    """Distinct missing paths in 20 s: CrowdSec's http-probing overflows at 11 in 10 s."""
    scan_slow: float = 25
    """Distinct missing paths in 30 min, most requests missing; the real crawlers reach 11."""
    scan_miss_share: float = 0.5
    shared_voters: int = 5
    """A path that this many ordinary clients miss in 30 min is a broken link."""
    error_requests: int = 30
    error_count: float = 5
    error_count_learned: float = 4
    error_share: float = 0.05
    error_share_learned: float = 0.02
    error_ratio: float = 0.001
    """The 5xx share that is expected where no baseline says otherwise."""
    flood_requests: float = 1200
    """Requests in 60 s without a baseline: 20 a second."""
    flood_factor: float = 5
    """Without a baseline, over the half hour before; a learned server needs `learned_factor`."""
    learned_factor: float = 2
    flood_extra: float = 200
    flood_clients: int = 10
    drop_share: float = 0.2
    """A drop leaves at most this share of what is expected."""
    drop_minute: float = 10
    """Fewest requests in each minute of the half hour before a silence without a baseline."""
    latency_requests: int = 30
    latency_slow: int = 5
    """Fewest requests slower than the threshold: of 35 in a minute, two downloads are a twentieth.
    39 of 41 false alarms of a clean fortnight at one request a second had fewer."""
    latency_factor: float = 2
    latency_extra: float = 0.25
    latency_static: float = 5
    """Seconds of the 95th percentile without a baseline."""
    burst_events: float = 60
    """Error messages of a category in 60 s without a baseline."""
    burst_events_learned: float = 10
    pattern_events: int = 2
    """Times that a message never seen before must appear in 10 min; once from `crit` up."""
    sensitivity: float = 1.0
    """Stretches every distance between expected and threshold; a what-if sweep varies it."""
    keep_from: float = 25
    """Evaluations with a lower score are not kept: chance alone makes one a day."""
    allowed_clients: frozenset[str] = frozenset()
    """Addresses and networks of clients that are never evaluated: monitors, load tests."""
    time_zone: str = "UTC"

    def allowed(self, client: str) -> bool:
        """Whether a client is never evaluated."""
        return bool(self.allowed_clients) and _within(client, self.allowed_clients)


def rules_of(settings: Settings, **changes: Any) -> Rules:
    """Return the rules as the settings have them, with some fields changed."""
    allowed = frozenset(settings.allowed_clients)
    return replace(Rules(time_zone=settings.time_zone, allowed_clients=allowed), **changes)


@lru_cache(maxsize=65_536)
def _within(client: str, networks: frozenset[str]) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)


@dataclass(frozen=True, slots=True)
class Limit:
    """What one metric of one server should be in one hour of the week."""

    expected: float
    variance: float
    lower: float | None
    upper: float
    state: str
    version: int

    @property
    def learned(self) -> bool:
        """Whether the baseline is old enough to be believed."""
        return self.state in (PROVISIONAL, READY)


class Limits:
    """Baselines by server, metric, key and hour of week; none at all is fine."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = (), time_zone: str = "UTC") -> None:
        """Take rows of `schemas.BASELINES`, all of one version."""
        self._zone = time_zone
        self._limits: dict[tuple[str, str, str, int], Limit] = {}
        self._keys: dict[tuple[str, str], set[str]] = {}
        self.version: int | None = None
        for row in rows:
            server, metric, key = row["server_address"], row["metric"], row["key"]
            self._limits[server, metric, key, row["hour_of_week"]] = Limit(
                row["expected"],
                row["variance"],
                row["lower"],
                row["upper"],
                row["state"],
                row["version"],
            )
            self._keys.setdefault((server, metric), set()).add(key)
            self.version = row["version"]

    def get(self, server: str, metric: str, second: int, key: str = "") -> Limit | None:
        """Return the limit at an epoch second, or None."""
        if not self._limits:
            return None
        limit = self._limits.get((server, metric, key, ANY_HOUR))
        if limit is not None:
            return limit
        slot = hour_of_week(second // 3600, self._zone)
        return self._limits.get((server, metric, key, slot))

    def keys(self, server: str, metric: str) -> set[str]:
        """Return the keys known of a metric, such as the patterns a server has logged."""
        return self._keys.get((server, metric), set())


class HourlyLimit:
    """The limit of one server and metric, looked up once for all windows of an hour."""

    __slots__ = ("_hour", "_limit", "_limits", "_metric", "_server")

    def __init__(self, limits: Limits, server: str, metric: str) -> None:
        self._limits, self._server, self._metric = limits, server, metric
        self._hour: int | None = None
        self._limit: Limit | None = None

    def at(self, second: int) -> Limit | None:
        """Return the limit at an epoch second, or None."""
        hour = second // 3600
        if hour != self._hour:
            self._hour = hour
            self._limit = self._limits.get(self._server, self._metric, second)
        return self._limit


@lru_cache(maxsize=4096)
def hour_of_week(epoch_hour: int, zone: str) -> int:
    """Return 0–167, 0 being Monday 00:00–00:59 in `zone`."""
    local = datetime.fromtimestamp(epoch_hour * 3600, UTC).astimezone(ZoneInfo(zone))
    return local.weekday() * 24 + local.hour
