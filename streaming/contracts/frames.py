"""Polars schemas of `contracts.tables`."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from streaming.contracts import names, tables
from streaming.contracts.tables import Columns, Kind

_TYPES: Final[Mapping[str, pl.DataType]] = {
    "bigint": pl.Int64(),
    "binary": pl.Binary(),
    "date": pl.Date(),
    "double": pl.Float64(),
    "int": pl.Int32(),
    "string": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
}

Schema = Mapping[str, pl.DataType]
"""Column names and their Polars types, in order."""


def schema(columns: Columns) -> Schema:
    """Return the Polars schema of a table of `contracts.tables`."""
    return {name: _type(column.kind) for name, column in columns.items()}


def _type(kind: Kind) -> pl.DataType:
    if isinstance(kind, list):
        return pl.List(_type(kind[0]))
    if isinstance(kind, Mapping):
        return pl.Struct({name: _type(part) for name, part in kind.items()})
    return _TYPES[kind]


RECORD: Final = schema(tables.RECORD)
TABLES: Final[Mapping[str, Schema]] = {
    name: schema(columns) for name, columns in tables.TABLES.items()
}

ACCESS_LOGS: Final = TABLES[names.ACCESS_LOGS]
ERROR_LOGS: Final = TABLES[names.ERROR_LOGS]
REJECTED_LINES: Final = TABLES[names.REJECTED_LINES]
TRAFFIC_PROFILES: Final = TABLES[names.TRAFFIC_PROFILES]
ERROR_PROFILES: Final = TABLES[names.ERROR_PROFILES]
