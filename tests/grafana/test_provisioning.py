"""The YAML and INI files are what Grafana's provisioning takes, and agree with each other."""

import configparser
import json
import re
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from grafana.__main__ import HERE
from grafana.panels import DATASOURCE

DURATION = r"^(\d+(ms|s|m|h|d|w|y))+$"
"""Of Prometheus, which Grafana's reader uses (common/model/time.go)."""


class Strict(BaseModel):
    """A key that Grafana does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Range(Strict):
    since: int = Field(alias="from", gt=0)
    to: int


class Query(Strict):
    """QueryV1 of pkg/services/provisioning/alerting/rules_types.go, Grafana 12."""

    refId: str
    queryType: str = ""
    relativeTimeRange: Range | None = None
    datasourceUid: str
    model: dict[str, Any]


class Rule(Strict):
    """AlertRuleV1 of the same file."""

    uid: str = Field(max_length=40, pattern=r"^[\w-]+$")
    title: str = Field(min_length=1, max_length=190)
    condition: str
    data: list[Query]
    dashboardUid: str
    panelId: int
    noDataState: str = Field(pattern="^(Alerting|NoData|OK|KeepLast)$")
    execErrState: str = Field(pattern="^(Alerting|Error|OK|KeepLast)$")
    hold: str = Field(alias="for", pattern=DURATION)
    annotations: dict[str, str]
    labels: dict[str, str]


class Group(Strict):
    orgId: int
    name: str
    folder: str
    interval: str = Field(pattern=DURATION)
    rules: list[Rule]


class RulesFile(Strict):
    apiVersion: int
    groups: list[Group]


class Receiver(Strict):
    uid: str
    type: str = Field(pattern="^(webhook|email|slack)$")
    disableResolveMessage: bool
    settings: dict[str, Any]


class ContactPoint(Strict):
    orgId: int
    name: str
    receivers: list[Receiver]


class ContactPointsFile(Strict):
    apiVersion: int
    contactPoints: list[ContactPoint]


class Policy(Strict):
    orgId: int
    receiver: str
    group_by: list[str]
    group_wait: str = Field(pattern=DURATION)
    group_interval: str = Field(pattern=DURATION)
    repeat_interval: str = Field(pattern=DURATION)


class PoliciesFile(Strict):
    apiVersion: int
    policies: list[Policy]


def read(path: str) -> Any:
    return yaml.safe_load((HERE / "provisioning" / path).read_text(encoding="utf-8"))


GROUPS = RulesFile.model_validate(read("alerting/rules.yaml")).groups
RULES = [pytest.param(rule, id=rule.uid) for group in GROUPS for rule in group.rules]


def test_groups_are_evaluated_every_ten_seconds() -> None:
    assert [group.interval for group in GROUPS] == ["10s"] * len(GROUPS)
    uids = [rule.uid for group in GROUPS for rule in group.rules]
    titles = [rule.title for group in GROUPS for rule in group.rules]
    assert len(set(uids)) == len(uids)
    assert len(set(titles)) == len(titles)
    (provider,) = read("dashboards/loglake.yaml")["providers"]
    assert {group.folder for group in GROUPS} == {provider["folder"]}
    assert "folderUid" not in provider, "with a uid it would be another folder of that title"


@pytest.mark.parametrize("rule", RULES)
def test_chain_of_a_rule_is_whole(rule: Rule) -> None:
    nodes = {query.refId: query for query in rule.data}
    assert len(nodes) == len(rule.data)
    assert rule.condition == "C"
    assert nodes["B"].model["expression"] == "A"
    assert nodes["C"].model["expression"] == "B"
    for name, node in nodes.items():
        assert node.model["refId"] == name
        if node.datasourceUid == "__expr__":
            assert node.model["type"] in ("reduce", "threshold")
            assert node.model["expression"] in nodes
        else:
            assert node.datasourceUid == DATASOURCE["uid"]
            assert node.relativeTimeRange
            assert node.relativeTimeRange.to == 0
            assert "keep(columns:" in node.model["query"] or "map(fn: (r) => ({_time" in str(node)


@pytest.mark.parametrize("rule", RULES)
def test_recovery_threshold_is_below_the_threshold(rule: Rule) -> None:
    (condition,) = next(query for query in rule.data if query.refId == "C").model["conditions"]
    fires, recovers = condition["evaluator"], condition["unloadEvaluator"]
    assert (fires["type"], recovers["type"]) == ("gt", "lt")
    assert recovers["params"][0] < fires["params"][0]


@pytest.mark.parametrize("rule", RULES)
def test_alert_can_be_grouped_and_acted_on(rule: Rule) -> None:
    query = next(query for query in rule.data if query.refId == "A").model["query"]
    columns = {
        name
        for found in re.findall(r"keep\(columns: \[(.*?)\]", query)
        for name in re.findall(r"\w+", found)
    }
    columns |= set(re.findall(r"(\w+): r\.\w+, _value", query))
    labels = {*rule.labels, *columns}
    assert {"severity", "kind", "server"} <= labels
    assert not set(rule.labels) & columns, "a label of the rule would hide one of the query"
    (policy,) = PoliciesFile.model_validate(read("alerting/policies.yaml")).policies
    assert set(policy.group_by) <= labels
    summary = rule.annotations["summary"]
    # Annotations are not expanded: `$$` would be shown, and `$labels` is Grafana's own.
    assert "$$" not in summary
    assert set(re.findall(r"\$values\.(\w+)", summary)) <= {q.refId for q in rule.data}
    assert set(re.findall(r"\$labels\.(\w+)", summary)) <= labels
    board = HERE / "dashboards" / f"{rule.annotations['__dashboardUid__']}.json"
    assert rule.dashboardUid == board.stem
    assert rule.annotations["__panelId__"] == str(rule.panelId)
    panels = {panel["id"] for panel in json.loads(board.read_text(encoding="utf-8"))["panels"]}
    assert rule.panelId in panels


def test_policy_leads_to_the_contact_point() -> None:
    (policy,) = PoliciesFile.model_validate(read("alerting/policies.yaml")).policies
    (point,) = ContactPointsFile.model_validate(read("alerting/contact-points.yaml")).contactPoints
    assert policy.receiver == point.name
    assert policy.group_by == ["server", "kind"]


@pytest.mark.parametrize("path", sorted((HERE / "contact-points").iterdir()), ids=lambda p: p.stem)
def test_more_receivers_fit_behind_the_first(path: Any) -> None:
    first = (HERE / "provisioning" / "alerting" / "contact-points.yaml").read_text("utf-8")
    joined = yaml.safe_load(first + path.read_text(encoding="utf-8"))
    (point,) = ContactPointsFile.model_validate(joined).contactPoints
    assert [receiver.type for receiver in point.receivers] == ["webhook", path.stem]
    assert len({receiver.uid for receiver in point.receivers}) == 2


def test_data_source_is_flux_with_the_token_from_the_environment() -> None:
    (source,) = read("datasources/loglake.yaml")["datasources"]
    assert (source["uid"], source["type"]) == (DATASOURCE["uid"], DATASOURCE["type"])
    assert source["jsonData"]["version"] == "Flux"
    assert source["secureJsonData"] == {"token": "$LOGLAKE_INFLUX_READ_TOKEN"}
    assert not source["editable"]


def test_start_script_sets_every_variable_that_the_files_name() -> None:
    script = (HERE / "start.sh").read_text(encoding="utf-8")
    given = set(re.findall(r"LOGLAKE_[A-Z_]+", script))
    files = [*(HERE / "provisioning").rglob("*.yaml"), *(HERE / "contact-points").iterdir()]
    for path in [*files, HERE / "grafana.ini"]:
        text = path.read_text(encoding="utf-8")
        used = re.findall(r"\$(LOGLAKE_[A-Z_]+)|\$__env\{(\w+)\}", text)
        known = {*given, "LOGLAKE_INFLUX_URL", "LOGLAKE_INFLUX_ORG", "LOGLAKE_GRAFANA_PORT"}
        assert {a or b for a, b in used} <= known, path


def test_grafana_is_hardened() -> None:
    # A value may hold a dollar sign; a duplicate key is an error.
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string("[DEFAULT]\n" + (HERE / "grafana.ini").read_text(encoding="utf-8"))
    off = [
        ("auth.anonymous", "enabled"),
        ("users", "allow_sign_up"),
        ("analytics", "reporting_enabled"),
        ("analytics", "check_for_updates"),
        ("analytics", "check_for_plugin_updates"),
        ("panels", "disable_sanitize_html"),
        ("snapshots", "external_enabled"),
        ("public_dashboards", "enabled"),
        ("news", "news_feed_enabled"),
    ]
    assert [ini.getboolean(section, key) for section, key in off] == [False] * len(off)
    assert "password" not in ini["security"]
