"""Fixtures that every test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from streaming.contracts.settings import Settings
from streaming.spark.session import spark_session

# Spark programs of tests live for seconds: the JVM's second compiler, for code that is hot for
# minutes, would take a quarter of their CPU.
os.environ.setdefault("LOGLAKE_SPARK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

pytest_plugins = ["tests.fixtures.stack", "tests.fixtures.web"]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local Spark session with Delta for all tests of a run."""
    home = tmp_path_factory.mktemp("spark")
    session = spark_session(Settings(home=home, spark_master="local[2]"), "loglake-tests")
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home of their own."""
    return Settings(home=tmp_path)
