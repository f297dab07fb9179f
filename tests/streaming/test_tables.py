"""Tables are made once, whatever was left behind."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from streaming import names, schemas, tables
from streaming.settings import Settings

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", [names.ACCESS_LOGS, names.RECONCILIATIONS])
@pytest.mark.parametrize(
    "left", ["", "_delta_log", "_delta_log/_staged_commits"], ids=["nothing", "log", "staged"]
)
def test_a_table_is_made_after_a_kill_amid_its_creation(
    spark: SparkSession, settings: Settings, name: str, left: str
) -> None:
    (Path(settings.table(name)) / left).mkdir(parents=True)
    tables.ensure_table(spark, settings, name)
    tables.ensure_table(spark, settings, name)
    assert tables.read_table(spark, settings, name).schema == schemas.TABLES[name]
    (detail,) = spark.sql(f"DESCRIBE DETAIL delta.`{settings.table(name)}`").collect()
    assert detail["properties"].items() >= tables.PROPERTIES.items()
    dated = tables.PARTITION in schemas.TABLES[name].names
    assert detail["partitionColumns"] == ([tables.PARTITION] if dated else [])
    assert tables.latest_version(spark, settings, name) == 0
