"""Every query of every board, asked of a real InfluxDB that holds what the contract says."""

import re
from typing import Any

import pytest
from influxdb_client.rest import ApiException

from streaming.contracts.measurements import MEASUREMENTS
from tests.grafana.asking import Moment, regex
from tests.grafana.claims import PANELS, require
from tests.grafana.conftest import Scene

pytestmark = pytest.mark.stack

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
