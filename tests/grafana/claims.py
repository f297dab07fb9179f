"""What boards and alert rules may expect of any InfluxDB that the pipeline fills."""

import re
from typing import Any

from grafana.__main__ import BOARDS
from grafana.alerts import GROUPS
from tests.fixtures.stack import Stack
from tests.grafana.asking import Moment, Series, Store

PANELS = [
    (board, panel) for module in BOARDS for board in [module.board()] for panel in board["panels"]
]
RARE = ('_measurement == "anomalies"', '_measurement == "baseline"', "r.status_5xx > 0")
"""What a query reads that a calm and young system need not have."""

NEWEST = """
    from(bucket: "metrics") |> range(start: -1h)
      |> filter(fn: (r) => r._measurement == "http_traffic" and r._field == "requests")
      |> last() |> group() |> max(column: "_time")
"""


def require(panel: dict[str, Any], query: str, answer: list[Series], *, busy: bool = True) -> None:
    """Fail unless the answer has what a panel of this type draws; `busy`: it is not all 0."""
    assert answer, "no rows"
    columns = {name: kind for series in answer for name, kind in series.columns.items()}
    assert any(series.numbers() for series in answer), f"no number in {columns}"
    fields = {series.labels["_field"] for series in answer if "_field" in series.labels}
    if fields:
        assert fields == set(re.findall(r'(?:_field == |value: )"(\w+)"', query))
    kind = panel["type"]
    if kind in ("timeseries", "state-timeline"):
        assert columns["_time"] == "dateTime:RFC3339"
        values = [name for name, data_type in columns.items() if data_type in ("double", "long")]
        assert values
        assert set(columns) == {"_time", *values}, "a column that is neither time, value nor label"
        for series in answer:
            assert all(
                row[name] is not None
                for row in series.rows
                for name in values
                if kind == "timeseries"
            )
    elif kind == "table":
        declared = {item["matcher"]["options"] for item in panel["fieldConfig"]["overrides"]}
        assert set(columns) == declared
        rows = [row for series in answer for row in series.rows]
        for name in declared:
            # The client reads an empty string as None.
            assert columns[name] == "string" or any(row[name] is not None for row in rows), name
            assert not busy or any(row[name] for row in rows), f"{name} is 0 in every row"
    elif kind == "bargauge":
        assert sorted(columns.values()) in (["double", "string"], ["long", "string"])
        assert "value" in columns
    elif kind == "barchart":
        assert columns[panel["options"]["xField"]] == "string"
        assert set(columns.values()) == {"string", "long"}
    else:
        assert kind == "stat"
        assert len([name for name, of in columns.items() if of in ("double", "long")]) == 1
        assert not busy or all(any(series.numbers()) for series in answer), "0, not a number"


def assert_queries_answer(stack: Stack) -> None:
    """Every query of every board and rule gives what is drawn or evaluated, on this very stack.

    It is asked as of the newest window. What needs an incident or a baseline may be empty.
    """
    store = Store(stack.settings)
    (newest,) = stack.flux(NEWEST)
    at = int(newest["_time"].timestamp()) + 10
    for _, panel in PANELS:
        for target in panel["targets"]:
            answer = store.ask(target["query"], Moment(at, period="10s"))
            if answer or not any(mark in target["query"] for mark in RARE):
                require(panel, target["query"], answer, busy=False)
    for rule in (rule for rules in GROUPS.values() for rule in rules):
        for query in (rule.query, *rule.numbers.values()):
            answer = store.ask(query, Moment(at, rule.seconds, period="10s"))
            assert answer or any(mark in query for mark in RARE), f"{rule.uid}: no rows"
            for series in answer:
                assert series.columns.keys() == {"_time", "_value"}, rule.uid
                assert series.columns["_value"] in ("double", "long"), rule.uid
