"""The points that InfluxDB holds, and how they differ from the rows that the lake yields."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from influxdb_client import InfluxDBClient

from streaming.contracts import names
from streaming.contracts.measurements import MEASUREMENTS
from streaming.contracts.settings import Settings
from streaming.live.influx_sink import INFLUX_ERRORS, reason

Key = tuple[Any, ...]
"""Start of the window in epoch milliseconds, then the values of the measurement's tags."""

APPROXIMATE = {
    # Sketches depend on the order of the rows; the exact fields tell whether the rows are the same.
    names.HTTP_TRAFFIC: frozenset({"latency_p50", "latency_p95", "latency_p99", "clients"}),
}
RELATIVE_TOLERANCE = 1e-6
"""Sums of doubles depend on their order."""


@dataclass(frozen=True)
class Difference:
    """Points that have to be written or removed, and how many for which reason."""

    wrong: list[dict[str, Any]]
    surplus: list[Key]
    reasons: dict[str, int]


def compare(
    measurement: str, rows: Iterable[Mapping[str, Any]], held: Mapping[Key, Mapping[str, Any]]
) -> Difference:
    """Compare rows of the lake with the points that InfluxDB holds for the same windows.

    A row has the measurement's tags and fields and `window_start` in epoch milliseconds.
    Reasons: `missing` (no point), `fewer` and `more` (requests or messages than the lake has),
    `other` (another field differs), `surplus` (a point without rows).
    """
    spec = MEASUREMENTS[measurement]
    count = next(iter(spec.fields))
    reasons: dict[str, int] = {}
    wrong = []
    expected = {_key(spec.tags, row): dict(row) for row in rows}
    for key, row in expected.items():
        reason = _reason(measurement, count, row, held.get(key))
        if reason:
            wrong.append(row)
            reasons[reason] = reasons.get(reason, 0) + 1
    surplus = [key for key in held if key not in expected]
    if surplus:
        reasons["surplus"] = len(surplus)
    return Difference(wrong, surplus, reasons)


def _key(tags: tuple[str, ...], row: Mapping[str, Any]) -> Key:
    return (row["window_start"], *(str(row[tag]) for tag in tags))


def _reason(
    measurement: str, count: str, row: Mapping[str, Any], point: Mapping[str, Any] | None
) -> str | None:
    if point is None:
        return "missing"
    if point.get(count) != row[count]:
        return "fewer" if (point.get(count) or 0) < row[count] else "more"
    spec = MEASUREMENTS[measurement]
    values = spec.typed({name: row[name] for name in spec.fields if name in row})
    approximate = APPROXIMATE.get(measurement, frozenset())
    exact = [name for name in spec.fields if name not in approximate]
    same = all(_equal(values.get(name), point.get(name)) for name in exact)
    complete = all((name in values) == (point.get(name) is not None) for name in approximate)
    return None if same and complete else "other"


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-9)
    return bool(ours == theirs)


class Points:
    """Reads and removes points of the bucket `metrics`. Close it, or use `with`."""

    def __init__(self, settings: Settings) -> None:
        """Connect lazily; raises `FileNotFoundError` when a token was never made."""
        self._settings = settings
        self._reader = self._client("influx_read_token")
        self._writer = self._client("influx_write_token")

    def _client(self, token: str) -> InfluxDBClient:
        return InfluxDBClient(
            url=self._settings.influx,
            token=self._settings.secret(token),
            org=self._settings.influx_org,
            timeout=60_000,
            enable_gzip=True,
        )

    def __enter__(self) -> "Points":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._writer.close()

    def between(self, measurement: str, start: int, stop: int) -> dict[Key, dict[str, Any]]:
        """Return the points of `[start, stop)`, epoch seconds, by key.

        Raises `ConnectionError` when InfluxDB does not answer.
        """
        flux = (
            f'from(bucket: "{names.BUCKET_METRICS}")'
            f" |> range(start: {_rfc3339(start)}, stop: {_rfc3339(stop)})"
            f' |> filter(fn: (r) => r._measurement == "{measurement}")'
            ' |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
        )
        tags = MEASUREMENTS[measurement].tags
        found = {}
        try:
            for record in self._records(flux):
                milliseconds = round(record["_time"].timestamp() * 1000)
                found[(milliseconds, *(record.get(tag, "") for tag in tags))] = record
        except INFLUX_ERRORS as error:
            raise self._unreachable(error) from error
        return found

    def _records(self, flux: str) -> Iterator[dict[str, Any]]:
        for record in self._reader.query_api().query_stream(flux):
            yield record.values

    def remove(self, measurement: str, keys: Iterable[Key]) -> int:
        """Delete points by key; returns how many."""
        tags = MEASUREMENTS[measurement].tags
        removed = 0
        for milliseconds, *values in keys:
            start = datetime.fromtimestamp(milliseconds / 1000, UTC)
            named = zip(tags, values, strict=True)
            predicate = " AND ".join(
                [f'_measurement="{measurement}"', *(f'{tag}="{value}"' for tag, value in named)]
            )
            try:
                self._writer.delete_api().delete(
                    start, start, predicate, bucket=names.BUCKET_METRICS
                )
            except INFLUX_ERRORS as error:
                raise self._unreachable(error) from error
            removed += 1
        return removed

    def _unreachable(self, error: Exception) -> ConnectionError:
        return ConnectionError(
            f"InfluxDB at {self._settings.influx} does not answer ({reason(error)}); "
            "check `loglake status` and `loglake logs influxd`"
        )


def _rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
