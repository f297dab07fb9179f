"""Panels of Grafana 12 as plain dictionaries, with the defaults of this project.

Every panel function takes a title, one sentence on what the panel answers, its Flux and its unit;
`w` is the width in columns of 24. Places are given later, by `grafana.board`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grafana import theme
from grafana.overrides import Steps, painted, thresholds

Panel = dict[str, Any]

DATASOURCE = {"type": "influxdb", "uid": "loglake-influx"}

CALM: Steps = ((None, theme.BLUE),)


def panel(
    kind: str,
    title: str,
    description: str,
    queries: str | Sequence[str],
    *,
    unit: str,
    w: int,
    options: Mapping[str, Any],
    custom: Mapping[str, Any] | None = None,
    steps: Steps = CALM,
    empty: str = "Nothing in this time range",
    decimals: int | None = None,
    low: float | None = None,
    high: float | None = None,
    links: Sequence[Mapping[str, Any]] = (),
    overrides: Iterable[Mapping[str, Any]] = (),
    transformations: Sequence[Mapping[str, Any]] = (),
    colour: str = "palette-classic-by-name",
    interval: str = "10s",
) -> Panel:
    """Build a panel of any kind."""
    texts = [queries] if isinstance(queries, str) else list(queries)
    defaults: dict[str, Any] = {
        "unit": unit,
        "noValue": empty,
        "color": {"mode": colour},
        "custom": dict(custom or {}),
        "mappings": [],
        "thresholds": thresholds(steps),
        "links": list(links),
    }
    optional = {"decimals": decimals, "min": low, "max": high}
    defaults |= {key: value for key, value in optional.items() if value is not None}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        # No point is finer than a window, so a finer grid would only show gaps.
        "interval": interval,
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "query": text}
            for index, text in enumerate(texts)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": [*overrides]},
        "options": dict(options),
        "transformations": list(transformations),
        "gridPos": {"w": w},
    }


def stat(
    title: str,
    description: str,
    query: str,
    *,
    unit: str,
    w: int,
    steps: Steps = CALM,
    spark: bool = True,
    calc: str = "lastNotNull",
    **rest: Any,
) -> Panel:
    """One number, with its course behind it."""
    options = {
        "reduceOptions": {"calcs": [calc], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area" if spark else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return panel(
        "stat",
        title,
        description,
        query,
        unit=unit,
        w=w,
        steps=steps,
        options=options,
        colour="thresholds",
        **rest,
    )


def timeseries(
    title: str,
    description: str,
    queries: str | Sequence[str],
    *,
    unit: str,
    w: int,
    style: str = "line",
    stack: bool = False,
    area: bool = False,
    points: bool = False,
    overrides: Iterable[Mapping[str, Any]] = (),
    colours: Mapping[str, str] = theme.SERVERS,
    legend: str = "list",
    **rest: Any,
) -> Panel:
    """Lines, bars or points over time; a named thing has its colour from `grafana.theme`."""
    custom = {
        "drawStyle": style,
        "lineWidth": 1,
        "lineInterpolation": "linear",
        "fillOpacity": 60 if stack or style == "bars" else 0,
        "showPoints": "always" if points else "never",
        "pointSize": 5,
        "spanNulls": False,
        "axisSoftMin": 0,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "area" if area else "off"},
    }
    options = {
        "legend": {
            "displayMode": legend,
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull", "max"] if legend == "table" else [],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(
        "timeseries",
        title,
        description,
        queries,
        unit=unit,
        w=w,
        options=options,
        custom=custom,
        overrides=[*painted(colours), *overrides],
        **rest,
    )


def table(
    title: str,
    description: str,
    query: str,
    *,
    w: int,
    unit: str = "short",
    sort: str = "",
    columns: Iterable[Mapping[str, Any]] = (),
    **rest: Any,
) -> Panel:
    """Rows; `columns` are overrides as `styled` makes them, in the order of the columns."""
    columns = list(columns)
    order = {item["matcher"]["options"]: index for index, item in enumerate(columns)}
    organize = {"indexByName": order, "excludeByName": {}, "renameByName": {}}
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
        "sortBy": [{"displayName": sort, "desc": True}] if sort else [],
    }
    return panel(
        "table",
        title,
        description,
        query,
        unit=unit,
        w=w,
        options=options,
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
        overrides=columns,
        transformations=[{"id": "organize", "options": organize}],
        colour="thresholds",
        **rest,
    )


def bargauge(
    title: str, description: str, query: str, *, unit: str, w: int, steps: Steps = CALM, **rest: Any
) -> Panel:
    """One horizontal bar for each row of a table of a name and a value."""
    options = {
        "reduceOptions": {"calcs": [], "fields": "/^value$/", "values": True, "limit": 10},
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "text",
        "namePlacement": "left",
        "showUnfilled": False,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
    }
    return panel(
        "bargauge",
        title,
        description,
        query,
        unit=unit,
        w=w,
        steps=steps,
        options=options,
        colour="thresholds",
        low=0,
        **rest,
    )


def barchart(
    title: str, description: str, query: str, *, unit: str, w: int, x: str, **rest: Any
) -> Panel:
    """Stacked horizontal bars, one for each row; `x` is the column that names it."""
    options = {
        "orientation": "horizontal",
        "xField": x,
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 0,
        "xTickLabelMaxLength": 40,
        "showValue": "never",
        "stacking": "normal",
        "groupWidth": 0.7,
        "barWidth": 0.9,
        "barRadius": 0,
        "fullHighlight": False,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(
        "barchart",
        title,
        description,
        query,
        unit=unit,
        w=w,
        options=options,
        custom={"lineWidth": 0, "fillOpacity": 80},
        **rest,
    )


def state_timeline(
    title: str, description: str, query: str, *, unit: str, w: int, steps: Steps, **rest: Any
) -> Panel:
    """A coloured lane for each series."""
    options = {
        "showValue": "never",
        "rowHeight": 0.8,
        "mergeValues": True,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel(
        "state-timeline",
        title,
        description,
        query,
        unit=unit,
        w=w,
        steps=steps,
        options=options,
        custom={"lineWidth": 0, "fillOpacity": 80},
        colour="thresholds",
        **rest,
    )
