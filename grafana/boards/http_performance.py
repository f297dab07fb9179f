"""How well the servers answer, against what is usual for this hour."""

from grafana import flux, incidents, theme
from grafana.board import Board, Row, dashboard, server_variable
from grafana.overrides import link, status_styles, styled, thresholds
from grafana.panels import Panel, stat, table, timeseries

ERROR_STEPS = ((None, theme.GOOD), (0.02, theme.WARN), (0.05, theme.BAD))
LATENCY_STEPS = ((None, theme.GOOD), (0.5, theme.WARN), (1.0, theme.BAD))
STATUS = tuple(f"status_{n}xx" for n in range(1, 6))
UNSEEN = {"legend": True, "tooltip": True, "viz": False}


def board() -> Board:
    """Build the board."""
    return dashboard(
        "loglake-http-performance",
        "HTTP performance",
        "Are users served quickly and without errors, and is that usual for this hour?",
        [_numbers(), _load(), _quality(), _servers(), _volume(), _summary()],
        variables=[server_variable()],
        since="3h",
    )


def _numbers() -> Row:
    return 4, [
        stat(
            "Requests",
            "Requests per second over the chosen servers.",
            flux.total("rps"),
            unit="reqps",
            w=4,
        ),
        stat(
            "Error rate",
            "5xx responses over requests. Orange from 2 %, red from 5 %, where the alert fires.",
            flux.share("status_5xx", "requests"),
            unit="percentunit",
            w=4,
            steps=ERROR_STEPS,
        ),
        stat(
            "p95 latency",
            "95th percentile of the request time; servers are weighted by their requests.",
            flux.weighted(p95="latency_p95"),
            unit="s",
            w=4,
            steps=LATENCY_STEPS,
        ),
        stat(
            "p99 latency",
            "99th percentile of the request time; servers are weighted by their requests.",
            flux.weighted(p99="latency_p99"),
            unit="s",
            w=4,
            steps=LATENCY_STEPS,
        ),
        stat(
            "Throughput",
            "Body bits sent per second over the chosen servers.",
            flux.total("throughput_bps"),
            unit="bps",
            w=4,
        ),
        _open_incidents(),
    ]


def _open_incidents() -> Panel:
    return stat(
        "Open incidents",
        "Incidents that are open at the end of the time range.",
        incidents.counted(rows='r.state == "open"'),
        unit="short",
        w=4,
        steps=((None, theme.GOOD), (1, theme.BAD)),
        spark=False,
        links=[link("Anomaly detection", "/d/loglake-anomalies?${__url_time_range}")],
    )


def _load() -> Row:
    band = flux.pipe(
        *flux.read(
            "baseline",
            "expected",
            "lower",
            "upper",
            where=['r.metric == "rps"', flux.ON_SERVER],
        ),
        flux.WINDOWED_MEAN,
        flux.keep("_time", "_value", "_field"),
    )
    chart: Panel = timeseries(
        "Requests on $server against the baseline",
        "The line is live; the grey band is usual for this hour of the week. Without a band the "
        "baseline is not learnt yet.",
        [flux.by_server("rps"), band],
        unit="reqps",
        w=24,
        colours=theme.SERVERS | theme.BASELINE,
        overrides=[
            styled("expected", custom__lineStyle={"fill": "dash", "dash": [6, 6]}),
            styled("lower", custom__lineWidth=0, custom__hideFrom=UNSEEN),
            styled(
                "upper",
                custom__lineWidth=0,
                custom__fillBelowTo="lower",
                custom__fillOpacity=20,
                custom__hideFrom=UNSEEN,
            ),
        ],
    )
    return 8, [{**chart, "repeat": "server", "repeatDirection": "h", "maxPerRow": 3}]


def _quality() -> Row:
    latencies = flux.weighted(
        mean="latency_avg", median="latency_p50", p95="latency_p95", p99="latency_p99"
    )
    return 8, [
        timeseries(
            "Latency",
            "Request time over the chosen servers, weighted by requests. Over more than one "
            "window a percentile is the mean of the windows' percentiles.",
            latencies,
            unit="s",
            w=12,
            colours=theme.LATENCY,
        ),
        timeseries(
            "Responses by status class",
            "Responses per second, stacked.",
            flux.stacked(*STATUS),
            unit="reqps",
            w=12,
            stack=True,
            colours={},
            overrides=status_styles(),
        ),
    ]


def _servers() -> Row:
    return 8, [
        timeseries(
            "Error rate by server",
            "5xx responses over requests; the shaded areas begin at 2 % and 5 %.",
            flux.share_by_server("status_5xx", "requests"),
            unit="percentunit",
            w=12,
            steps=((None, "transparent"), *ERROR_STEPS[1:]),
            area=True,
        ),
        timeseries(
            "p95 latency by server",
            "95th percentile of the request time; the shaded areas begin at 0.5 s and 1 s.",
            flux.by_server("latency_p95"),
            unit="s",
            w=12,
            steps=((None, "transparent"), *LATENCY_STEPS[1:]),
            area=True,
        ),
    ]


def _volume() -> Row:
    return 7, [
        timeseries(
            "Throughput by server",
            "Body bits sent per second.",
            flux.by_server("throughput_bps"),
            unit="bps",
            w=8,
        ),
        timeseries(
            "Clients by server",
            "Most distinct client addresses in one 10-second window, approximately.",
            flux.by_server("clients", flux.WINDOWED_MAX),
            unit="short",
            w=8,
        ),
        timeseries(
            "Slowest request by server",
            "Longest request time.",
            flux.by_server("latency_max", flux.WINDOWED_MAX),
            unit="s",
            w=8,
        ),
    ]


def _by_server() -> str:
    return flux.pipe(
        *flux.http(
            "requests",
            "bytes",
            "latency_avg",
            "latency_p95",
            "latency_max",
            "clients",
            "status_4xx",
            "status_5xx",
        ),
        flux.FIELDS_AS_COLUMNS,
        "map(fn: (r) => ({r with latency_avg: if exists r.latency_avg then r.latency_avg else 0.0, "
        "latency_p95: if exists r.latency_p95 then r.latency_p95 else 0.0, "
        "latency_max: if exists r.latency_max then r.latency_max else 0.0}))",
        flux.grouped("server"),
        "reduce(identity: {requests: 0, bytes: 0, time: 0.0, p95: 0.0, slowest: 0.0, clients: 0, "
        "status_4xx: 0, status_5xx: 0}, fn: (r, accumulator) => ({"
        "requests: accumulator.requests + r.requests, bytes: accumulator.bytes + r.bytes, "
        "time: accumulator.time + r.latency_avg * float(v: r.requests), "
        "p95: if r.latency_p95 > accumulator.p95 then r.latency_p95 else accumulator.p95, "
        "slowest: if r.latency_max > accumulator.slowest then r.latency_max "
        "else accumulator.slowest, "
        "clients: if r.clients > accumulator.clients then r.clients else accumulator.clients, "
        "status_4xx: accumulator.status_4xx + r.status_4xx, "
        "status_5xx: accumulator.status_5xx + r.status_5xx}))",
        flux.grouped(),
        "map(fn: (r) => ({server: r.server, requests: r.requests, "
        "error_rate: float(v: r.status_5xx) / float(v: r.requests), "
        "status_4xx: r.status_4xx, status_5xx: r.status_5xx, "
        "mean: r.time / float(v: r.requests), p95: r.p95, slowest: r.slowest, "
        "bytes: r.bytes, clients: r.clients}))",
    )


def _summary() -> Row:
    return 8, [
        table(
            "Servers in this time range",
            "Totals, the exact mean latency, the worst 10-second p95 and the most clients at once.",
            _by_server(),
            w=24,
            sort="Requests",
            columns=[
                styled(
                    "server",
                    displayName="Server",
                    links=[
                        link(
                            "Realtime",
                            "/d/loglake-http-realtime?var-server=${__value.raw}",
                        )
                    ],
                ),
                styled("requests", displayName="Requests"),
                styled(
                    "error_rate",
                    displayName="Error rate",
                    unit="percentunit",
                    decimals=2,
                    thresholds=thresholds(ERROR_STEPS),
                    custom__cellOptions={"type": "color-text"},
                ),
                styled("status_4xx", displayName="4xx"),
                styled("status_5xx", displayName="5xx"),
                styled("mean", displayName="Mean latency", unit="s"),
                styled("p95", displayName="Worst p95", unit="s"),
                styled("slowest", displayName="Slowest", unit="s"),
                styled("bytes", displayName="Sent", unit="bytes"),
                styled("clients", displayName="Most clients"),
            ],
        )
    ]
