"""Each alert query crosses its threshold during an attack, does not on clean traffic, recovers."""

from dataclasses import replace

import pytest

from grafana.alerts import GROUPS, Rule
from tests.grafana.asking import Moment, Series
from tests.grafana.conftest import Scene

pytestmark = pytest.mark.stack

RULES = [pytest.param(rule, id=rule.uid) for rules in GROUPS.values() for rule in rules]
WHERE = {
    "critical-incident": {"kind": "server_flood", "server": "web2"},
    "ddos": {"kind": "ip_spike", "server": "web2", "entity": "198.51.100.7"},
    "scan": {"kind": "path_scan", "server": "web2", "entity": "198.51.100.8"},
    "error-surge": {"server": "web2"},
    "latency": {"server": "web2"},
    "server-silent": {"server": "web3"},
    "stream-lag": {"stream": "stream_access", "query": "lake"},
    "stream-silent": {"stream": "stream_errors"},
    "rejected-rising": {"stream": "stream_access", "query": "lake"},
    "disk": {"stream": "stream_access", "query": "lake"},
}
"""Labels of one instance that must fire."""


def last_values(scene: Scene, rule: Rule, query: str, moment: Moment) -> list[tuple[Series, float]]:
    """What the reduce expression `last` makes of the answer; only a wide series gets that far."""
    answer = scene.store.ask(query, replace(moment, back=rule.seconds, period="10s"))
    for series in answer:
        assert series.columns.keys() == {"_time", "_value"}
        assert series.columns["_time"] == "dateTime:RFC3339"
        assert series.columns["_value"] in ("double", "long")
    return [(series, series.numbers()[-1]) for series in answer if series.numbers()]


@pytest.mark.parametrize("rule", RULES)
def test_attack_crosses_the_threshold(scene: Scene, rule: Rule) -> None:
    values = last_values(scene, rule, rule.query, scene.attacked)
    firing = [series.labels for series, value in values if value > rule.above]
    assert any(WHERE[rule.uid].items() <= labels.items() for labels in firing), values


@pytest.mark.parametrize("rule", RULES)
def test_clean_traffic_is_below_the_recovery_threshold(scene: Scene, rule: Rule) -> None:
    values = last_values(scene, rule, rule.query, scene.clean)
    assert all(value < rule.recovers_below for _, value in values)
    if rule.no_data == "Alerting" or rule.query.count("anomalies") == 0:
        assert values, "clean traffic must be seen to be clean"


@pytest.mark.parametrize("rule", RULES)
def test_summary_has_its_numbers(scene: Scene, rule: Rule) -> None:
    fired = {
        frozenset(series.labels.items())
        for series, value in last_values(scene, rule, rule.query, scene.attacked)
        if value > rule.above
    }
    for name, query in rule.numbers.items():
        assert f"$values.{name}.Value" in rule.summary
        known = {
            frozenset(series.labels.items())
            for series, _ in last_values(scene, rule, query, scene.attacked)
        }
        assert fired <= known, f"{name} is missing for an instance that fires"
