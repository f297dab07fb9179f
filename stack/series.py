"""How many series InfluxDB holds, and how many the closed sets of tags allow."""

from math import prod
from typing import Final

from influxdb_client import InfluxDBClient

from stack import influx
from streaming.contracts import names
from streaming.contracts.measurements import BASELINE_METRICS, MEASUREMENTS, TOP_ANOMALIES, TOP_URLS
from streaming.contracts.settings import Settings

_RANKS: Final = {names.HTTP_TOP_URLS: TOP_URLS, names.ANOMALIES: TOP_ANOMALIES}
_QUERIES: Final = 3
"""Most streaming queries of one stream."""


def most_series(settings: Settings) -> int:
    """The number of series when every combination of tags has occurred; fields do not count."""
    return sum(
        prod(_values(settings, name, tag) for tag in measurement.tags)
        for name, measurement in MEASUREMENTS.items()
    )


def count_series(settings: Settings, bucket: str = names.BUCKET_METRICS) -> int:
    """Count the series of a bucket over its whole retention, asked with the read token."""
    query = (
        'import "influxdata/influxdb"\n'
        f'influxdb.cardinality(bucket: "{bucket}", start: -{influx.RETENTION_SECONDS[bucket]}s)'
    )
    with InfluxDBClient(
        settings.influx, token=settings.secret(influx.READ_TOKEN), org=settings.influx_org
    ) as client:
        tables = client.query_api().query(query)
    return sum(int(record["_value"]) for table in tables for record in table.records)


def _values(settings: Settings, measurement: str, tag: str) -> int:
    # The fleet is a server too.
    servers = len(settings.servers) + 1
    return {
        "server": servers,
        "rank": _RANKS.get(measurement, 0),
        "severity": len(names.SEVERITIES),
        "category": len(names.CATEGORIES),
        "kind": len(names.INCIDENT_KINDS),
        "metric": len(BASELINE_METRICS),
        "stream": len(names.STREAMS),
        "query": _QUERIES,
    }[tag]
