"""Real Kafka and InfluxDB and a lake with lines in it, for the jobs that compare them."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from influxdb_client import InfluxDBClient
from pyspark.sql import SparkSession

from stack import launch
from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live.influx_sink import InfluxSink
from streaming.spark import delta_tables, schemas
from tests.fixtures.ports import free_port_settings


@pytest.fixture(scope="session")
def influx() -> Iterator[Settings]:
    """Settings of a home in which InfluxDB and Kafka run."""
    home = Path(tempfile.mkdtemp(prefix="loglake-"))
    settings = Settings(home=home, **free_port_settings())  # type: ignore[arg-type]
    try:
        launch.up(settings, lambda name, state: None, ["influxd", "kafka"])
        yield settings
    finally:
        launch.down(settings)
        shutil.rmtree(home, ignore_errors=True)


class Lake:
    """An empty lake beside an empty InfluxDB bucket."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark = spark
        self.settings = settings
        self.now = datetime.now(UTC)
        for name in (names.ACCESS_LOGS, names.ERROR_LOGS, names.REJECTED_LINES):
            delta_tables.ensure_table(spark, settings, name)

    def access(self, ids: str, minutes_ago: float, server: str = "web1", offset: int = 0) -> None:
        """Append one request per letter of `ids`, all at the same moment."""
        moment = self.now - timedelta(minutes=minutes_ago)
        empty = dict.fromkeys(schemas.ACCESS_LOGS.names)
        rows = [
            {
                **empty,
                "event_id": event_id,
                "event_time": moment,
                "event_date": moment.date(),
                "server_address": server,
                "client_address": "192.0.2.1",
                "http_response_status_code": 200,
                "http_response_body_size": 100,
                "http_server_request_duration": 0.25,
                "kafka_partition": 0,
                "kafka_offset": offset + position,
                "ingested_at": self.now,
            }
            for position, event_id in enumerate(ids)
        ]
        self._append(names.ACCESS_LOGS, rows)

    def _append(self, table: str, rows: list[dict]) -> None:
        frame = self.spark.createDataFrame(rows, schemas.TABLES[table])
        frame.write.format("delta").mode("append").save(self.settings.table(table))

    def point(self, minutes_ago: float, requests: int) -> None:
        """Write the point of a window of web1, whatever the lake says of it."""
        seconds = (self.now - timedelta(minutes=minutes_ago)).timestamp()
        row = {
            "window_start": int(seconds // 10) * 10_000,
            "server": "web1",
            "requests": requests,
            "rps": 0.0,
            "bytes": 0,
            "throughput_bps": 0.0,
            "error_rate": 0.0,
            "clients": 1,
            **{f"status_{n}xx": 0 for n in range(1, 6)},
        }
        with InfluxSink(self.settings) as sink:
            sink.write(names.HTTP_TRAFFIC, [row], time_column="window_start")

    def requests(self) -> dict[str, int]:
        """Requests by server over all points of InfluxDB."""
        flux = (
            'from(bucket: "metrics") |> range(start: -8d) '
            '|> filter(fn: (r) => r._measurement == "http_traffic" and r._field == "requests") '
            '|> group(columns: ["server"]) |> sum()'
        )
        return {record["server"]: record["_value"] for record in self.query(flux)}

    def query(self, flux: str) -> list[dict]:
        """Rows of a Flux query."""
        with InfluxDBClient(
            self.settings.influx,
            token=self.settings.secret("influx_read_token"),
            org=self.settings.influx_org,
        ) as client:
            return [
                dict(record.values)
                for table in client.query_api().query(flux)
                for record in table.records
            ]


def empty_lake(spark: SparkSession, influx: Settings, directory: Path) -> Lake:
    """A lake of its own; the bucket is emptied."""
    settings = influx.with_changes(lake=str(directory / "lake"), checkpoints=str(directory / "cp"))
    with InfluxDBClient(
        settings.influx, token=settings.secret("influx_write_token"), org=settings.influx_org
    ) as client:
        client.delete_api().delete(
            datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), "", bucket="metrics"
        )
    return Lake(spark, settings)


@pytest.fixture
def lake(spark: SparkSession, influx: Settings, tmp_path: Path) -> Lake:
    """An empty lake."""
    return empty_lake(spark, influx, tmp_path)
