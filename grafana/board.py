"""A dashboard: rows of panels put on the grid, variables, the incident layer, links."""

from collections.abc import Sequence
from typing import Any

from grafana import incidents, theme
from grafana.panels import DATASOURCE, Panel

COLUMNS = 24
SCHEMA_VERSION = 41
"""Of Grafana 12.0; newer ones migrate it."""

DAGSTER_URL = "http://127.0.0.1:13070"
RUNBOOKS_URL = "http://127.0.0.1:18099/runbooks"
"""Where a native stack with default ports answers; start.sh puts others in their place."""

Board = dict[str, Any]
Row = tuple[int, Sequence[Panel]]
"""A height in grid units and panels whose widths add up to 24."""


def dashboard(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    variables: Sequence[dict[str, Any]],
    since: str,
    refresh: str = "10s",
) -> Board:
    """Build the JSON model. Raises `ValueError` for a row that does not fill the grid."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["loglake"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "graphTooltip": 1,
        "time": {"from": f"now-{since}", "to": "now"},
        # A window that is still open is not a drop in traffic.
        "timepicker": {
            "nowDelay": "10s",
            "refresh_intervals": ["5s", "10s", "30s", "1m", "5m", "15m"],
        },
        "refresh": refresh,
        "fiscalYearStartMonth": 0,
        "annotations": {"list": [_incidents()]},
        "templating": {"list": list(variables)},
        "links": _links(),
        "panels": _placed(title, rows),
    }


def query_variable(name: str, label: str, query: str) -> dict[str, Any]:
    """Build a variable that takes several values, or all."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
    }


def tag_variable(name: str, label: str, measurement: str, tag: str) -> dict[str, Any]:
    """Build a variable of the values of a tag."""
    query = (
        'import "influxdata/influxdb/schema"\n\n'
        f'schema.tagValues(bucket: "metrics", tag: "{tag}", '
        f'predicate: (r) => r._measurement == "{measurement}", start: -7d)'
    )
    return query_variable(name, label, query)


def server_variable(measurement: str = "http_traffic") -> dict[str, Any]:
    """Build the variable `server`, which every board has."""
    return tag_variable("server", "Server", measurement, "server")


def _placed(title: str, rows: Sequence[Row]) -> list[Panel]:
    panels: list[Panel] = []
    y = 0
    for height, row in rows:
        x = 0
        for item in row:
            place = {"h": height, "w": item["gridPos"]["w"], "x": x, "y": y}
            panels.append({"id": len(panels) + 1, **item, "gridPos": place})
            x += place["w"]
        if x != COLUMNS:
            raise ValueError(f"board {title}: the row of {row[0]['title']!r} is {x} columns wide")
        y += height
    return panels


def _incidents() -> dict[str, Any]:
    return {
        "name": "Incidents",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": theme.BAD,
        "target": {"refId": "Incidents", "datasource": DATASOURCE, "query": incidents.layer()},
    }


def _links() -> list[dict[str, Any]]:
    common = {"tags": [], "icon": "external link", "includeVars": False, "keepTime": False}
    boards = {
        "type": "dashboards",
        "title": "Loglake",
        "tags": ["loglake"],
        "asDropdown": False,
        "icon": "dashboard",
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "",
        "url": "",
    }
    return [
        boards,
        {
            **common,
            "type": "link",
            "title": "Dagster",
            "tooltip": "Streams, batch jobs, checks",
            "url": DAGSTER_URL,
            "asDropdown": False,
            "targetBlank": True,
        },
        {
            **common,
            "type": "link",
            "title": "Runbooks",
            "tooltip": "What to do about an alert",
            "url": RUNBOOKS_URL,
            "asDropdown": False,
            "targetBlank": True,
        },
    ]
