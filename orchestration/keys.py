"""Asset keys: where a thing lives, then its name."""

import dagster as dg

from streaming.contracts import names


def stream(name: str) -> dg.AssetKey:
    """Key of a stream application."""
    return dg.AssetKey(["streams", name])


def topic(name: str) -> dg.AssetKey:
    """Key of a Kafka topic."""
    return dg.AssetKey(["kafka", name])


def table(name: str) -> dg.AssetKey:
    """Key of a Delta table."""
    return dg.AssetKey(["lake", name])


def measurement(name: str) -> dg.AssetKey:
    """Key of an InfluxDB measurement."""
    return dg.AssetKey(["influxdb", name])


def job(name: str) -> dg.AssetKey:
    """Key of a batch job whose result is no table of its own."""
    return dg.AssetKey(["jobs", name])


def dashboard(name: str) -> dg.AssetKey:
    """Key of a Grafana dashboard."""
    return dg.AssetKey(["grafana", name])


TOPICS = {
    names.STREAM_ACCESS: topic(names.TOPIC_ACCESS),
    names.STREAM_ERRORS: topic(names.TOPIC_ERRORS),
}
"""What each stream reads."""

OUTPUTS: dict[str, dict[str, tuple[dg.AssetKey, ...]]] = {
    names.STREAM_ACCESS: {
        "lake": (table(names.ACCESS_LOGS), table(names.REJECTED_LINES)),
        "metrics": (measurement(names.HTTP_TRAFFIC),),
        "application": (measurement(names.PIPELINE),),
        "detection": (
            table(names.TRAFFIC_PROFILES),
            table(names.INCIDENTS),
            measurement(names.HTTP_TOP_URLS),
            measurement(names.ANOMALIES),
        ),
    },
    names.STREAM_ERRORS: {
        "lake": (table(names.ERROR_LOGS), table(names.REJECTED_LINES)),
        "metrics": (measurement(names.ERROR_EVENTS),),
        "application": (measurement(names.PIPELINE),),
        "detection": (table(names.INCIDENTS), measurement(names.ANOMALIES)),
    },
}
"""What each query of each stream writes, and what the application itself does."""


def writers(key: dg.AssetKey) -> list[dg.AssetKey]:
    """Streams that write an asset."""
    return [
        stream(name)
        for name, queries in OUTPUTS.items()
        if any(key in written for written in queries.values())
    ]
