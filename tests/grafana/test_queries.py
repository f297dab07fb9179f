"""Every query of every board, asked of a real InfluxDB that holds what the contract says."""

import re
from typing import Any

import pytest
from influxdb_client.rest import ApiException

from grafana.__main__ import BOARDS
from streaming.measurements import MEASUREMENTS
from tests.grafana.asking import Moment, Series, regex
from tests.grafana.conftest import Scene

pytestmark = pytest.mark.stack

PANELS = [
    (board, panel) for module in BOARDS for board in [module.board()] for panel in board["panels"]
]
QUERIES = [
    pytest.param(panel, target["query"], id=f"{board['uid']}-{panel['title']}-{target['refId']}")
    for board, panel in PANELS
    for target in panel["targets"]
]
VARIABLES = [
    pytest.param(variable["query"]["query"], id=f"{board['uid']}-{variable['name']}")
    for board in {board["uid"]: board for board, _ in PANELS}.values()
    for variable in board["templating"]["list"]
]


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


@pytest.mark.parametrize(("panel", "query"), QUERIES)
def test_query_returns_what_the_panel_draws(
    scene: Scene, panel: dict[str, Any], query: str
) -> None:
    require(panel, query, scene.store.ask(query, scene.board))


@pytest.mark.parametrize(("panel", "query"), QUERIES)
def test_query_takes_chosen_values(scene: Scene, panel: dict[str, Any], query: str) -> None:
    chosen = {
        "server": regex("web1", "web2"),
        "route": regex("/api/items/{id}", "/broken", "/slow"),
        "kind": regex("ip_spike", "path_scan"),
        "severity": regex("error"),
        "category": regex("missing_file", "upstream_refused"),
        "stream": regex("stream_access"),
    }
    answer = scene.store.ask(query, Moment(scene.board.at, 1_800, chosen, "10s"))
    assert answer
    for series in answer:
        for name, pattern in chosen.items():
            for row in series.rows:
                assert re.fullmatch(pattern, str(row[name])) if name in row else True


@pytest.mark.parametrize("query", VARIABLES)
def test_variable_has_values(scene: Scene, query: str) -> None:
    # Values are asked for relative to now.
    (series,) = scene.store.ask(query, scene.clean)
    assert all(isinstance(row["_value"], str) for row in series.rows)


def test_incident_layer_has_regions(scene: Scene) -> None:
    layer = PANELS[0][0]["annotations"]["list"][0]["target"]["query"]
    (series,) = scene.store.ask(layer, scene.board)
    assert set(series.columns) == {"time", "timeEnd", "title", "text", "tags"}
    assert series.columns["timeEnd"] == "long"
    assert all(row["timeEnd"] > row["time"].timestamp() * 1_000 for row in series.rows)
    assert "ip_spike on web2" in {row["title"] for row in series.rows}


def test_every_field_that_is_named_is_written() -> None:
    for _, panel in PANELS:
        for target in panel["targets"]:
            query = target["query"]
            for measurement in re.findall(r'_measurement == "(\w+)"', query):
                known = {*MEASUREMENTS[measurement].fields, *MEASUREMENTS[measurement].tags}
                assert set(re.findall(r'_field == "(\w+)"', query)) <= known, panel["title"]


NAMED = [
    pytest.param(*item.values, field, id=f"{item.id}-{field}")
    for item in QUERIES
    for field in sorted(set(re.findall(r'_field == "(\w+)"', item.values[1])))
    # What a text log leaves unknown must not break a board.
    if f"exists r.{field}" not in item.values[1]
]


@pytest.mark.parametrize(("panel", "query", "field"), NAMED)
def test_renamed_field_is_noticed(
    scene: Scene, panel: dict[str, Any], query: str, field: str
) -> None:
    renamed = query.replace(f'_field == "{field}"', f'_field == "{field}_renamed"')
    with pytest.raises((AssertionError, ApiException)):
        require(panel, query, scene.store.ask(renamed, scene.board))
