"""Small aggregates → InfluxDB, retried, then failed aloud; never dropped."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from streaming.contracts import names
from streaming.contracts.measurements import MEASUREMENTS
from streaming.contracts.settings import Settings

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.5, 1, 2, 4, 8, 16, 30, 30, 30)
"""Waits between attempts: two minutes in all, longer than a restart of InfluxDB takes."""

INFLUX_ERRORS = (ApiException, HTTPError, OSError)
"""What the client raises when InfluxDB refuses a request, or cannot be reached."""

POINTS_PER_REQUEST = 5_000
"""InfluxData's advice for the size of a batch (docs v2.7, optimize writes)."""


def reason(error: Exception) -> str:
    """Return what InfluxDB said, or what went wrong on the way to it, in one line."""
    try:
        return str(json.loads(getattr(error, "body", ""))["message"])
    except (KeyError, TypeError, ValueError):
        return str(error).partition("\n")[0]


class InfluxSink:
    """Writes rows as points of one bucket with the write token. Close it, or use `with`."""

    def __init__(self, settings: Settings, bucket: str = names.BUCKET_METRICS) -> None:
        """Connect lazily; raises `FileNotFoundError` when the token was never made."""
        self._bucket = bucket
        self._url = settings.influx
        self._client = InfluxDBClient(
            url=settings.influx,
            token=settings.secret("influx_write_token"),
            org=settings.influx_org,
            timeout=10_000,
            enable_gzip=True,
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def __enter__(self) -> "InfluxSink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def write(
        self,
        measurement: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        time_column: str,
        retry: bool = True,
    ) -> int:
        """Write `rows`, each with the measurement's tags, its fields and `time_column` (epoch ms).

        Returns the number of points. Raises `ConnectionError` when InfluxDB stays away and
        `ValueError` when it refuses a point.
        """
        points = [_point(measurement, row, time_column) for row in rows]
        for start in range(0, len(points), POINTS_PER_REQUEST):
            self._send(points[start : start + POINTS_PER_REQUEST], retry)
        return len(points)

    def _send(self, points: list[Point], retry: bool) -> None:
        waits = RETRY_SECONDS if retry else ()
        for wait in (*waits, None):
            try:
                self._api.write(self._bucket, record=points)
                return
            except INFLUX_ERRORS as error:
                status = getattr(error, "status", None)
                if status is not None and 400 <= status < 500 and status != 429:
                    raise ValueError(
                        f"InfluxDB refused points of bucket {self._bucket} ({status}): "
                        f"{reason(error)}"
                    ) from error
                if wait is None:
                    raise ConnectionError(
                        f"InfluxDB at {self._url} does not take points ({reason(error)}); check "
                        "`loglake status` and `loglake logs influxd`"
                    ) from error
                log.warning("InfluxDB at %s: %s; next try in %s s", self._url, reason(error), wait)
                time.sleep(wait)


def _point(measurement: str, row: Mapping[str, Any], time_column: str) -> Point:
    spec = MEASUREMENTS[measurement]
    point = Point(measurement).time(row[time_column], WritePrecision.MS)
    for tag in spec.tags:
        point.tag(tag, str(row[tag]))
    values = {name: row[name] for name in spec.fields if name in row}
    for name, value in spec.typed(values).items():
        point.field(name, value)
    return point
