"""A Spark program really finds its classes in the archive that set-up made."""

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from streaming.contracts.settings import CLASS_ARCHIVE


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("org.apache.spark.sql.delta.DeltaLog", id="a connector's class"),
        pytest.param("org.apache.spark.sql.execution.SparkPlan", id="a class of Spark itself"),
    ],
)
def test_classes_come_from_the_archive(spark: SparkSession, name: str) -> None:
    jvm = spark._jvm
    assert jvm is not None
    pid = jvm.java.lang.ProcessHandle.current().pid()
    mapped = _mapped(Path(f"/proc/{pid}/maps"), CLASS_ARCHIVE)
    assert mapped, f"the JVM does not use {CLASS_ARCHIVE}; run `loglake setup`"
    assert name.replace(".", "/").encode() in CLASS_ARCHIVE.read_bytes()
    loader = jvm.java.lang.Class.forName(name).getClassLoader()
    assert loader.equals(jvm.java.lang.ClassLoader.getSystemClassLoader())


def _mapped(maps: Path, file: Path) -> bool:
    return re.search(rf"\s{re.escape(str(file.resolve()))}$", maps.read_text(), re.M) is not None
