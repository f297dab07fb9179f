"""Pieces of Flux that the boards and the alert rules share.

Grafana fills in `v.timeRangeStart`, `v.timeRangeStop` and `v.windowPeriod`; `${name:regex}` is a
dashboard variable as an escaped regular expression.
"""

from collections.abc import Iterable

RANGE = "range(start: v.timeRangeStart, stop: v.timeRangeStop)"

ON_SERVER = "r.server =~ /^${server:regex}$/"


def windowed(fn: str) -> str:
    """Build a step that aggregates each interval; its time is its start, as in the bucket."""
    return (
        f'aggregateWindow(every: v.windowPeriod, fn: {fn}, timeSrc: "_start", createEmpty: false)'
    )


WINDOWED_MEAN = windowed("mean")
WINDOWED_MAX = windowed("max")
WINDOWED_SUM = windowed("sum")

FIELDS_AS_COLUMNS = 'pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'


def pipe(source: str, *steps: str) -> str:
    """Join a source and its steps with the pipe-forward operator, one a line."""
    return "\n".join([source, *(f"  |> {step}" for step in steps)])


def any_of(column: str, values: Iterable[str]) -> str:
    """Build a predicate: `column` is one of `values`."""
    return " or ".join(f'r.{column} == "{value}"' for value in values)


def filtered(predicate: str) -> str:
    """Build a filter step."""
    return f"filter(fn: (r) => {predicate})"


def keep(*columns: str) -> str:
    """Build a step that keeps only `columns`."""
    return f"keep(columns: {_list(columns)})"


def grouped(*columns: str) -> str:
    """Build a step that groups by `columns`; by none, into one table."""
    return f"group(columns: {_list(columns)})" if columns else "group()"


def read(
    measurement: str, *fields: str, where: Iterable[str] = (), bucket: str = "metrics"
) -> list[str]:
    """Read `fields` of a measurement in the time range, each filter pushed down to storage."""
    steps = [
        f'from(bucket: "{bucket}")',
        RANGE,
        filtered(f'r._measurement == "{measurement}"'),
    ]
    if fields:
        steps.append(filtered(any_of("_field", fields)))
    return steps + [filtered(predicate) for predicate in where]


def http(*fields: str) -> list[str]:
    """Read `http_traffic` of the chosen servers."""
    return read("http_traffic", *fields, where=[ON_SERVER])


def by_server(field: str, step: str = WINDOWED_MEAN) -> str:
    """One line a server."""
    return pipe(*http(field), step, keep("_time", "_value", "server"))


def total(field: str) -> str:
    """The sum over the chosen servers of a rate."""
    return pipe(*http(field), WINDOWED_MEAN, grouped(), WINDOWED_SUM, keep("_time", "_value"))


def stacked(*fields: str) -> str:
    """The sum over the chosen servers, one line a field, per second."""
    return pipe(
        *http(*fields),
        WINDOWED_MEAN,
        grouped("_field"),
        WINDOWED_SUM,
        "map(fn: (r) => ({r with _value: r._value / 10.0}))",
        keep("_time", "_value", "_field"),
    )


def share(part: str, whole: str) -> str:
    """Divide the sums of two fields over the chosen servers."""
    return pipe(
        *http(part, whole),
        WINDOWED_SUM,
        grouped("_field"),
        WINDOWED_SUM,
        FIELDS_AS_COLUMNS,
        *_quotient(part, whole),
    )


def share_by_server(part: str, whole: str) -> str:
    """Divide the sums of two fields, one line a server."""
    return pipe(
        *http(part, whole), WINDOWED_SUM, FIELDS_AS_COLUMNS, *_quotient(part, whole, "server")
    )


def weighted(**columns: str) -> str:
    """Average latencies over the chosen servers, weighted by requests: column=field."""
    zero = "".join(f", {name}: 0.0" for name in columns)
    sums = "".join(
        f", {name}: accumulator.{name} + r.requests * r.{field}" for name, field in columns.items()
    )
    means = "".join(f", {name}: r.{name} / r.weight" for name in columns)
    known = " and ".join(f"exists r.{field}" for field in columns.values())
    return pipe(
        *http(*columns.values(), "requests"),
        WINDOWED_MEAN,
        FIELDS_AS_COLUMNS,
        filtered(f"r.requests > 0.0 and {known}"),
        grouped("_time"),
        f"reduce(identity: {{weight: 0.0{zero}}}, "
        f"fn: (r, accumulator) => ({{weight: accumulator.weight + r.requests{sums}}}))",
        grouped(),
        f"map(fn: (r) => ({{_time: r._time{means}}}))",
        'sort(columns: ["_time"])',
    )


def or_zero(found: str, zero: str = "0") -> str:
    """Sum the `_value` of one row or none: none is 0, not no data."""
    return "\n".join(
        [
            'import "array"\n',
            f"none = array.from(rows: [{{_value: {zero}}}])",
            f"found = {found}\n",
            "union(tables: [none, found]) |> sum()",
        ]
    )


def named(expression: str) -> list[str]:
    """Give each series one label, `name`: Grafana shows a lone label as it is."""
    return [
        f"map(fn: (r) => ({{_time: r._time, _value: r._value, name: {expression}}}))",
        grouped("name"),
    ]


def _quotient(part: str, whole: str, *labels: str) -> list[str]:
    return [
        filtered(f"r.{whole} > 0"),
        f"map(fn: (r) => ({{r with _value: float(v: r.{part}) / float(v: r.{whole})}}))",
        keep("_time", "_value", *labels),
    ]


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
