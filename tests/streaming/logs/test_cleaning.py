"""What is kept of a text that a client sent."""

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from streaming.logs.records import clean

pytestmark = pytest.mark.unit

CASES = {
    "short": ("abc", "abc"),
    "as long as it may be": ("abcdefgh", "abcdefgh"),
    "plain and too long": ("abcdefghi", "abcdefgh"),
    "too long, in characters of two bytes": ("äöüäöüäöü", "äöüäöüäö"),
    "too long by what nobody sees": ("ab\x00c\u202edefgh", "abcdefgh"),
    "cut after it was cleaned": ("ab\x00cdefghi", "abcdefgh"),
    "a dash and more than may be": ("-abcdefgh", "-abcdefg"),
    "a dash": ("-", None),
    "empty": ("", None),
    "nothing that is seen": ("\x00\x1f", None),
    "missing": (None, None),
}


@pytest.fixture(scope="module")
def cleaned(spark: SparkSession) -> dict[str, Row]:
    texts = spark.createDataFrame(
        [(name, text) for name, (text, _) in CASES.items()], "name STRING, text STRING"
    )
    rows = texts.select("name", clean(F.col("text"), 8).alias("kept")).collect()
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("name", CASES)
def test_clean_keeps_so_many_visible_characters(cleaned: dict[str, Row], name: str) -> None:
    assert cleaned[name]["kept"] == CASES[name][1]
