"""Properties of single series and columns, and links."""

from collections.abc import Mapping, Sequence
from typing import Any

from grafana import theme

Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first has no value."""


def thresholds(steps: Steps) -> dict[str, Any]:
    """Build the thresholds of a panel or a column."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": hue} for value, hue in steps],
    }


def painted(colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """Build one override a name: its fixed colour."""
    return [
        styled(name, color={"mode": "fixed", "fixedColor": hue}) for name, hue in colours.items()
    ]


def styled(name: str, **properties: Any) -> dict[str, Any]:
    """Override properties of the series or column called `name`; `__` stands for a dot."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def status_styles() -> list[dict[str, Any]]:
    """Name and paint the fields `status_1xx` to `status_5xx`."""
    return [
        styled(f"status_{name}", displayName=name, color={"mode": "fixed", "fixedColor": hue})
        for name, hue in theme.STATUS.items()
    ]


def link(title: str, url: str, *, new_tab: bool = False) -> dict[str, Any]:
    """Link a value to a page."""
    return {"title": title, "url": url, "targetBlank": new_tab}
