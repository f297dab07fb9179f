"""Kafka's topics and InfluxDB's buckets and tokens, on the real servers."""

import httpx
import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from stack import influx
from stack.kafka import TOPICS, ensure_topics
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings
from tests.fixtures.ports import free_ports
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack


def _line(stack: Stack, token: str, bucket: str) -> httpx.Response:
    return httpx.post(
        f"{stack.settings.influx}/api/v2/write",
        params={"org": stack.settings.influx_org, "bucket": bucket},
        headers={"Authorization": f"Token {stack.settings.secret(token)}"},
        content="probe,server=web1 value=1",
    )


def test_topics_are_as_declared(stack: Stack) -> None:
    assert ensure_topics(stack.settings) == []


def test_drift_is_one_sentence_per_difference(stack: Stack) -> None:
    topic = TOPICS[1]
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, {"retention.ms": "1234567"})
    with KafkaAdminClient(bootstrap_servers=stack.settings.kafka) as admin:
        admin.alter_configs([resource])
        try:
            assert ensure_topics(stack.settings) == [
                f"topic {topic.name}: retention.ms is 1234567, "
                f"declared is {topic.configs['retention.ms']}"
            ]
        finally:
            resource.configs["retention.ms"] = topic.configs["retention.ms"]
            admin.alter_configs([resource])


def test_misspelt_topic_is_not_created(stack: Stack) -> None:
    with KafkaAdminClient(bootstrap_servers=stack.settings.kafka) as admin:
        assert "web-log" not in {
            t["name"] for t in admin.describe_topics(["web-log"]) if not t["error_code"]
        }
        assert "web-log" not in admin.list_topics()


def test_unreachable_kafka_is_one_sentence(settings: Settings) -> None:
    nowhere = settings.with_changes(kafka_port=free_ports(1))
    with pytest.raises(StackError, match="LOGLAKE_KAFKA_BOOTSTRAP_SERVERS"):
        ensure_topics(nowhere, timeout_seconds=1)


def test_unreachable_influxdb_is_one_sentence(settings: Settings) -> None:
    nowhere = settings.with_changes(influx_port=free_ports(1))
    with pytest.raises(StackError, match="LOGLAKE_INFLUX_URL"):
        influx.set_up(nowhere)


def test_each_role_can_do_its_own_and_no_more(stack: Stack) -> None:
    for bucket in (names.BUCKET_METRICS, names.BUCKET_METRICS_1H):
        assert _line(stack, influx.WRITE_TOKEN, bucket).status_code == 204
        assert _line(stack, influx.READ_TOKEN, bucket).is_client_error
    query = f'from(bucket: "{names.BUCKET_METRICS}") |> range(start: -1m)'
    assert isinstance(stack.flux(query), list)
    answer = httpx.post(
        f"{stack.settings.influx}/api/v2/query",
        params={"org": stack.settings.influx_org},
        headers={"Authorization": f"Token {stack.settings.secret(influx.WRITE_TOKEN)}"},
        json={"query": query},
    )
    assert answer.is_client_error
    for token in (influx.WRITE_TOKEN, influx.READ_TOKEN):
        headers = {"Authorization": f"Token {stack.settings.secret(token)}"}
        listing = httpx.get(f"{stack.settings.influx}/api/v2/authorizations", headers=headers)
        assert stack.settings.secret(influx.ADMIN_TOKEN) not in listing.text


def test_set_up_again_changes_nothing(stack: Stack) -> None:
    secrets = stack.settings.home / "secrets"
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    influx.set_up(stack.settings)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


def test_secrets_are_private(stack: Stack) -> None:
    secrets = stack.settings.home / "secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in secrets.iterdir() if path.stat().st_mode & 0o077} == set()


def test_lost_token_file_is_replaced_by_a_working_one(stack: Stack) -> None:
    (stack.settings.home / "secrets" / influx.WRITE_TOKEN).unlink()
    influx.set_up(stack.settings)
    assert _line(stack, influx.WRITE_TOKEN, names.BUCKET_METRICS).status_code == 204


def test_retention(stack: Stack) -> None:
    answer = httpx.get(
        f"{stack.settings.influx}/api/v2/buckets",
        headers={"Authorization": f"Token {stack.settings.secret(influx.ADMIN_TOKEN)}"},
    )
    retention = {
        b["name"]: b["retentionRules"][0]["everySeconds"] for b in answer.json()["buckets"]
    }
    assert retention[names.BUCKET_METRICS] == 7 * 86_400
    assert retention[names.BUCKET_METRICS_1H] == 365 * 86_400
