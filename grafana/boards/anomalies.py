"""Incidents: what stood out, how far, against what."""

from grafana import flux, incidents, theme
from grafana.board import (
    RUNBOOKS_URL,
    Board,
    Row,
    dashboard,
    server_variable,
    tag_variable,
)
from grafana.overrides import link, styled, thresholds
from grafana.panels import bargauge, stat, state_timeline, table, timeseries

SCORE_STEPS = ((None, theme.SKY), (50, theme.WARN), (75, theme.BAD))


def board() -> Board:
    """Build the board."""
    return dashboard(
        "loglake-anomalies",
        "Anomaly detection",
        "Which incidents are open, who causes them, and how far from usual is it?",
        [_numbers(), _incidents(), _scores(), _lanes(), _clients(), _surges()],
        variables=[
            server_variable("anomalies"),
            tag_variable("kind", "Kind", "anomalies", "kind"),
        ],
        since="6h",
    )


def _numbers() -> Row:
    highest = flux.or_zero(
        flux.pipe(
            *flux.read("anomalies", "score", where=incidents.CHOSEN),
            flux.grouped(),
            "max()",
            flux.keep("_value"),
        ),
        "0.0",
    )
    return 4, [
        stat(
            "Open incidents",
            "Incidents that are open at the end of the time range.",
            incidents.counted(*incidents.CHOSEN, rows='r.state == "open"'),
            unit="short",
            w=6,
            steps=((None, theme.GOOD), (1, theme.BAD)),
            spark=False,
        ),
        stat(
            "Highest score",
            "0 to 100. At 50 the threshold is reached and an incident opens; from 75 it pages.",
            highest,
            unit="short",
            w=6,
            steps=((None, theme.GOOD), *SCORE_STEPS[1:]),
            spark=False,
        ),
        stat(
            "All incidents",
            "Incidents in the time range, open or closed.",
            incidents.counted(*incidents.CHOSEN),
            unit="short",
            w=6,
            spark=False,
        ),
        stat(
            "Against a fixed floor",
            "Incidents judged by fixed limits, since no baseline was ready for that hour.",
            incidents.counted(*incidents.CHOSEN, rows='r.basis == "static"'),
            unit="short",
            w=6,
            spark=False,
        ),
    ]


def _incidents() -> Row:
    query = flux.pipe(
        incidents.latest(*incidents.CHOSEN),
        "map(fn: (r) => ({state: r.state, kind: r.kind, server: r.server, entity: r.entity, "
        "peak: r.peak, observed: r.observed, expected: r.expected, threshold: r.threshold, "
        "basis: r.basis, opened_at: r.opened_at, closed_at: r.closed_at, "
        "incident_id: r.incident_id, "
        # The fleet is no server that the board of traffic could choose.
        'of_traffic: if r.server == "*" then "All" else r.server}))',
        'sort(columns: ["opened_at"], desc: true)',
        "limit(n: 100)",
    )
    return 10, [
        table(
            "Incidents",
            "Newest first, with the figures of the last window. `loglake explain ID` shows the "
            "evidence rows of an incident.",
            query,
            w=24,
            empty="No incident in this time range",
            columns=_columns(),
        )
    ]


def _columns() -> list[dict[str, object]]:
    runbook = link("Runbook", f"{RUNBOOKS_URL}#${{__value.raw}}", new_tab=True)
    then = "from=${__data.fields.opened_at.numeric}&to=now&var-server=${__data.fields.of_traffic}"
    traffic = link("Traffic since then", f"/d/loglake-http-realtime?{then}")
    return [
        styled(
            "state",
            displayName="State",
            custom__width=90,
            custom__cellOptions={"type": "color-text"},
            mappings=[
                {
                    "type": "value",
                    "options": {
                        "open": {"color": theme.BAD, "index": 0},
                        "closed": {"color": theme.GOOD, "index": 1},
                    },
                }
            ],
        ),
        styled("kind", displayName="Kind", custom__width=150, links=[runbook]),
        styled("server", displayName="Server", custom__width=80),
        styled("entity", displayName="Entity"),
        styled(
            "peak",
            displayName="Score",
            decimals=0,
            custom__width=80,
            custom__cellOptions={"type": "color-text"},
            thresholds=thresholds(SCORE_STEPS),
        ),
        styled("observed", displayName="Observed", custom__width=100),
        styled("expected", displayName="Expected", custom__width=100),
        styled("threshold", displayName="Threshold", custom__width=100),
        styled("basis", displayName="Basis", custom__width=90),
        styled("opened_at", displayName="Opened", unit="dateTimeAsIso", custom__width=170),
        styled(
            "closed_at",
            displayName="Closed",
            unit="dateTimeAsIso",
            custom__width=170,
            mappings=[{"type": "value", "options": {"0": {"text": "–", "index": 0}}}],
        ),
        styled("incident_id", displayName="Incident", custom__inspect=True, links=[traffic]),
        styled("of_traffic", custom__hidden=True),
    ]


def _scores() -> Row:
    ranking = flux.pipe(
        incidents.latest(*incidents.CHOSEN),
        flux.grouped("kind"),
        'count(column: "peak")',
        flux.grouped(),
        'rename(columns: {peak: "value"})',
        'sort(columns: ["value"], desc: true)',
    )
    return 8, [
        timeseries(
            "Score by kind",
            "Highest score in each interval; the shaded areas begin at 50 and 75.",
            incidents.course("score"),
            unit="short",
            w=16,
            colours=theme.KINDS,
            points=True,
            steps=((None, "transparent"), *SCORE_STEPS[1:]),
            area=True,
            low=0,
            high=100,
            empty="No anomaly in this time range",
        ),
        bargauge(
            "Incidents by kind",
            "Incidents in the time range.",
            ranking,
            unit="short",
            w=8,
            empty="No incident in this time range",
        ),
    ]


def _lanes() -> Row:
    query = flux.pipe(
        *flux.read("anomalies", "score", where=incidents.CHOSEN),
        flux.grouped("kind", "server"),
        "aggregateWindow(every: v.windowPeriod, fn: max, createEmpty: true)",
        *flux.named('r.kind + " " + r.server'),
    )
    return 8, [
        state_timeline(
            "When and where",
            "One lane a kind and server, coloured by score; empty is quiet.",
            query,
            unit="short",
            w=24,
            steps=SCORE_STEPS,
            empty="Quiet: no anomaly in this time range",
        )
    ]


def _verdict(title: str, description: str, unit: str, *kinds: str) -> dict[str, object]:
    queries = [
        flux.pipe(
            *flux.read("anomalies", field, where=[flux.any_of("kind", kinds), flux.ON_SERVER]),
            flux.grouped(),
            flux.WINDOWED_MAX,
            f'set(key: "_field", value: "{field}")',
            flux.keep("_time", "_value", "_field"),
            flux.grouped("_field"),
        )
        for field in ("observed", "expected", "threshold")
    ]
    return timeseries(
        title,
        description,
        queries,
        unit=unit,
        w=8,
        points=True,
        colours=theme.BASELINE | {"observed": theme.BLUE},
        empty="None in this time range",
    )


def _clients() -> Row:
    return 8, [
        _verdict(
            "IP spikes",
            "Load of the busiest client, what is usual for a client, and the limit.",
            "short",
            "ip_spike",
        ),
        _verdict(
            "Scans",
            "Distinct missing paths that one client asked for, what is usual, and the limit.",
            "short",
            "path_scan",
        ),
        _verdict(
            "Floods",
            "Requests of a server in a minute, what is usual for the hour, and the limit.",
            "short",
            "server_flood",
        ),
    ]


def _surges() -> Row:
    return 8, [
        _verdict(
            "Error surges",
            "Share of 5xx responses of a server or route, what is usual, and the limit.",
            "percentunit",
            "error_surge",
        ),
        _verdict(
            "Latency surges",
            "p95 of the request time in a minute, what is usual for the hour, and the limit.",
            "s",
            "latency_surge",
        ),
        _verdict(
            "Traffic drops",
            "Requests of a server in a minute, what is usual for the hour, and the limit.",
            "short",
            "traffic_drop",
        ),
    ]
