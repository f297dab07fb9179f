"""The columns of both kinds of profile, computed in plain Python from lines as dictionaries."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

from streaming.contracts import names
from streaming.windows import clients

Row = Mapping[str, Any]
SIZES = ("requests", "bytes", "latency_us", "timed", *(f"status_{n}xx" for n in range(1, 6)))
STATIC, SOUGHT = (re.compile(pattern) for pattern in (clients.STATIC, clients.SOUGHT))


def traffic_profiles(lines: Iterable[Row], *, fleet: bool = True) -> list[dict[str, Any]]:
    return _profiles(map(_line, lines), fleet, _traffic)


def error_profiles(lines: Iterable[Row], *, fleet: bool = True) -> list[dict[str, Any]]:
    kept = [line for line in lines if line["severity"] in names.SEVERITIES[3:]]
    return _profiles(kept, fleet, _errors)


def _profiles(
    lines: Iterable[Row], fleet: bool, columns: Callable[[list[Row]], dict[str, Any]]
) -> list[dict[str, Any]]:
    found: dict[tuple[datetime, str], list[Row]] = defaultdict(list)
    for line in lines:
        time = line["event_time"]
        start = time.replace(second=time.second // 10 * 10, microsecond=0)
        for server in (line["server_address"], "*") if fleet else (line["server_address"],):
            found[start, server].append(line)
    return [
        {
            "window_start": start,
            "event_date": start.date(),
            "server_address": server,
            **columns(found[start, server]),
        }
        for start, server in sorted(found)
    ]


def _line(row: Row) -> dict[str, Any]:
    path, status = (row["url_path"] or "")[:256], row["http_response_status_code"] or 0
    static, found = bool(STATIC.search(path)), 200 <= status < 400
    failed = status in (400, 403, 404, 405, 410, 444) and not static
    return {
        **row,
        "client": row["client_address"],
        "path": path,
        "normal": re.sub("/{2,}", "/", path).lower()[:256],
        "route": row["http_route"] or "",
        "status": status,
        "static": static,
        "found": found,
        "missing": failed or (found and bool(SOUGHT.search(path))),
        "referred": row["http_request_referrer"] is not None or row["user_agent_original"] is None,
        "latency": row["http_server_request_duration"],
    }


def _by(lines: Iterable[Row], *keys: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for line in lines:
        found[tuple(line[key] for key in keys)].append(line)
    return found


def _largest(rows: Iterable[dict[str, Any]], order: Callable[[Any], Any], n: int) -> list[Any]:
    return sorted(rows, key=order, reverse=True)[:n]


def _sizes(lines: list[Row]) -> dict[str, Any]:
    times = [line["latency"] for line in lines if line["latency"] is not None]
    return {
        "requests": len(lines),
        "bytes": sum(line["http_response_body_size"] or 0 for line in lines),
        "latency_us": sum(int(time * 1e6 + 0.5) for time in times) if times else None,
        "timed": len(times),
        **{f"status_{n}xx": sum(line["status"] // 100 == n for line in lines) for n in range(1, 6)},
    }


def _traffic(lines: list[Row]) -> dict[str, Any]:
    every = [_client(name, own) for (name,), own in _by(lines, "client").items()]
    heavy = _largest(every, lambda c: (c["load"], c["requests"], _last(c["client"])), 100)
    missers = _largest(
        (c for c in every if c["missing_paths"]),
        lambda c: (c["missing_paths"], c["missed"] / c["requests"], _last(c["client"])),
        200,
    )
    routes = [{"route": route, **_sizes(own)} for (route,), own in _by(lines, "route").items()]
    return {
        **_sizes(lines),
        "clients": len(every),
        "latency_counts": _histogram(lines),
        "load": sum(c["load"] for c in every),
        "missing_paths": sum(c["missing_paths"] for c in every),
        "top_clients": [
            {k: c[k] for k in ("load", "requests", "client", "status_5xx", "top_paths")}
            for c in heavy
        ],
        "clients_with_404s": [
            {k: c[k] for k in ("missing_paths", "missed", "client", "requests", "missing")}
            for c in missers
        ],
        "shared_paths": _shared(every),
        "routes": _largest(routes, lambda r: (r["status_5xx"], r["requests"], r["route"]), 200),
    }


def _client(name: str | None, lines: list[Row]) -> dict[str, Any]:
    paths = _by(lines, "path", "route")
    found = [[line for line in own if line["found"]] for own in paths.values()]
    static = [len(own) for own in paths.values() if own[0]["static"] and _any(own, "found")]
    page = sum(not own[0]["static"] and _any(own, "referred") for own in found if own)
    missing = sorted({line["normal"] for line in lines if line["missing"]})
    top = [{"requests": len(own), "path": path} for (path, _), own in paths.items()]
    return {
        "client": name,
        "requests": len(lines),
        "status_5xx": sum(line["status"] // 100 == 5 for line in lines),
        "load": len(lines) - sum(min(n, 4) for n in static) - min(page, 30),
        "missed": sum(line["missing"] for line in lines),
        "missing_paths": len(missing),
        "missing": missing[:64],
        "top_paths": _largest(top, lambda p: (p["requests"], p["path"]), 5),
    }


def _last(client: str | None) -> tuple[bool, str]:
    """A client without an address comes after all others."""
    return client is None, client or ""


def _any(lines: list[Row], key: str) -> bool:
    return any(line[key] for line in lines)


def _shared(every: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    votes: dict[str, list[int]] = defaultdict(list)
    for c in every:
        if c["missing_paths"] <= 3 or c["missed"] <= 0.8 * c["requests"]:
            digest = blake2b((c["client"] or "").encode(), digest_size=8).digest()
            for path in c["missing"]:
                votes[path].append(int.from_bytes(digest, "big", signed=True))
    shared = (
        {"path": path, "clients": len(voters), "voters": sorted(voters)[:8]}
        for path, voters in votes.items()
    )
    return _largest(shared, lambda s: (s["clients"], s["path"]), 100) or None


def _histogram(lines: list[Row]) -> list[int] | None:
    """The first bucket is up to 1 ms, each next one ends 2^¼ times later."""
    counts = Counter(
        next((i for i in range(63) if line["latency"] <= 0.001 * 2 ** (i / 4)), 63)
        for line in lines
        if line["latency"] is not None
    )
    return [counts[i] for i in range(64)] if counts else None


def _errors(lines: list[Row]) -> dict[str, Any]:
    found: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        found[line["category"] or "other"][line["pattern_id"] or ""].append(line)
    counts = {name: sum(map(len, patterns.values())) for name, patterns in found.items()}
    return {
        "events": len(lines),
        "categories": [{"category": name, "events": counts[name]} for name in sorted(counts)],
        "patterns": [
            entry
            for category in sorted(found)
            for entry in _largest(
                (_pattern(category, name, own) for name, own in found[category].items()),
                lambda p: (names.SEVERITIES.index(p["severity"]), p["events"], p["pattern_id"]),
                100,
            )
        ],
    }


def _pattern(category: str, pattern_id: str, lines: list[Row]) -> dict[str, Any]:
    texts = {
        key: min((line[key][:500] for line in lines if line[key] is not None), default=None)
        for key in ("pattern", "message")
    }
    return {
        "pattern_id": pattern_id,
        "severity": max((line["severity"] for line in lines), key=names.SEVERITIES.index),
        "category": category,
        "events": len(lines),
        "pattern": texts["pattern"],
        "sample": texts["message"],
    }
