"""Where lines come from: nginx, Flume, Kafka. Shown for the lineage; Dagster does not run them."""

import dagster as dg

from orchestration import keys
from streaming.contracts import names, tables

TEAM = ["team:platform"]

NGINX = {
    "access_log": "JSON lines that the nginx servers write, one per request.",
    "error_log": "Text lines that the nginx servers write when something goes wrong.",
}
TOPICS = {
    names.TOPIC_ACCESS: "Access-log lines as nginx wrote them; headers tell server, file, offset.",
    names.TOPIC_ERRORS: "Error-log lines as nginx wrote them; headers tell server, file, offset.",
}
RECORD = dg.TableSchema(
    columns=[
        dg.TableColumn("key", "bytes", "Name of the nginx server."),
        dg.TableColumn("value", "bytes", tables.RECORD["value"].meaning),
        dg.TableColumn("headers.server", "bytes", tables.RECORD["server_address"].meaning),
        dg.TableColumn("headers.file", "bytes", tables.RECORD["log_file"].meaning),
        dg.TableColumn("headers.byteoffset", "bytes", tables.RECORD["byte_offset"].meaning),
    ]
)
AGENTS = dg.AssetKey(["flume", "agents"])
COLLECTOR = dg.AssetKey(["flume", "collector"])


@dg.definitions
def defs() -> dg.Definitions:
    """The path of a line up to Kafka."""
    logs = [
        dg.AssetSpec(
            dg.AssetKey(["nginx", name]),
            group_name="sources",
            kinds={"nginx"},
            owners=TEAM,
            tags={"loglake/external": "true"},
            description=text,
        )
        for name, text in NGINX.items()
    ]
    agents = dg.AssetSpec(
        AGENTS,
        deps=logs,
        group_name="sources",
        kinds={"flume"},
        owners=TEAM,
        tags={"loglake/external": "true"},
        description="One Flume agent per server follows its logs (TAILDIR) through a file channel.",
    )
    collector = dg.AssetSpec(
        COLLECTOR,
        deps=[agents],
        group_name="sources",
        kinds={"flume"},
        owners=TEAM,
        tags={"loglake/external": "true"},
        description="The Flume collector takes the lines of all agents and hands them to Kafka.",
    )
    topics = [
        dg.AssetSpec(
            keys.topic(name),
            deps=[collector],
            group_name="sources",
            kinds={"kafka"},
            owners=TEAM,
            tags={"loglake/external": "true"},
            description=text,
            metadata={"dagster/column_schema": RECORD},
        )
        for name, text in TOPICS.items()
    ]
    return dg.Definitions(assets=[*logs, agents, collector, *topics])
