"""Baselines are read from a lake without Spark, as Delta's own files have them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from batch.files.stored_baselines import stored_limits
from streaming.contracts import frames, names
from streaming.detection.limits import ANY_HOUR, CLIENT_LOAD, READY, REQUEST_RATE, Rules

pytestmark = pytest.mark.unit

SCHEMA = frames.TABLES[names.BASELINES]
SECOND = 1_767_600_000
"""A Monday, 08:00 UTC."""


def row(version: int, upper: float, metric: str = CLIENT_LOAD, hour: int = ANY_HOUR) -> dict:
    values: dict[str, Any] = {
        "version": version,
        "computed_at": datetime.fromtimestamp(SECOND, UTC),
        "server_address": "web1",
        "metric": metric,
        "key": "",
        "hour_of_week": hour,
        "expected": 3.0,
        "variance": 3.0,
        "lower": None,
        "upper": upper,
        "n": 1000,
        "state": READY,
        "excluded_share": 0.0,
    }
    return {name: values[name] for name in SCHEMA}


def write(path: Path, *rows: dict) -> None:
    write_deltalake(str(path), pl.DataFrame(rows, dict(SCHEMA)).to_arrow(), mode="append")


def test_the_newest_version_of_the_table_or_of_the_lake_is_read(tmp_path: Path) -> None:
    table = tmp_path / "lake" / names.BASELINES
    table.parent.mkdir()
    write(table, row(1, 20.0), row(1, 99.0, REQUEST_RATE, 8))
    write(table, row(10, 40.0))
    write(table, row(9, 30.0))
    for path in (table, table.parent):
        limits = stored_limits(str(path), Rules())
        assert limits.version == 10
        found = limits.get("web1", CLIENT_LOAD, SECOND)
        assert found is not None
        assert (found.upper, found.lower, found.learned) == (40.0, None, True)
        assert limits.get("web1", REQUEST_RATE, SECOND) is None


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", 8), ("Europe/Berlin", 9), ("America/New_York", 3)]
)
def test_the_hour_of_the_week_is_that_of_the_rules(tmp_path: Path, zone: str, hour: int) -> None:
    write(tmp_path / "table", row(1, 99.0, REQUEST_RATE, hour))
    limits = stored_limits(str(tmp_path / "table"), Rules(time_zone=zone))
    assert limits.get("web1", REQUEST_RATE, SECOND) is not None
    assert limits.get("web1", REQUEST_RATE, SECOND + 3600) is None


def test_rows_that_were_deleted_or_rewritten_are_not_read(tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    write(tmp_path / "table", row(1, 20.0), row(2, 40.0))
    table = DeltaTable(path)
    table.delete("version = 2")
    table.optimize.compact()
    assert stored_limits(path, Rules()).version == 1


def other_table(path: Path) -> None:
    write_deltalake(str(path), pl.DataFrame({"a": [1]}).to_arrow())


def empty_table(path: Path) -> None:
    write_deltalake(str(path), pl.DataFrame([], dict(SCHEMA)).to_arrow())


def directory(path: Path) -> None:
    path.mkdir()


def file(path: Path) -> None:
    path.write_text("no table", encoding="utf-8")


def lost_file(path: Path) -> None:
    write(path, row(1, 20.0))
    next(path.glob("*.parquet")).unlink()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no baselines at"),
        (directory, "no baselines at"),
        (file, "no baselines at"),
        (other_table, "no baselines at"),
        (lost_file, "no baselines at"),
        (empty_table, "are empty; run `loglake baselines`"),
    ],
    ids=["nothing", "directory", "file", "other table", "lost file", "empty table"],
)
def test_what_is_no_table_of_baselines_is_one_sentence(
    tmp_path: Path, make: Any, said: str
) -> None:
    path = tmp_path / "some"
    make(path)
    with pytest.raises(FileNotFoundError) as caught:
        stored_limits(str(path), Rules())
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
