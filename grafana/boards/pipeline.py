"""Whether the other boards can be believed."""

from grafana import flux, theme
from grafana.board import Board, Row, dashboard, query_variable
from grafana.overrides import styled
from grafana.panels import stat, table, timeseries

CHOSEN = ("r.stream =~ /^${stream:regex}$/",)
DELAY_STEPS = ((None, theme.GOOD), (10, theme.WARN), (30, theme.BAD))
LAG_STEPS = ((None, theme.GOOD), (10_000, theme.WARN), (50_000, theme.BAD))
BUSY_STEPS = ((None, theme.GOOD), (0.8, theme.WARN), (1.0, theme.BAD))
SERIES_STEPS = ((None, theme.GOOD), (2_000, theme.WARN), (10_000, theme.BAD))
DISK_STEPS = ((None, theme.GOOD), (0.8, theme.WARN), (0.9, theme.BAD))
QUERY = flux.named('r.stream + " " + r.query')

STREAMS = (
    'import "influxdata/influxdb/schema"\n\n'
    'schema.tagValues(bucket: "metrics", tag: "stream", '
    'predicate: (r) => r._measurement == "pipeline", start: -7d)'
)


def board() -> Board:
    """Build the board."""
    return dashboard(
        "loglake-pipeline",
        "Pipeline",
        "Do lines arrive soon, completely, and does the pipeline keep up?",
        [_numbers(), _delay(), _work(), _losses(), _store()],
        variables=[query_variable("stream", "Stream", STREAMS)],
        since="1h",
    )


def _read(*fields: str, step: str = flux.WINDOWED_MAX) -> str:
    return flux.pipe(
        *flux.read("pipeline", *fields, where=CHOSEN),
        step,
        *QUERY,
    )


def _worst(field: str) -> str:
    return flux.pipe(
        *flux.read("pipeline", field, where=CHOSEN),
        flux.grouped(),
        flux.WINDOWED_MAX,
        flux.keep("_time", "_value"),
    )


def _increase(field: str) -> str:
    """Growth of a counter that starts anew with its process."""
    return flux.pipe(
        *flux.read("pipeline", field, where=CHOSEN),
        "difference(nonNegative: true, initialZero: true)",
        flux.WINDOWED_SUM,
        *QUERY,
    )


def _numbers() -> Row:
    return 4, [
        stat(
            "Delay now",
            "From the newest event of a batch to its commit, of the slowest query.",
            _worst("event_time_delay_s"),
            unit="s",
            w=6,
            steps=DELAY_STEPS,
        ),
        stat(
            "Lag now",
            "Rows not yet read, of the query that is furthest behind.",
            _worst("lag_rows"),
            unit="short",
            w=6,
            steps=LAG_STEPS,
        ),
        stat(
            "Disk used",
            "Share of the disk that holds the state; the alert fires at 90 %.",
            _worst("disk_used_ratio"),
            unit="percentunit",
            w=6,
            steps=DISK_STEPS,
        ),
        stat(
            "InfluxDB series",
            "Series of the bucket metrics in the time range. Tags come from closed sets, so the "
            "number stands still, whatever an attacker sends.",
            'import "influxdata/influxdb"\n\n'
            'influxdb.cardinality(bucket: "metrics", start: v.timeRangeStart, '
            "stop: v.timeRangeStop)",
            unit="short",
            w=6,
            steps=SERIES_STEPS,
            spark=False,
        ),
    ]


def _delay() -> Row:
    return 8, [
        timeseries(
            "End-to-end delay",
            "From the newest event of a batch to its commit, by query.",
            _read("event_time_delay_s"),
            unit="s",
            w=12,
            colours=theme.STREAMS,
        ),
        timeseries(
            "Lag",
            "Rows of the source that are not yet read, by query.",
            _read("lag_rows"),
            unit="short",
            w=12,
            colours=theme.STREAMS,
        ),
    ]


def _work() -> Row:
    busy = flux.pipe(
        *flux.read("pipeline", "batch_seconds", "trigger_seconds", where=CHOSEN),
        flux.WINDOWED_MEAN,
        flux.FIELDS_AS_COLUMNS,
        "map(fn: (r) => ({r with _value: r.batch_seconds / r.trigger_seconds}))",
        *QUERY,
    )
    return 8, [
        timeseries(
            "Rows read",
            "Rows per second, by query.",
            _read("input_rows_per_s", step=flux.WINDOWED_MEAN),
            unit="rowsps",
            w=8,
            colours=theme.STREAMS,
        ),
        timeseries(
            "Batch time",
            "How long a batch takes, by query.",
            _read("batch_seconds"),
            unit="s",
            w=8,
            colours=theme.STREAMS,
        ),
        timeseries(
            "Batch time over trigger",
            "Above 100 % a query falls behind its schedule: batches grow, and so does the delay.",
            busy,
            unit="percentunit",
            w=8,
            colours=theme.STREAMS,
            steps=((None, "transparent"), *BUSY_STEPS[1:]),
            area=True,
        ),
    ]


def _losses() -> Row:
    return 8, [
        timeseries(
            "Rejected lines",
            "Lines put aside in the table rejected_lines with a reason, in each interval.",
            _increase("rejected"),
            unit="short",
            w=12,
            style="bars",
            colours=theme.STREAMS,
        ),
        timeseries(
            "Late rows",
            "Rows too late for the live metrics, in each interval. They are in the lake; the "
            "reconcile job adds them to the windows.",
            _increase("late"),
            unit="short",
            w=12,
            style="bars",
            colours=theme.STREAMS,
        ),
    ]


def _store() -> Row:
    query = flux.pipe(
        *flux.read("pipeline", where=CHOSEN),
        flux.grouped("stream", "query", "_field"),
        "last()",
        'pivot(rowKey: ["stream", "query"], columnKey: ["_field"], valueColumn: "_value")',
        flux.grouped(),
        'drop(columns: ["_start", "_stop", "_measurement"])',
    )
    return 8, [
        table(
            "Last batch of each query",
            "As the streams report it; counters start with the process.",
            query,
            w=24,
            columns=[
                styled("stream", displayName="Stream"),
                styled("query", displayName="Query"),
                styled("input_rows_per_s", displayName="Rows", unit="rowsps"),
                styled("lag_rows", displayName="Lag"),
                styled("batch_seconds", displayName="Batch", unit="s"),
                styled("trigger_seconds", displayName="Trigger", unit="s"),
                styled("event_time_delay_s", displayName="Delay", unit="s"),
                styled("rejected", displayName="Rejected"),
                styled("late", displayName="Late"),
                styled("disk_used_ratio", displayName="Disk used", unit="percentunit"),
            ],
        )
    ]
