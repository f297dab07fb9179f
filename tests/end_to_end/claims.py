"""What must hold of a running system, whatever was done to it."""

from collections import Counter

from pyspark.sql import SparkSession

from streaming.contracts import names
from streaming.spark import delta_tables
from tests.end_to_end import oracle
from tests.fixtures.stack import Stack, eventually

PATIENCE = 240
"""Seconds for lines to arrive: the first batches of two streams compile on two busy cores."""


def assert_lake_holds_each_once(stack: Stack, spark: SparkSession, sent: set[str]) -> None:
    def stored() -> Counter[str]:
        table = delta_tables.read_table(spark, stack.settings, names.ACCESS_LOGS)
        return Counter(row["request_id"] for row in table.select("request_id").collect())

    found = eventually(lambda: (rows := stored()) and sent <= rows.keys() and rows, PATIENCE, 2)
    assert {request for request, times in found.items() if times > 1} == set()
    written = {
        line["request_id"]
        for server in stack.settings.servers
        for line in oracle.access_lines(stack.settings.home, server)
    }
    assert found.keys() == written


def assert_windows_match(stack: Stack) -> None:
    expected = oracle.windows(stack.settings.home, stack.settings.servers)
    fields = {key: window.fields() for key, window in expected.items()}
    query = f"""
        from(bucket: "{names.BUCKET_METRICS}") |> range(start: -1h)
          |> filter(fn: (r) => r._measurement == "{names.HTTP_TRAFFIC}")
          |> pivot(rowKey: ["_time", "server"], columnKey: ["_field"], valueColumn: "_value")
    """

    def differing() -> dict[object, object]:
        seen = {(row["server"], int(row["_time"].timestamp())): row for row in stack.flux(query)}
        return {
            key: (want, {name: seen.get(key, {}).get(name) for name in want})
            for key, want in fields.items()
            if any(seen.get(key, {}).get(name) != value for name, value in want.items())
        }

    eventually(lambda: not differing() or None, PATIENCE, 1)
    assert differing() == {}


def assert_error_lines_match(stack: Stack, spark: SparkSession) -> None:
    def written() -> int:
        """Lines by now: nginx adds one when a client closes its idle connection, seconds later."""
        return sum(
            1
            for server in stack.settings.servers
            for _ in oracle.log_lines(stack.settings.home, server, "error.log")
        )

    query = f"""
        from(bucket: "{names.BUCKET_METRICS}") |> range(start: -1h)
          |> filter(fn: (r) => r._measurement == "{names.ERROR_EVENTS}" and r._field == "count")
          |> group() |> sum()
    """

    def lake() -> int:
        logs = delta_tables.read_table(spark, stack.settings, names.ERROR_LOGS)
        refused = delta_tables.read_table(spark, stack.settings, names.REJECTED_LINES)
        return logs.count() + refused.where(f"topic = '{names.TOPIC_ERRORS}'").count()

    def counted() -> int:
        return sum(row["_value"] for row in stack.flux(query))

    eventually(lambda: lake() == written(), PATIENCE, 2)
    logs = delta_tables.read_table(spark, stack.settings, names.ERROR_LOGS)
    assert logs.select("event_id").distinct().count() == logs.count()
    eventually(lambda: counted() == logs.count(), PATIENCE, 2)
