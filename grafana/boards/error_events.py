"""What nginx complains about."""

from grafana import flux, incidents, theme
from grafana.board import Board, Row, dashboard, server_variable, tag_variable
from grafana.overrides import link, styled
from grafana.panels import bargauge, stat, table, timeseries

CHOSEN = (
    flux.ON_SERVER,
    "r.severity =~ /^${severity:regex}$/",
    "r.category =~ /^${category:regex}$/",
)
WORSE_THAN_ERROR = ("crit", "alert", "emerg")


def board() -> Board:
    """Build the board."""
    return dashboard(
        "loglake-error-events",
        "Error events",
        "What does nginx complain about, where, since when, and is any of it new?",
        [_numbers(), _course(), _shares(), _patterns(), _new()],
        variables=[
            server_variable("error_events"),
            tag_variable("severity", "Severity", "error_events", "severity"),
            tag_variable("category", "Category", "error_events", "category"),
        ],
        since="3h",
    )


def _total(*where: str) -> str:
    return flux.or_zero(
        flux.pipe(
            *flux.read("error_events", "count", where=[*CHOSEN, *where]),
            flux.grouped(),
            "sum()",
            flux.keep("_value"),
        )
    )


def _by(tag: str) -> str:
    return flux.pipe(
        *flux.read("error_events", "count", where=CHOSEN),
        flux.grouped(tag),
        flux.WINDOWED_SUM,
        flux.keep("_time", "_value", tag),
    )


def _ranking(tag: str) -> str:
    return flux.pipe(
        *flux.read("error_events", "count", where=CHOSEN),
        flux.grouped(tag),
        "sum()",
        flux.grouped(),
        'rename(columns: {_value: "value"})',
        flux.keep(tag, "value"),
        'sort(columns: ["value"], desc: true)',
    )


def _numbers() -> Row:
    return 4, [
        stat(
            "Messages",
            "Error-log messages in the time range.",
            _total(),
            unit="short",
            w=6,
            spark=False,
        ),
        stat(
            "Critical or worse",
            "Messages of severity crit, alert or emerg: nginx itself is in trouble.",
            _total(flux.any_of("severity", WORSE_THAN_ERROR)),
            unit="short",
            w=6,
            steps=((None, theme.GOOD), (1, theme.BAD)),
            spark=False,
        ),
        stat(
            "Upstream failures",
            "Messages about an upstream that refused or timed out.",
            _total(flux.any_of("category", ("upstream_refused", "upstream_timeout"))),
            unit="short",
            w=6,
            steps=((None, theme.GOOD), (1, theme.WARN), (100, theme.BAD)),
            spark=False,
        ),
        stat(
            "New patterns",
            "Incidents of kind new_error_pattern: messages that no earlier day had.",
            incidents.counted('r.kind == "new_error_pattern"', flux.ON_SERVER),
            unit="short",
            w=6,
            steps=((None, theme.GOOD), (1, theme.WARN)),
            spark=False,
        ),
    ]


def _course() -> Row:
    return 8, [
        timeseries(
            "Messages by severity",
            "Messages in each interval, stacked.",
            _by("severity"),
            unit="short",
            w=12,
            colours=theme.SEVERITIES,
            style="bars",
            stack=True,
        ),
        timeseries(
            "Messages by category",
            "Messages in each interval, stacked.",
            _by("category"),
            unit="short",
            w=12,
            colours={},
            style="bars",
            stack=True,
        ),
    ]


def _shares() -> Row:
    return 8, [
        timeseries(
            "Messages by server",
            "Messages in each interval.",
            _by("server"),
            unit="short",
            w=12,
            style="bars",
            stack=True,
        ),
        bargauge(
            "Categories",
            "Messages in the time range, most frequent first.",
            _ranking("category"),
            unit="short",
            w=6,
        ),
        bargauge(
            "Severities",
            "Messages in the time range, most frequent first.",
            _ranking("severity"),
            unit="short",
            w=6,
        ),
    ]


def _patterns() -> Row:
    query = flux.pipe(
        *flux.read("error_events", where=CHOSEN),
        flux.FIELDS_AS_COLUMNS,
        flux.grouped("pattern", "server", "severity", "category"),
        'sort(columns: ["_time"])',
        'reduce(identity: {count: 0, first: 0, last: 0, sample: ""}, fn: (r, accumulator) => ({'
        "count: accumulator.count + r.count, "
        "first: if accumulator.first == 0 then int(v: r._time) / 1000000 else accumulator.first, "
        "last: int(v: r._time) / 1000000, sample: r.sample}))",
        flux.grouped(),
        'sort(columns: ["count"], desc: true)',
        "limit(n: 50)",
    )
    return 10, [
        table(
            "Patterns",
            "The leading message template of each window, server, severity and category, with one "
            "message as nginx wrote it.",
            query,
            w=24,
            sort="Messages",
            columns=[
                styled("pattern", displayName="Pattern", custom__width=420),
                styled("server", displayName="Server", custom__width=90),
                styled("severity", displayName="Severity", custom__width=90),
                styled("category", displayName="Category", custom__width=140),
                styled("count", displayName="Messages", custom__width=100),
                styled("first", displayName="First", unit="dateTimeAsIso", custom__width=170),
                styled("last", displayName="Last", unit="dateTimeAsIso", custom__width=170),
                styled("sample", displayName="Sample", custom__inspect=True),
            ],
        )
    ]


def _new() -> Row:
    query = flux.pipe(
        incidents.latest('r.kind == "new_error_pattern"', flux.ON_SERVER),
        flux.keep("opened_at", "server", "entity", "observed", "state", "incident_id"),
        'sort(columns: ["opened_at"], desc: true)',
    )
    return 7, [
        table(
            "Patterns not seen before",
            "Messages that no earlier day had, newest first.",
            query,
            w=24,
            empty="No message that earlier days had not",
            columns=[
                styled("opened_at", displayName="Since", unit="dateTimeAsIso", custom__width=180),
                styled("server", displayName="Server", custom__width=90),
                styled("entity", displayName="Pattern"),
                styled("observed", displayName="Messages", custom__width=110),
                styled("state", displayName="State", custom__width=90),
                styled(
                    "incident_id",
                    displayName="Incident",
                    links=[link("Incident", "/d/loglake-anomalies?${__url_time_range}")],
                ),
            ],
        )
    ]
