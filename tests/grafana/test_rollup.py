"""The hourly roll-up: sums add up, means are weighted, percentiles are called what they are."""

import re
from collections.abc import Iterator

import httpx
import pytest
from influxdb_client import InfluxDBClient, Point

from stack import influx
from streaming.contracts import names
from streaming.contracts.measurements import MEASUREMENTS
from streaming.contracts.settings import Settings
from tests.grafana import sample
from tests.grafana.conftest import Scene

pytestmark = pytest.mark.stack

SIZES = [(100 + 10 * n, 0.01 * (n % 7 + 1)) for n in range(360)]
"""Requests and mean latency of each window of the hour."""


def windows(start: int) -> Iterator[Point]:
    for n, (requests, latency) in enumerate(SIZES):
        at = start + n * sample.STEP
        yield sample.traffic(at, "web9", requests=requests, failing=n % 3, latency=latency)
        yield from sample.top_urls(at, "web9")


def roll_up(settings: Settings, now: int) -> None:
    """Run the task's script as it ran at `now`."""
    script = influx.ROLLUP.read_text(encoding="utf-8")
    script = re.sub(r"option task = .*", f"option now = () => time(v: {now}000000000)", script)
    answer = httpx.post(
        f"{settings.influx}/api/v2/query",
        params={"org": settings.influx_org},
        headers={
            "Authorization": f"Token {settings.secret(influx.ADMIN_TOKEN)}",
            "Content-Type": "application/vnd.flux",
        },
        content=script,
        timeout=120,
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    assert "error,reference" not in answer.text, answer.text[:300]


def hour(settings: Settings, measurement: str, start: int) -> list[dict[str, object]]:
    query = (
        f'from(bucket: "metrics_1h") |> range(start: {start}, stop: {start + 3_600}) '
        f'|> filter(fn: (r) => r._measurement == "{measurement}" and r.server == "web9") '
        '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value") |> group()'
    )
    with InfluxDBClient(
        settings.influx, token=settings.secret(influx.READ_TOKEN), org=settings.influx_org
    ) as client:
        return [dict(r.values) for table in client.query_api().query(query) for r in table.records]


@pytest.fixture(scope="module")
def rolled(scene: Scene) -> tuple[Settings, int]:
    settings = scene.store.settings
    start = sample.now() - 3 * 86_400
    start -= start % 3_600
    with sample.writer(settings) as write:
        write(windows(start))
    # Twice, since a point that is written again must replace itself.
    for _ in range(2):
        roll_up(settings, start + 3_600 + 660)
    return settings, start


def test_traffic_of_an_hour(rolled: tuple[Settings, int]) -> None:
    (row,) = hour(rolled[0], names.HTTP_TRAFFIC, rolled[1])
    requests = sum(size for size, _ in SIZES)
    weighted = sum(size * latency for size, latency in SIZES) / requests
    failures = sum(n % 3 for n in range(360))
    assert row["requests"] == requests
    assert row["bytes"] == 5_000 * requests
    assert row["rps"] == pytest.approx(requests / 3_600)
    assert row["throughput_bps"] == pytest.approx(5_000 * requests * 8 / 3_600)
    assert row["latency_avg"] == pytest.approx(weighted)
    assert row["latency_max"] == pytest.approx(12 * 0.07)
    assert row["latency_p95_mean"] == pytest.approx(3 * weighted)
    assert row["latency_p95_max"] == pytest.approx(3 * 0.07)
    assert row["status_5xx"] == failures
    assert row["error_rate"] == pytest.approx(failures / requests)
    assert row["clients_max"] == 20
    assert "latency_p95" not in row, "an hour has no percentile of that name"


def test_routes_of_an_hour_have_the_fields_of_a_window(rolled: tuple[Settings, int]) -> None:
    rows = hour(rolled[0], names.HTTP_TOP_URLS, rolled[1])
    assert [row["url"] for row in sorted(rows, key=lambda row: int(str(row["rank"])))] == list(
        sample.ROUTES
    )
    first = next(row for row in rows if row["rank"] == "1")
    assert first["requests"] == 360 * 100
    assert MEASUREMENTS[names.HTTP_TOP_URLS].fields.keys() <= first.keys()


def test_every_measurement_is_rolled_up(scene: Scene) -> None:
    settings = scene.store.settings
    roll_up(settings, scene.board.at + 3_600)
    query = (
        'import "influxdata/influxdb/schema" '
        f'schema.measurements(bucket: "metrics_1h", start: {scene.board.at - 86_400})'
    )
    with InfluxDBClient(
        settings.influx, token=settings.secret(influx.READ_TOKEN), org=settings.influx_org
    ) as client:
        found = {r["_value"] for table in client.query_api().query(query) for r in table.records}
    assert found == set(MEASUREMENTS)


def test_task_is_installed_and_active(scene: Scene) -> None:
    settings = scene.store.settings
    with InfluxDBClient(
        settings.influx, token=settings.secret(influx.ADMIN_TOKEN), org=settings.influx_org
    ) as client:
        (task,) = client.tasks_api().find_tasks(name="loglake_rollup")
    assert (task.status, task.every, task.offset) == ("active", "1h", "11m")
