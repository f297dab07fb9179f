"""Asks InfluxDB as Grafana does: macros and variables filled in, with the read token."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from influxdb_client import InfluxDBClient
from influxdb_client.client.flux_table import FluxTable

from stack import influx
from streaming.contracts.settings import Settings

NOW_DELAY = timedelta(seconds=10)


@dataclass(frozen=True)
class Moment:
    """When a board is looked at or a rule is evaluated: epoch seconds, seconds back from then."""

    at: int
    back: int = 3_600
    variables: Mapping[str, str] = field(default_factory=dict)
    period: str = "1m0s"

    def fill(self, query: str) -> str:
        """Replace what Grafana replaces: pkg/tsdb/influxdb/flux/macros.go, and variables."""
        stop = datetime.fromtimestamp(self.at, UTC)
        start = stop - timedelta(seconds=self.back)
        for macro, value in {
            "v.timeRangeStart": _rfc3339(start),
            "v.timeRangeStop": _rfc3339(stop),
            "v.windowPeriod": self.period,
            "v.defaultBucket": '"metrics"',
        }.items():
            query = query.replace(macro, value)
        query = re.sub(r"\$\{(\w+):regex\}", lambda m: self.variables.get(m[1], ".*"), query)
        assert "$" not in query.replace("$/)", ""), f"not filled in: {query}"
        return query


@dataclass(frozen=True)
class Series:
    """One table of an answer: labels (its group key), columns that are not labels, rows."""

    labels: dict[str, Any]
    columns: dict[str, str]
    rows: list[dict[str, Any]]

    def numbers(self) -> list[float]:
        """Every value of a numeric column that is there."""
        names = [name for name, kind in self.columns.items() if kind in ("double", "long")]
        return [row[name] for row in self.rows for name in names if row[name] is not None]


@dataclass(frozen=True)
class Store:
    """The InfluxDB that is asked."""

    settings: Settings

    def ask(self, query: str, moment: Moment) -> list[Series]:
        """Answer of a query of a board or a rule."""
        with InfluxDBClient(
            self.settings.influx,
            token=self.settings.secret(influx.READ_TOKEN),
            org=self.settings.influx_org,
            timeout=60_000,
        ) as client:
            return [_series(table) for table in client.query_api().query(moment.fill(query))]


def regex(*values: str) -> str:
    """Format chosen values as `${name:regex}` does (packages grafana-data, escapeRegex)."""
    escaped = [re.sub(r"[\\^$*+?.()|[\]{}/]", r"\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _series(table: FluxTable) -> Series:
    columns = [column for column in table.columns if column.label not in ("result", "table")]
    rows = [dict(record.values) for record in table.records]
    return Series(
        labels={c.label: rows[0][c.label] for c in columns if c.group},
        columns={c.label: c.data_type for c in columns if not c.group},
        rows=rows,
    )
