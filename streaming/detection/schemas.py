"""Schemas of the tables that only the detector and the baselines use."""

from typing import Final

from pyspark.sql import types as T

_LONG, _TEXT, _REAL, _TIME = T.LongType(), T.StringType(), T.DoubleType(), T.TimestampType()


def _struct(**fields: T.DataType) -> T.StructType:
    return T.StructType([T.StructField(name, kind) for name, kind in fields.items()])


_COUNTS: Final = T.ArrayType(_LONG)
_STATUS: Final = {f"status_{n}xx": _LONG for n in range(1, 6)}

TRAFFIC_PANES: Final = _struct(
    window_start=_TIME,
    event_date=T.DateType(),
    server_address=_TEXT,
    requests=_LONG,
    bytes=_LONG,
    **_STATUS,
    aborted=_LONG,
    clients=_LONG,
    latency_us=_LONG,
    timed=_LONG,
    latency_counts=_COUNTS,
    load=_LONG,
    load_squares=_LONG,
    missing_paths=_LONG,
    missing_squares=_LONG,
    top_clients=T.ArrayType(
        _struct(
            load=_LONG,
            requests=_LONG,
            client=_TEXT,
            status_5xx=_LONG,
            top_paths=T.ArrayType(_struct(requests=_LONG, path=_TEXT)),
        )
    ),
    missers=T.ArrayType(
        _struct(
            missing_paths=_LONG,
            missed=_LONG,
            client=_TEXT,
            requests=_LONG,
            missing=T.ArrayType(_TEXT),
            agent=_TEXT,
        )
    ),
    shared_paths=T.ArrayType(_struct(path=_TEXT, clients=_LONG, voters=T.ArrayType(_LONG))),
    routes=T.ArrayType(
        _struct(
            route=_TEXT,
            requests=_LONG,
            bytes=_LONG,
            latency_us=_LONG,
            timed=_LONG,
            **_STATUS,
        )
    ),
)
"""One row per 10-second window and server, and one for the fleet. `aborted` counts status 499,
`latency_us` sums request times in µs over `timed` requests, `latency_counts` is their histogram
(see `streaming.panes`); `load`, `missing_paths` and their squares sum over clients."""

ERROR_PANES: Final = _struct(
    window_start=_TIME,
    event_date=T.DateType(),
    server_address=_TEXT,
    events=_LONG,
    categories=T.ArrayType(_struct(category=_TEXT, events=_LONG)),
    patterns=T.ArrayType(
        _struct(
            pattern_id=_TEXT,
            severity=_TEXT,
            category=_TEXT,
            events=_LONG,
            pattern=_TEXT,
            sample=_TEXT,
        )
    ),
)
"""Error-log messages per 10-second window and server; severity notice and below left out."""

BASELINES: Final = _struct(
    version=_LONG,
    computed_at=_TIME,
    server_address=_TEXT,
    metric=_TEXT,
    key=_TEXT,
    hour_of_week=T.IntegerType(),
    expected=_REAL,
    variance=_REAL,
    lower=_REAL,
    upper=_REAL,
    n=_LONG,
    state=_TEXT,
    excluded_share=_REAL,
)
"""What is normal: `key` is a route, an error category or ''; `n` is the number of windows."""

INCIDENTS: Final = _struct(
    incident_id=_TEXT,
    kind=_TEXT,
    server_address=_TEXT,
    entity=_TEXT,
    opened_at=_TIME,
    closed_at=_TIME,
    last_seen_at=_TIME,
    peak_at=_TIME,
    peak_score=_REAL,
    observed=_REAL,
    expected=_REAL,
    threshold=_REAL,
    baseline_version=_LONG,
    basis=_TEXT,
    evidence=T.ArrayType(_TEXT),
)
"""One row per incident; observed, expected, threshold and evidence are those of its peak."""
