"""Which routes are asked for most, are slowest, fail most."""

from collections.abc import Sequence

from grafana import flux, theme
from grafana.board import Board, Row, dashboard, query_variable, server_variable
from grafana.overrides import status_styles, styled
from grafana.panels import barchart, bargauge, stat, table, timeseries

STATUS = tuple(f"status_{n}xx" for n in range(1, 6))
COURSE = "1m"
"""Interval of the courses: a table a route and interval is what they cost."""

LATENCY_STEPS = ((None, theme.GOOD), (0.5, theme.WARN), (1.0, theme.BAD))
FAILURE_STEPS = ((None, theme.GOOD), (0.02, theme.WARN), (0.05, theme.BAD))

SPENT = "(if exists r.latency_avg then r.latency_avg else 0.0) * float(v: r.requests)"
"""Seconds that the requests of a row took in all."""

ROUTES = flux.pipe(
    'from(bucket: "metrics")',
    "range(start: -1h)",
    'filter(fn: (r) => r._measurement == "http_top_urls" and r._field == "url")',
    "group()",
    "distinct()",
)


def board() -> Board:
    """Build the board."""
    return dashboard(
        "loglake-top-urls",
        "Top URLs",
        "Which routes carry the traffic, which are slow, which fail? Ranges beyond two hours read "
        "the hourly roll-up and the hour that is not over.",
        [_numbers(), _rankings(), _course(), _failures(), _all()],
        variables=[
            server_variable("http_top_urls"),
            query_variable("route", "Route", ROUTES),
        ],
        since="1h",
        refresh="30s",
    )


def points(*fields: str) -> str:
    """Define `points`: one row a window, server and rank, and `seconds`, its length.

    A day of windows is half a million rows a field; of hours, a few hundred.
    """
    where = ['r._measurement == "http_top_urls"', flux.any_of("_field", ("url", *fields))]
    steps = [
        *(flux.filtered(predicate) for predicate in (*where, flux.ON_SERVER)),
        flux.FIELDS_AS_COLUMNS,
        flux.filtered("r.url =~ /^${route:regex}$/"),
    ]
    hours = flux.pipe(
        'from(bucket: "metrics_1h")',
        "range(start: if long then v.timeRangeStart else instant, stop: v.timeRangeStop)",
        *steps,
        "map(fn: (r) => ({r with seconds: 3600.0}))",
    )
    windows = flux.pipe(
        'from(bucket: "metrics")',
        "range(start: if long then hour else v.timeRangeStart, stop: v.timeRangeStop)",
        *steps,
        "map(fn: (r) => ({r with seconds: 10.0}))",
    )
    return "\n".join(
        [
            'import "date"\n',
            "long = int(v: v.timeRangeStop) - int(v: v.timeRangeStart) > int(v: 2h)",
            "instant = date.sub(d: 1s, from: v.timeRangeStop)",
            "hour = date.truncate(t: instant, unit: 1h)",
            f"hours = {hours}",
            f"windows = {windows}\n",
            f"points = union(tables: [hours, windows])\n  |> {flux.grouped('url')}\n",
        ]
    )


def by_route(*steps: str, counts: Sequence[str], timed: bool = False) -> str:
    """One row a route: the sums of `counts`; then `steps`.

    `requests` are always summed. With `status_5xx` there is `failing`, the share of failures;
    `timed` adds `mean`, the exact mean latency. Each further field costs as much as the first.
    """
    names = tuple(dict.fromkeys(("requests", *counts)))
    zero = [f"{name}: 0" for name in names]
    sums = [f"{name}: accumulator.{name} + r.{name}" for name in names]
    derived = []
    if timed:
        zero.append("time: 0.0")
        sums.append(f"time: accumulator.time + {SPENT}")
        derived.append("mean: r.time / float(v: r.requests)")
    if "status_5xx" in names:
        derived.append("failing: float(v: r.status_5xx) / float(v: r.requests)")
    return points(*names, *(("latency_avg",) if timed else ())) + flux.pipe(
        "points",
        f"reduce(identity: {{{', '.join(zero)}}}, fn: (r, accumulator) => ({{{', '.join(sums)}}}))",
        flux.grouped(),
        *([f"map(fn: (r) => ({{r with {', '.join(derived)}}}))"] if derived else []),
        *steps,
    )


def over_time(part: str, whole: str, *fields: str, summed: bool = False) -> str:
    """Divide two sums for each route and interval; `summed` adds the servers' quotients up.

    Only the five busiest ranks, to stay readable.
    """
    servers = [flux.grouped("url"), flux.WINDOWED_SUM] if summed else []
    return points("requests", *fields) + flux.pipe(
        "points",
        "filter(fn: (r) => r.rank =~ /^[1-5]$/)",
        flux.grouped("url", *(["server"] if summed else [])),
        f"map(fn: (r) => ({{r with part: {part}, whole: {whole}}}))",
        "window(every: v.windowPeriod)",
        "reduce(identity: {part: 0.0, whole: 0.0}, fn: (r, accumulator) => "
        "({part: accumulator.part + r.part, whole: accumulator.whole + r.whole}))",
        flux.filtered("r.whole > 0.0"),
        "map(fn: (r) => ({r with _time: r._start, _value: r.part / r.whole}))",
        *(servers or [flux.grouped("url")]),
        flux.keep("_time", "_value", "url"),
    )


def _numbers() -> Row:
    counted = by_route('count(column: "requests")', flux.keep("requests"), counts=())
    failing = by_route(
        flux.filtered("r.status_5xx > 0"),
        'count(column: "requests")',
        flux.keep("requests"),
        counts=("status_5xx",),
    )
    return 4, [
        stat("Routes", "Routes in the ranking.", counted, unit="short", w=6, spark=False),
        stat(
            "Requests",
            "Requests to the routes in the ranking.",
            by_route('sum(column: "requests")', flux.keep("requests"), counts=()),
            unit="short",
            w=6,
            spark=False,
        ),
        stat(
            "Failing routes",
            "Routes that answered with 5xx at least once.",
            failing,
            unit="short",
            w=6,
            empty="0",
            steps=((None, theme.GOOD), (1, theme.WARN)),
            spark=False,
        ),
        stat(
            "Slowest mean",
            "Mean request time of the slowest route.",
            by_route('max(column: "mean")', flux.keep("mean"), counts=(), timed=True),
            unit="s",
            w=6,
            steps=LATENCY_STEPS,
            spark=False,
        ),
    ]


def _ranking(column: str, where: str = "r.requests > 0") -> str:
    return by_route(
        flux.filtered(where),
        f'sort(columns: ["{column}"], desc: true)',
        "limit(n: 10)",
        f'rename(columns: {{{column}: "value"}})',
        flux.keep("url", "value"),
        counts=("status_5xx",) if column == "failing" else (),
        timed=column == "mean",
    )


def _rankings() -> Row:
    return 10, [
        bargauge(
            "Most requested",
            "Requests in the time range.",
            _ranking("requests"),
            unit="short",
            w=8,
        ),
        bargauge(
            "Slowest",
            "Mean request time, of routes with at least 10 requests.",
            _ranking("mean", "r.requests >= 10"),
            unit="s",
            w=8,
            steps=LATENCY_STEPS,
        ),
        bargauge(
            "Most failing",
            "5xx responses over requests, of routes with at least one failure.",
            _ranking("failing", "r.status_5xx > 0"),
            unit="percentunit",
            w=8,
            steps=FAILURE_STEPS,
            empty="No route failed",
        ),
    ]


def _course() -> Row:
    return 8, [
        timeseries(
            "Requests by route",
            "Requests per second of the busiest routes.",
            over_time("float(v: r.requests)", "r.seconds", summed=True),
            unit="reqps",
            w=12,
            colours={},
            interval=COURSE,
        ),
        timeseries(
            "Mean latency by route",
            "Mean request time of the busiest routes.",
            over_time(
                SPENT,
                "float(v: r.requests)",
                "latency_avg",
            ),
            unit="s",
            w=12,
            colours={},
            interval=COURSE,
        ),
    ]


def _failures() -> Row:
    return 9, [
        barchart(
            "Status classes by route",
            "Responses in the time range, stacked.",
            by_route(
                'sort(columns: ["requests"], desc: true)',
                "limit(n: 10)",
                flux.keep("url", *STATUS),
                counts=STATUS,
            ),
            unit="short",
            w=12,
            x="url",
            overrides=status_styles(),
        ),
        timeseries(
            "Failures by route",
            "5xx responses over requests of the busiest routes.",
            over_time("float(v: r.status_5xx)", "float(v: r.requests)", "status_5xx"),
            unit="percentunit",
            w=12,
            colours={},
            interval=COURSE,
        ),
    ]


def _all() -> Row:
    query = by_route(
        "map(fn: (r) => ({url: r.url, requests: r.requests, failing: r.failing, mean: r.mean, "
        "status_2xx: r.status_2xx, status_3xx: r.status_3xx, status_4xx: r.status_4xx, "
        "status_5xx: r.status_5xx, bytes: r.bytes}))",
        'sort(columns: ["requests"], desc: true)',
        counts=("bytes", *STATUS[1:]),
        timed=True,
    )
    gauge = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return 10, [
        table(
            "All routes in the ranking",
            "Each window keeps the most requested, the slowest and the most failing routes.",
            query,
            w=24,
            sort="Requests",
            columns=[
                styled("url", displayName="Route"),
                styled("requests", displayName="Requests", custom__cellOptions=gauge),
                styled("failing", displayName="Failing", unit="percentunit", decimals=2),
                styled("mean", displayName="Mean latency", unit="s"),
                styled("bytes", displayName="Sent", unit="bytes"),
                *(styled(f"status_{n}xx", displayName=f"{n}xx") for n in range(2, 6)),
            ],
        )
    ]
