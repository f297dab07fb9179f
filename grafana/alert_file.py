"""The alert rules as Grafana's provisioning file."""

from collections.abc import Iterable
from typing import Any

from grafana.alerts import GROUPS, Rule
from grafana.board import RUNBOOKS_URL, Board
from grafana.panels import DATASOURCE


def rules_file(boards: Iterable[Board]) -> dict[str, Any]:
    """Build the provisioning file of all groups, each evaluated every 10 s.

    Raises `KeyError` for a rule about a panel that no board has.
    """
    panels = {
        (board["uid"], panel["title"]): panel["id"] for board in boards for panel in board["panels"]
    }
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": name,
                "folder": "Loglake",
                "interval": "10s",
                "rules": [_rule(rule, panels[rule.board, rule.panel]) for rule in rules],
            }
            for name, rules in GROUPS.items()
        ],
    }


def _rule(rule: Rule, panel: int) -> dict[str, Any]:
    numbers = [
        node
        for name, query in rule.numbers.items()
        for node in (_query(f"{name}_series", query, rule.seconds), _last(name, f"{name}_series"))
    ]
    return {
        "uid": f"loglake-{rule.uid}",
        "title": rule.title,
        "condition": "C",
        "data": [
            _query("A", rule.query, rule.seconds),
            _last("B", "A"),
            _threshold(rule),
            *numbers,
        ],
        "dashboardUid": rule.board,
        "panelId": panel,
        "noDataState": rule.no_data,
        # Not Alerting: a flood alert must not fire because InfluxDB restarts.
        "execErrState": "Error",
        "for": rule.hold,
        "labels": {"severity": rule.severity, **rule.labels},
        "annotations": {
            "summary": rule.summary,
            "runbook_url": f"{RUNBOOKS_URL}#{rule.uid}",
            # Grafana does not start on a rule with the one and without the other.
            "__dashboardUid__": rule.board,
            "__panelId__": str(panel),
        },
    }


def _query(ref: str, query: str, seconds: int) -> dict[str, Any]:
    return {
        "refId": ref,
        "relativeTimeRange": {"from": seconds, "to": 0},
        "datasourceUid": DATASOURCE["uid"],
        "model": {
            "refId": ref,
            "datasource": dict(DATASOURCE),
            "query": query,
            "intervalMs": 10_000,
            "maxDataPoints": 1_000,
        },
    }


def _last(ref: str, source: str) -> dict[str, Any]:
    return _expression(ref, {"type": "reduce", "expression": source, "reducer": "last"})


def _threshold(rule: Rule) -> dict[str, Any]:
    condition = {
        "type": "query",
        "evaluator": {"type": "gt", "params": [rule.above]},
        "unloadEvaluator": {"type": "lt", "params": [rule.recovers_below]},
        "operator": {"type": "and"},
        "query": {"params": ["C"]},
        "reducer": {"type": "last", "params": []},
    }
    return _expression("C", {"type": "threshold", "expression": "B", "conditions": [condition]})


def _expression(ref: str, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": ref,
        "datasourceUid": "__expr__",
        "model": {"refId": ref, "datasource": {"type": "__expr__", "uid": "__expr__"}, **model},
    }
