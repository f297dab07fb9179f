"""The Delta tables that the streams append to; a sensor reports every commit of theirs."""

import dagster as dg

from orchestration import keys
from streaming.contracts import names, tables

TABLES = {
    names.ACCESS_LOGS: "Every request, exactly once: the truth that all figures come from.",
    names.ERROR_LOGS: "Every error message, exactly once, with its pattern and category.",
    names.REJECTED_LINES: "Lines that are no valid record, with the reason; nothing is dropped.",
    names.TRAFFIC_PROFILES: (
        "Final 10-second aggregates per server, with what baselines and the detector need."
    ),
    names.INCIDENTS: "What the detector found: observed, expected, threshold, evidence.",
}


def schema(table: str) -> dg.TableSchema:
    """Columns of a table, with their meaning."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, tables.sql_type(column.kind), description=column.meaning)
            for name, column in tables.TABLES[table].items()
        ]
    )


@dg.definitions
def defs() -> dg.Definitions:
    """One asset per table."""
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                keys.table(name),
                deps=keys.writers(keys.table(name)),
                group_name="lake",
                kinds={"deltalake"},
                owners=["team:platform"],
                tags={"loglake/external": "true"},
                description=text,
                metadata={"dagster/table_name": name, "dagster/column_schema": schema(name)},
            )
            for name, text in TABLES.items()
        ]
    )
