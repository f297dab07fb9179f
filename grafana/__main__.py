"""Write what Grafana reads: `python -m grafana`."""

import json
from pathlib import Path

import yaml

from grafana.alert_file import rules_file
from grafana.board import Board
from grafana.boards import (
    anomalies,
    error_events,
    http_performance,
    http_realtime,
    pipeline,
    top_urls,
)

HERE = Path(__file__).parent
BOARDS = (http_performance, http_realtime, error_events, anomalies, top_urls, pipeline)
NOTICE = "# Written by `python -m grafana` from grafana/alerts.py; change it there.\n"


class _Dumper(yaml.SafeDumper):
    """Repeats instead of aliasing, and keeps the lines of a query."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def rendered() -> dict[Path, str]:
    """Return the text of every generated file."""
    boards: list[Board] = [module.board() for module in BOARDS]
    files = {
        HERE / "dashboards" / f"{board['uid']}.json": json.dumps(board, indent=2) + "\n"
        for board in boards
    }
    rules = yaml.dump(rules_file(boards), Dumper=_Dumper, sort_keys=False, width=100)
    files[HERE / "provisioning" / "alerting" / "rules.yaml"] = NOTICE + rules
    return files


def main() -> None:
    """Write every generated file."""
    for path, text in rendered().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
