"""Incidents, limits and profiles → points of InfluxDB, as rows."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from streaming.contracts import names
from streaming.contracts.measurements import TOP_ANOMALIES
from streaming.detection.incidents import Incident, Key, key_of, quiet_seconds
from streaming.detection.limits import ERROR_RATIO, LATENCY_P95, REQUEST_RATE, Limits
from streaming.detection.model import Evaluation

OPEN, CLOSED = "open", "closed"

_BANDS: Final = (
    ("rps", REQUEST_RATE, 1 / 60),
    ("error_rate", ERROR_RATIO, 1.0),
    ("latency_p95", LATENCY_P95, 1.0),
)
"""Values of the tag `metric`, the metric of the baseline, and its unit in that of the tag."""


def anomalies(
    incidents: Iterable[Incident], evaluations: Iterable[Evaluation], since: int
) -> list[dict[str, Any]]:
    """Rows of measurement `anomalies` for windows from epoch second `since`.

    One per window and open incident, ranked by score from 1 within kind and server, and a last
    one with state `closed`. A window without an evaluation of its own repeats the one before.
    The window in which an incident ended comes again once its quiet time is over, since only
    then is it known to be closed.
    """
    incidents = list(incidents)
    ended: dict[tuple[str, str], set[int]] = defaultdict(set)
    for i in incidents:
        if i.closed_at is not None and i.closed_at + quiet_seconds(i.kind) >= since:
            ended[i.kind, i.server].add(i.closed_at)
    by_key: dict[Key, list[Evaluation]] = defaultdict(list)
    for e in sorted(evaluations, key=lambda e: e.second):
        by_key[key_of(e)].append(e)
    found: dict[tuple[str, str, int], list[tuple[Evaluation, Incident, str]]] = defaultdict(list)
    for incident in incidents:
        seen = by_key[key_of(incident.peak)]
        again = ended[incident.kind, incident.server]
        open_again = {s for s in again if incident.opened_at <= s < incident.seen_until}
        for second in open_again.union(
            range(max(incident.opened_at, since), incident.seen_until, 10)
        ):
            known = bisect_right(seen, second, key=lambda e: e.second)
            said = seen[known - 1] if known else incident.peak
            found[incident.kind, incident.server, second].append((said, incident, OPEN))
        if incident.closed_at is not None and incident.closed_at in again:
            key = (incident.kind, incident.server, incident.closed_at)
            found[key].append((incident.peak, incident, CLOSED))
    rows = []
    for (_, _, second), some in found.items():
        some.sort(key=lambda s: (-s[0].score, s[1].entity))
        for rank, (said, incident, state) in enumerate(some[:TOP_ANOMALIES], 1):
            rows.append(_anomaly(second, rank, said, incident, state))
    return rows


def _anomaly(
    second: int, rank: int, said: Evaluation, incident: Incident, state: str
) -> dict[str, Any]:
    closed = incident.closed_at if state == CLOSED and incident.closed_at else 0
    return {
        "window_start": second * 1000,
        "kind": said.kind,
        "server": said.server,
        "rank": rank,
        "score": said.score,
        "observed": said.observed,
        "expected": said.expected,
        "threshold": said.threshold,
        "entity": said.entity,
        "incident_id": incident.incident_id,
        "basis": said.basis,
        "state": state,
        "opened_at": incident.opened_at * 1000,
        "closed_at": closed * 1000,
    }


def baseline_points(
    servers: Iterable[str], seconds: Sequence[int], limits: Limits
) -> list[dict[str, Any]]:
    """Rows of measurement `baseline` for each server and window that has a baseline."""
    rows = []
    for server in servers:
        for second in seconds:
            for name, metric, unit in _BANDS:
                limit = limits.get(server, metric, second)
                if limit is not None:
                    rows.append(
                        {
                            "window_start": second * 1000,
                            "server": server,
                            "metric": name,
                            "expected": limit.expected * unit,
                            "lower": (limit.lower or 0.0) * unit,
                            "upper": limit.upper * unit,
                        }
                    )
    return rows


def top_urls(server: str, routes: Sequence[Any], second: int, most: int) -> list[dict[str, Any]]:
    """Rows of measurement `http_top_urls` of one profile, from its column `routes`.

    The union of the most requested, the slowest and the most failing routes, by requests.
    """
    if server == names.FLEET:
        return []
    orders = (
        lambda r: (-r["requests"], r["route"]),
        lambda r: (-_mean(r), r["route"]),
        lambda r: (-r["status_5xx"], -r["status_4xx"], r["route"]),
    )
    share = -(-most // len(orders))
    chosen: dict[str, Any] = {}
    for order in orders:
        for route in sorted(routes, key=order)[:share]:
            chosen[route["route"]] = route
    ranked = sorted(chosen.values(), key=orders[0])[:most]
    return [
        {
            "window_start": second * 1000,
            "server": server,
            "rank": rank,
            "url": r["route"],
            "requests": r["requests"],
            "bytes": r["bytes"],
            "latency_avg": r["latency_us"] / r["timed"] / 1e6 if r["timed"] else None,
            **{f"status_{n}xx": r[f"status_{n}xx"] for n in range(1, 6)},
        }
        for rank, r in enumerate(ranked, 1)
    ]


def _mean(route: Any) -> float:
    return route["latency_us"] / route["timed"] if route["timed"] else 0.0
