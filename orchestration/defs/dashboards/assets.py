"""The Grafana dashboards, with links; what each reads is taken from its queries."""

import json
import re
from pathlib import Path

import dagster as dg

from orchestration import keys
from orchestration.resources import Loglake
from streaming.contracts.settings import CHECKOUT

DASHBOARDS = CHECKOUT / "grafana" / "dashboards"
MEASUREMENT = re.compile(r"""_measurement == \\?"(\w+)""")


def dashboard(path: Path, grafana: str) -> dg.AssetSpec:
    """One dashboard as an asset."""
    text = path.read_text(encoding="utf-8")
    model = json.loads(text)
    return dg.AssetSpec(
        keys.dashboard(model["uid"].removeprefix("loglake-").replace("-", "_")),
        deps=[keys.measurement(name) for name in sorted(set(MEASUREMENT.findall(text)))],
        group_name="dashboards",
        kinds={"grafana"},
        owners=["team:platform"],
        tags={"loglake/external": "true"},
        description=model["description"],
        metadata={
            "title": model["title"],
            "dashboard": dg.MetadataValue.url(f"{grafana}/d/{model['uid']}"),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """One asset per file of `grafana/dashboards`."""
    grafana = f"http://127.0.0.1:{Loglake().settings.grafana_port}"
    return dg.Definitions(
        assets=[dashboard(path, grafana) for path in sorted(DASHBOARDS.glob("*.json"))]
    )
