"""What Grafana would refuse, or a person would stumble over, without asking any database."""

import json
import re
from typing import Any

import pytest

from grafana.__main__ import BOARDS, HERE, rendered
from grafana.panels import DATASOURCE
from grafana.theme import GREY

TYPES = {"timeseries", "stat", "table", "state-timeline", "barchart", "bargauge"}
FILES = sorted((HERE / "dashboards").glob("*.json"))
PANELS = [
    pytest.param(board, panel, id=f"{board['uid']}-{panel['id']}")
    for module in BOARDS
    for board in [module.board()]
    for panel in board["panels"]
]


def load(uid: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((HERE / "dashboards" / f"{uid}.json").read_text())
    return loaded


@pytest.mark.parametrize("path", rendered(), ids=lambda path: path.name)
def test_committed_file_is_what_the_code_says(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == rendered()[path], "run `python -m grafana`"


def test_no_file_is_left_over() -> None:
    assert {path for path in rendered() if path.suffix == ".json"} == set(FILES)


def test_uids_and_titles_are_unique() -> None:
    boards = [load(path.stem) for path in FILES]
    assert len({board["uid"] for board in boards}) == len(boards)
    assert len({board["title"] for board in boards}) == len(boards)
    assert all(len(board["uid"]) <= 40 for board in boards)
    for board in boards:
        panels = [panel["title"] for panel in board["panels"]]
        assert len(set(panels)) == len(panels)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_grid_is_full_and_nothing_overlaps(path: Any) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in load(path.stem)["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & own, panel["title"]
        cells |= own
    height = max(y for _, y in cells) + 1
    assert cells == {(x, y) for x in range(24) for y in range(height)}


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_panel_says_what_it_shows(board: dict[str, Any], panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["type"] in TYPES
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"]
    assert panel["datasource"] == DATASOURCE
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs) > 0
    steps = [step["value"] for step in defaults["thresholds"]["steps"]]
    assert steps[0] is None
    assert steps[1:] == sorted(steps[1:])


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_query_uses_only_variables_of_its_board(
    board: dict[str, Any], panel: dict[str, Any]
) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    for target in panel["targets"]:
        used = re.findall(r"\$\{(\w+)(?::regex)?\}", target["query"])
        assert set(used) <= declared
        assert "${DS_" not in target["query"]
        # Grafana inserts an unescaped value where no format is named.
        assert len(used) == target["query"].count(":regex}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_links_lead_to_boards_that_exist(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    for uid in re.findall(r"/d/([\w-]+)", text):
        load(uid)
    assert {"Dagster", "Runbooks"} <= {link["title"] for link in load(path.stem)["links"]}
    assert "${DS_" not in text


def test_one_thing_has_one_colour_everywhere() -> None:
    colours: dict[str, set[str]] = {}
    for path in FILES:
        for panel in load(path.stem)["panels"]:
            for override in panel["fieldConfig"]["overrides"]:
                for item in override["properties"]:
                    if item["id"] == "color":
                        name = override["matcher"]["options"]
                        colours.setdefault(name, set()).add(item["value"]["fixedColor"])
    assert {name: found for name, found in colours.items() if len(found) > 1} == {}
    for group in (("web1", "web2", "web3"), ("status_2xx", "status_4xx", "status_5xx")):
        assert len({tuple(colours[name]) for name in group}) == len(group)
    assert colours["expected"] == {GREY}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_model_survives_grafanas_own_types(path: Any) -> None:
    """Read and write it with Grafana's published schema: what it does not know, it loses."""
    sdk = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    plugins.register_default_plugins()
    board = load(path.stem)
    model = sdk.Dashboard.from_json(board)
    lost = list(missing(board, json.loads(encoder.JSONEncoder().encode(model))))
    # The target of an annotation belongs to the data source, not to the schema.
    assert [place for place in lost if ".annotations.list[0].target." not in place] == []


def missing(want: Any, got: Any, place: str = "") -> Any:
    """Yield the places where `got` lacks something or differs."""
    if isinstance(want, dict) and isinstance(got, dict):
        for key, value in want.items():
            if key in got:
                yield from missing(value, got[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}"
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for index, (left, right) in enumerate(zip(want, got, strict=True)):
            yield from missing(left, right, f"{place}[{index}]")
    elif want != got:
        yield place
