"""The Kafka broker of the native stack and the topics, which are declared here."""

import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from stack.processes import run
from stack.render import render, write
from stack.setup import java
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT, Settings

RECORD_BYTES: Final = 6 * 1024 * 1024
"""Largest record: far above the longest line that Flume sends on, so that none blocks its sink."""
# Compiled once, quickly: a broker mostly moves bytes, and its start costs half.
_JVM: Final = (
    "-Djava.awt.headless=true",
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
)


@dataclass(frozen=True)
class Topic:
    """A topic as it should be; `configs` are topic settings of Kafka."""

    name: str
    partitions: int
    configs: dict[str, str]


_CONFIGS: Final = {
    # The lake holds the history; a topic only bridges an outage of the streams.
    "retention.ms": str(3 * 86_400_000),
    "retention.bytes": str(4 * 1024**3),
    "segment.bytes": str(128 * 1024**2),
    "max.message.bytes": str(RECORD_BYTES),
    # Live metrics leave old records out; by the clock of the collector, if it were wrong, all.
    "message.timestamp.type": "LogAppendTime",
}
# Fixed, not one per server: another partition count sends a server's lines elsewhere and out of
# order. The key is the server, so that its lines stay in one partition, in order.
TOPICS: Final = (
    Topic(names.TOPIC_ACCESS, 3, _CONFIGS),
    Topic(names.TOPIC_ERRORS, 3, _CONFIGS),
)


def broker_command(settings: Settings) -> tuple[str, ...]:
    """Command of the broker, which is its own controller."""
    return (*_java(settings), "kafka.Kafka", str(_properties(settings)))


def prepare_broker(settings: Settings) -> None:
    """Write the broker's configuration and format its storage at the first start.

    Raises `StackError` when the storage cannot be formatted.
    """
    home = settings.home / "kafka"
    text = render(
        "stack/server.properties.j2",
        home=home,
        port=settings.kafka_port,
        controller_port=settings.kafka_controller_port,
        record_bytes=RECORD_BYTES,
    )
    path = write(_properties(settings), text)
    if not (home / "data" / "meta.properties").exists():
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # A leading dash would be taken for an option.
        arguments = ["format", f"--cluster-id={cluster}", "-c", str(path), "--ignore-formatted"]
        run([*_java(settings), "kafka.tools.StorageTool", *arguments], "formatting Kafka's storage")


def ensure_topics(settings: Settings, timeout_seconds: float = 30) -> list[str]:
    """Create the topics that are missing; return one sentence per difference of the others.

    Raises `StackError` when Kafka cannot be reached in time.
    """
    with _admin(settings, timeout_seconds) as admin:
        missing = [topic for topic in TOPICS if topic.name not in admin.list_topics()]
        if missing:
            _create(admin, missing)
        return [sentence for topic in TOPICS for sentence in _drift(admin, topic)]


def _create(admin: KafkaAdminClient, topics: list[Topic]) -> None:
    declared = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": -1,
            "configs": topic.configs,
        }
        for topic in topics
    }
    with suppress(TopicAlreadyExistsError):
        admin.create_topics(declared)
    admin.wait_for_topics(list(declared))


def _drift(admin: KafkaAdminClient, topic: Topic) -> list[str]:
    (description,) = admin.describe_topics([topic.name])
    partitions = len(description["partitions"])
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name)
    found = admin.describe_configs([resource], config_filter="all")["topic"][topic.name]
    differences = [
        f"topic {topic.name}: {key} is {found[key]['value']}, declared is {value}"
        for key, value in topic.configs.items()
        if found[key]["value"] != value
    ]
    if partitions != topic.partitions:
        differences.append(
            f"topic {topic.name}: it has {partitions} partitions, declared are {topic.partitions}"
        )
    return differences


def _admin(settings: Settings, timeout_seconds: float) -> KafkaAdminClient:
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return KafkaAdminClient(bootstrap_servers=settings.kafka, client_id="loglake")
        except (KafkaError, OSError) as error:
            if time.monotonic() > deadline:
                raise StackError(
                    f"Kafka at {settings.kafka} does not answer ({type(error).__name__}); "
                    "look at `loglake logs kafka` or set LOGLAKE_KAFKA_BOOTSTRAP_SERVERS"
                ) from error
            time.sleep(0.3)


def _java(settings: Settings) -> tuple[str, ...]:
    log4j = f"-Dlog4j2.configurationFile={CHECKOUT / 'stack' / 'log4j2.xml'}"
    return (java(), *_JVM, log4j, "-cp", f"{settings.jars('kafka')}/*")


def _properties(settings: Settings) -> Path:
    return settings.home / "kafka" / "server.properties"
