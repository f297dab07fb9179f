"""The Flume agents and the collector: their configuration and their commands."""

from pathlib import Path
from typing import Final

from stack.kafka import RECORD_BYTES
from stack.render import render, write
from stack.setup import flume_classes, java
from streaming.contracts import names
from streaming.contracts.settings import CHECKOUT, Settings

COLLECTOR: Final = "collector"
# Short-lived compilation and one collector thread: four JVMs share the machine with Spark.
_JVM: Final = (
    "-Djava.awt.headless=true",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xms32m",
)
_AGENT_HEAP: Final = "-Xmx160m"
_COLLECTOR_HEAP: Final = "-Xmx320m"


def agent_command(settings: Settings, server: str) -> tuple[str, ...]:
    """Command of the agent that tails one nginx server."""
    return (java(), *_JVM, _AGENT_HEAP, *_main(settings, server))


def collector_command(settings: Settings) -> tuple[str, ...]:
    """Command of the collector."""
    return (java(), *_JVM, _COLLECTOR_HEAP, *_main(settings, COLLECTOR))


def write_agent(settings: Settings, server: str) -> Path:
    """Render the configuration of an agent."""
    text = render(
        "flume/agents/agent.conf.j2",
        server=server,
        home=_home(settings, server),
        logs=settings.home / "nginx" / server,
        host=settings.flume_host,
        port=settings.flume_port,
        # One byte more than is taken: a cut line is still refused as oversized.
        line_bytes=names.MAX_LINE_BYTES + 1,
    )
    return write(_home(settings, server) / "flume.conf", text)


def write_collector(settings: Settings) -> Path:
    """Render the configuration of the collector."""
    text = render(
        "flume/collector/collector.conf.j2",
        home=_home(settings, COLLECTOR),
        bind=settings.bind_address,
        port=settings.flume_port,
        kafka=settings.kafka,
        topic_access=names.TOPIC_ACCESS,
        topic_errors=names.TOPIC_ERRORS,
        record_bytes=RECORD_BYTES,
    )
    return write(_home(settings, COLLECTOR) / "flume.conf", text)


def _home(settings: Settings, agent: str) -> Path:
    return settings.home / "flume" / agent


def _main(settings: Settings, agent: str) -> tuple[str, ...]:
    log4j = f"-Dlog4j2.configurationFile={CHECKOUT / 'flume' / 'log4j2.xml'}"
    classpath = ("-cp", f"{flume_classes(settings)}:{settings.jars('flume')}/*")
    conf = ("--conf-file", str(_home(settings, agent) / "flume.conf"), "--no-reload-conf")
    return (log4j, *classpath, "org.apache.flume.node.Application", "--name", "agent", *conf)
