"""Spark schemas of `contracts.tables`: Kafka records as parsers take them, and Delta tables."""

from collections.abc import Mapping
from typing import Final

from pyspark.sql import types as T

from streaming.contracts import names, tables
from streaming.contracts.tables import Columns, Kind

_TYPES: Final[Mapping[str, T.DataType]] = {
    "bigint": T.LongType(),
    "binary": T.BinaryType(),
    "date": T.DateType(),
    "double": T.DoubleType(),
    "int": T.IntegerType(),
    "string": T.StringType(),
    "timestamp": T.TimestampType(),
}


def spark_schema(columns: Columns) -> T.StructType:
    """Return the Spark schema of a table of `contracts.tables`."""
    return _struct({name: column.kind for name, column in columns.items()})


def _struct(fields: Mapping[str, Kind]) -> T.StructType:
    return T.StructType([T.StructField(name, _type(kind)) for name, kind in fields.items()])


def _type(kind: Kind) -> T.DataType:
    if isinstance(kind, list):
        return T.ArrayType(_type(kind[0]))
    return _struct(kind) if isinstance(kind, Mapping) else _TYPES[kind]


RECORD: Final = spark_schema(tables.RECORD)
TABLES: Final = {name: spark_schema(columns) for name, columns in tables.TABLES.items()}

ACCESS_LOGS: Final = TABLES[names.ACCESS_LOGS]
ERROR_LOGS: Final = TABLES[names.ERROR_LOGS]
REJECTED_LINES: Final = TABLES[names.REJECTED_LINES]
TRAFFIC_PROFILES: Final = TABLES[names.TRAFFIC_PROFILES]
ERROR_PROFILES: Final = TABLES[names.ERROR_PROFILES]
BASELINES: Final = TABLES[names.BASELINES]
INCIDENTS: Final = TABLES[names.INCIDENTS]
RECONCILIATIONS: Final = TABLES[names.RECONCILIATIONS]
