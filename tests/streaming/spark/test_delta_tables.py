"""Tables are made once, whatever was left behind."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.spark import delta_tables, schemas


@pytest.mark.parametrize("name", [names.ACCESS_LOGS, names.RECONCILIATIONS])
@pytest.mark.parametrize(
    "left", ["", "_delta_log", "_delta_log/_staged_commits"], ids=["nothing", "log", "staged"]
)
def test_a_table_is_made_after_a_kill_amid_its_creation(
    spark: SparkSession, settings: Settings, name: str, left: str
) -> None:
    (Path(settings.table(name)) / left).mkdir(parents=True)
    delta_tables.ensure_table(spark, settings, name)
    delta_tables.ensure_table(spark, settings, name)
    assert delta_tables.read_table(spark, settings, name).schema == schemas.TABLES[name]
    (detail,) = spark.sql(f"DESCRIBE DETAIL delta.`{settings.table(name)}`").collect()
    assert detail["properties"].items() >= delta_tables.PROPERTIES.items()
    dated = delta_tables.PARTITION in schemas.TABLES[name].names
    assert detail["partitionColumns"] == ([delta_tables.PARTITION] if dated else [])
    assert delta_tables.latest_version(spark, settings, name) == 0
