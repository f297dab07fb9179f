"""A query goes on where it was, or after a long pause starts anew."""

import os
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from streaming.spark.checkpoints import forget_older


@pytest.mark.parametrize(
    ("ages", "stays"),
    [
        pytest.param([900, 30], True, id="a batch half a minute ago"),
        pytest.param([900, 700], False, id="the last batch eleven minutes ago"),
    ],
)
def test_only_a_checkpoint_of_long_ago_is_forgotten(
    spark: SparkSession, tmp_path: Path, ages: list[int], stays: bool
) -> None:
    checkpoint = tmp_path / "stream" / "metrics"
    (checkpoint / "commits").mkdir(parents=True)
    for batch, age in enumerate(ages):
        file = checkpoint / "commits" / str(batch)
        file.write_text("v1")
        os.utime(file, (time.time() - age,) * 2)
    forget_older(spark, str(checkpoint), 600)
    left = [path.name for path in checkpoint.parent.iterdir()]
    assert left == (["metrics"] if stays else [])


def test_a_query_that_never_committed_keeps_its_checkpoint(
    spark: SparkSession, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "metrics"
    forget_older(spark, str(checkpoint), 600)
    assert not checkpoint.exists()
    (checkpoint / "offsets").mkdir(parents=True)
    forget_older(spark, str(checkpoint), 600)
    assert (checkpoint / "offsets").exists()
