"""What the demo shop answers: one model for the real upstream and for written history."""

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final, NamedTuple

from stack.demo.assets import ASSETS, DOCUMENTS

ERROR_PAGE_BYTES: Final = {400: 150, 401: 172, 403: 146, 404: 146, 429: 162, 502: 150, 504: 160}
"""Status → bytes of nginx 1.22's own error page with `server_tokens off`."""

SLOWEST_S: Final = 2.5
"""Longest ordinary answer; `proxy_read_timeout` is 3 s."""


@dataclass(frozen=True)
class Route:
    """A route: log-normal latency in seconds, log-normal body in bytes, ways to go wrong.

    `served_by` is "static", "shop" or "nginx"; the last answers `status` by itself.
    """

    name: str
    served_by: str = "shop"
    median_s: float = 0.02
    sigma: float = 0.5
    size: int = 900
    size_sigma: float = 0.35
    status: int = 200
    faults: tuple[tuple[int, float], ...] = ()
    slow_share: float = 0.004


class Answer(NamedTuple):
    """How a request ended; `upstream_s` is None where no upstream was asked."""

    status: int
    size: int
    seconds: float
    upstream_s: float | None
    route: Route


_RARE: Final = ((500, 0.0008),)

_ROUTES: Final = (
    Route("/", median_s=0.035, size=14_200, faults=_RARE),
    Route("/products", median_s=0.048, size=22_600, faults=_RARE),
    Route("/products/{id}", median_s=0.031, size=17_900, faults=((404, 0.006), *_RARE)),
    Route("/category/{name}", median_s=0.044, size=21_400, faults=((301, 0.02), *_RARE)),
    Route("/search", median_s=0.085, sigma=0.7, size=16_800, faults=_RARE, slow_share=0.01),
    Route("/cart", median_s=0.026, size=9_300, faults=((302, 0.05), *_RARE)),
    Route("/checkout", median_s=0.14, sigma=0.6, size=4_100, faults=((302, 0.7), (500, 0.002))),
    Route("/login", median_s=0.09, sigma=0.3, size=2_100, faults=((302, 0.72), (401, 0.15))),
    Route("/api/products/{id}", median_s=0.012, size=1_240, faults=((404, 0.004), *_RARE)),
    Route("/api/cart", median_s=0.015, size=640, faults=((401, 0.01), *_RARE)),
    Route("/api/orders", median_s=0.11, sigma=0.6, size=420, status=201, faults=((400, 0.01),)),
    Route("/api/search", median_s=0.055, sigma=0.7, size=3_900, faults=_RARE, slow_share=0.01),
    Route("/api/suggest", median_s=0.009, size=380),
    Route("/api/status", median_s=0.003, sigma=0.2, size=92, size_sigma=0.0, slow_share=0.0),
    Route("/api/fragile", median_s=0.03, size=700, faults=((500, 0.03),)),
    Route("/api/reports/{id}", median_s=0.62, sigma=0.3, size=5_200),
)
ROUTES: Final = {route.name: route for route in _ROUTES}

UNKNOWN_API: Final = Route("/api/{unknown}", median_s=0.003, size=48, size_sigma=0.0, status=404)
MISSING: Final = Route("{missing}", "nginx", status=404)
FORBIDDEN: Final = Route("{forbidden}", "nginx", status=403)
UNAUTHORIZED: Final = Route("/admin/", "nginx", status=401)
RETIRED: Final = Route("/api/stock/{id}", "nginx", status=502)
STATIC: Final = {
    path: Route(path, "static", size=size, size_sigma=0.0)
    for path, size in (ASSETS | DOCUMENTS).items()
}
REPORT_TIMEOUT_S: Final = 1.0
DOWNLOAD_BYTES_PER_S: Final = 131_072
"""`proxy_read_timeout` of /api/reports/ and `limit_rate` of /download/ in nginx.conf.j2."""

_PARENTS: Final = {
    "/products": "/products/{id}",
    "/category": "/category/{name}",
    "/api/products": "/api/products/{id}",
    "/api/reports": "/api/reports/{id}",
}


@lru_cache(maxsize=4096)
def route_of(path: str) -> Route:
    """Return the route that nginx.conf.j2 and the upstream give to a path with no query."""
    found = STATIC.get(path) or ROUTES.get(path)
    if found:
        return found
    if "/." in path or path.startswith("/private/"):
        return FORBIDDEN
    if path.startswith("/admin/"):
        return UNAUTHORIZED
    if path.startswith("/api/stock/"):
        return RETIRED
    parent = _PARENTS.get(path.rpartition("/")[0])
    if parent:
        return ROUTES[parent]
    return UNKNOWN_API if path.startswith("/api/") else MISSING


FAULT_KINDS: Final = ((500, 0.6), (503, 0.9), (504, 1.0))
"""Cumulated shares of what a broken shop does; 504 is silence until nginx gives up."""

UPSTREAM_TIMEOUT_S: Final = 3.0
"""`proxy_read_timeout` of the other routes."""


def broken(drawn: Answer, rng: Random, status: int | None = None) -> Answer:
    """Replace an answer of the shop by a fault: by `status`, or by one of `FAULT_KINDS`."""
    if drawn.route.served_by != "shop":
        return drawn
    if status is None:
        draw = rng.random()
        status = next(status for status, share in FAULT_KINDS if draw <= share)
    if status == 504:
        waited = UPSTREAM_TIMEOUT_S
        return Answer(504, ERROR_PAGE_BYTES[504], waited, waited, drawn.route)
    return drawn._replace(status=status, size=64)


def answer(path: str, rng: Random) -> Answer:
    """Draw an answer for a path, with or without a query."""
    route = route_of(path.partition("?")[0])
    if route.served_by == "static":
        return _static(route, rng)
    if route.served_by == "nginx":
        upstream = 0.0 if route is RETIRED else None
        return Answer(route.status, ERROR_PAGE_BYTES[route.status], 0.0, upstream, route)
    seconds = rng.lognormvariate(0.0, route.sigma) * route.median_s
    draw = rng.random()
    if draw < route.slow_share:
        seconds *= 12.0
    seconds = min(seconds, SLOWEST_S)
    if route.name == "/api/reports/{id}" and seconds > REPORT_TIMEOUT_S:
        return Answer(504, ERROR_PAGE_BYTES[504], REPORT_TIMEOUT_S, REPORT_TIMEOUT_S, route)
    status, size = _body(route, rng)
    return Answer(status, size, seconds, seconds, route)


def _body(route: Route, rng: Random) -> tuple[int, int]:
    draw = rng.random()
    for status, share in route.faults:
        draw -= share
        if draw < 0.0:
            return status, 0 if status < 400 else 64
    if route.size_sigma:
        return route.status, int(route.size * rng.lognormvariate(0.0, route.size_sigma))
    return route.status, route.size


def _static(route: Route, rng: Random) -> Answer:
    if route.name.startswith("/download/"):
        seconds = route.size / DOWNLOAD_BYTES_PER_S
        return Answer(200, route.size, seconds, None, route)
    # A browser on a slow line now and then holds an otherwise instant answer.
    seconds = rng.expovariate(25.0) if rng.random() < 0.02 else 0.0
    return Answer(200, route.size, seconds, None, route)
