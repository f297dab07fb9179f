"""The last minutes, window by window and server by server."""

from grafana import flux, theme
from grafana.board import Board, Row, dashboard, server_variable
from grafana.boards.http_performance import ERROR_STEPS, LATENCY_STEPS, STATUS
from grafana.overrides import status_styles
from grafana.panels import stat, state_timeline, timeseries


def board() -> Board:
    """Build the board."""
    return dashboard(
        "loglake-http-realtime",
        "HTTP realtime",
        "What is each server doing right now? Each point is one 10-second window.",
        [_now(), _traffic(), _quality(), _volume(), _health()],
        variables=[server_variable()],
        since="15m",
        refresh="5s",
    )


def _now() -> Row:
    return 5, [
        stat(
            "Requests now",
            "Requests per second of the last closed window, by server.",
            flux.by_server("rps"),
            unit="reqps",
            w=8,
        ),
        stat(
            "p95 latency now",
            "95th percentile of the request time in the last closed window, by server.",
            flux.by_server("latency_p95"),
            unit="s",
            w=8,
            steps=LATENCY_STEPS,
        ),
        stat(
            "Error rate now",
            "5xx responses over requests in the last closed window, by server.",
            flux.share_by_server("status_5xx", "requests"),
            unit="percentunit",
            w=8,
            steps=ERROR_STEPS,
        ),
    ]


def _traffic() -> Row:
    return 8, [
        timeseries(
            "Requests by server",
            "Requests per second in each window.",
            flux.by_server("rps"),
            unit="reqps",
            w=12,
        ),
        timeseries(
            "Responses by status class",
            "Responses per second over the chosen servers, stacked.",
            flux.stacked(*STATUS),
            unit="reqps",
            w=12,
            style="bars",
            stack=True,
            colours={},
            overrides=status_styles(),
        ),
    ]


def _quality() -> Row:
    return 8, [
        timeseries(
            "p95 latency by server",
            "95th percentile of the request time in each window.",
            flux.by_server("latency_p95"),
            unit="s",
            w=12,
        ),
        timeseries(
            "Error rate by server",
            "5xx responses over requests in each window.",
            flux.share_by_server("status_5xx", "requests"),
            unit="percentunit",
            w=12,
        ),
    ]


def _volume() -> Row:
    return 7, [
        timeseries(
            "Slowest request by server",
            "Longest request time in each window.",
            flux.by_server("latency_max", flux.WINDOWED_MAX),
            unit="s",
            w=8,
        ),
        timeseries(
            "Throughput by server",
            "Body bits sent per second in each window.",
            flux.by_server("throughput_bps"),
            unit="bps",
            w=8,
        ),
        timeseries(
            "Clients by server",
            "Distinct client addresses in each window, approximately.",
            flux.by_server("clients", flux.WINDOWED_MAX),
            unit="short",
            w=8,
        ),
    ]


def _health() -> Row:
    return 6, [
        state_timeline(
            "Health by server",
            "Green: fewer than 2 % of the responses are 5xx; orange: 2 % to 5 %; red: more. A gap "
            "is a window without requests.",
            flux.share_by_server("status_5xx", "requests"),
            unit="percentunit",
            w=24,
            steps=((None, theme.GOOD), *ERROR_STEPS[1:]),
        )
    ]
