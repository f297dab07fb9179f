"""Fixtures that every test may ask for, and the lane that follows from what a test asks for."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from streaming.contracts.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark programs of tests live for seconds: the JVM's second compiler, for code that is hot for
# minutes, would take a quarter of their CPU.
os.environ.setdefault("LOGLAKE_SPARK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

pytest_plugins = ["tests.fixtures.stack", "tests.fixtures.web"]

LANES: Final = ("unit", "spark", "stack")
"""Markers in the order in which tests run: a wrong parser is red within a minute."""

_SERVICES: Final = {"stack", "influx", "scene", "world", "web"}
"""Fixtures that start services."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its lane, unless it names one because it starts programs itself."""
    for item in items:
        if _lane(item) is None:
            used = set(getattr(item, "fixturenames", ()))
            lane = "stack" if used & _SERVICES else "spark" if "spark" in used else "unit"
            item.add_marker(lane)
    items.sort(key=lambda item: LANES.index(_lane(item) or "unit"))


def _lane(item: pytest.Item) -> str | None:
    return next((lane for lane in reversed(LANES) if item.get_closest_marker(lane)), None)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """One local Spark session with Delta for all tests of a run."""
    # Spark takes seconds to import, and the unit tests do without it.
    from streaming.spark.session import spark_session

    home = tmp_path_factory.mktemp("spark")
    session = spark_session(Settings(home=home, spark_master="local[2]"), "loglake-tests")
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home of their own."""
    return Settings(home=tmp_path)
