"""The InfluxDB measurements: written by the streams within seconds, and `baseline` by its job."""

import dagster as dg

from orchestration import keys
from streaming.contracts import names
from streaming.contracts.measurements import MEASUREMENTS, Measurement

TEXTS = {
    names.HTTP_TRAFFIC: "Requests, latency, status classes and bytes per server and 10 seconds.",
    names.HTTP_TOP_URLS: "The busiest routes per server and 10 seconds.",
    names.ERROR_EVENTS: "Error messages per server, severity and category, every 10 seconds.",
    names.BASELINE: "The usual value and its band per server and metric, drawn by dashboards.",
    names.PIPELINE: "What the streams say of themselves: lag, batch time, delay, disk.",
    names.ANOMALIES: "What the detector thinks of the running windows, with scores.",
}
TYPES = {int: "integer", float: "float", str: "string"}


def schema(measurement: Measurement) -> dg.TableSchema:
    """Tags and fields as columns."""
    tags = [dg.TableColumn(name, "tag") for name in measurement.tags]
    fields = [
        dg.TableColumn(name, TYPES[field.kind], description=f"{field.meaning} [{field.unit}]")
        for name, field in measurement.fields.items()
    ]
    return dg.TableSchema(columns=[*tags, *fields])


@dg.definitions
def defs() -> dg.Definitions:
    """One asset per measurement."""
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                keys.measurement(name),
                deps=keys.writers(keys.measurement(name)) or [keys.table(names.BASELINES)],
                group_name="metrics",
                kinds={"influxdb"},
                owners=["team:platform"],
                tags={"loglake/external": "true"},
                description=text,
                metadata={"dagster/column_schema": schema(MEASUREMENTS[name])},
            )
            for name, text in TEXTS.items()
        ]
    )
