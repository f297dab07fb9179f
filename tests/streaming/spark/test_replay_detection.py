"""The bookkeeping that tells a replay from new lines, file by file."""

import pytest
from pyspark.sql import SparkSession

from streaming.contracts.settings import Settings
from streaming.spark import schemas
from streaming.spark.parsing import access_rows
from streaming.spark.replay_detection import Positions, Run, summary

FILE = ("web1", "/logs/access.log")


def run(start: int, end: int, *, size: int | None = None, last_end: int | None = None) -> Run:
    return Run(
        FILE,
        start=start,
        end=end,
        last_end=end if last_end is None else last_end,
        size=end - start if size is None else size,
    )


def suspicion(positions: Positions, *batches: Run, replayed: bool = False) -> list[bool]:
    """Feed batches one by one; tell for each whether it was suspect."""
    verdicts = []
    for batch in batches:
        verdicts.append(bool(positions.suspects([batch])))
        positions.advance([batch], {FILE} if replayed else set())
    return verdicts


def test_a_file_that_grows_is_never_suspect() -> None:
    positions = Positions(lambda _files: {})
    assert suspicion(positions, run(0, 100), run(100, 250), run(250, 251)) == [False] * 3


def test_the_lake_is_asked_once_for_each_file() -> None:
    asked = []
    positions = Positions(lambda files: asked.extend(files) or dict.fromkeys(files, 500))
    assert suspicion(positions, run(400, 600), run(600, 700)) == [True, False]
    assert asked == [FILE]


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(run(50, 200), id="starts below what was seen"),
        pytest.param(run(100, 200, size=150), id="holds more bytes than it spans"),
        pytest.param(run(100, 300, size=150), id="has a hole"),
        pytest.param(run(100, 200, last_end=150), id="ends before its highest line"),
    ],
)
def test_suspects(batch: Run) -> None:
    positions = Positions(lambda _files: {})
    positions.advance([run(0, 100)], set())
    assert positions.suspects([batch]) == [batch]


def test_a_replay_moves_nothing_back() -> None:
    positions = Positions(lambda _files: {})
    positions.advance([run(0, 1000)], set())
    positions.advance([run(200, 400)], {FILE})
    assert positions.suspects([run(400, 900)])
    assert not positions.suspects([run(1000, 1100)])


def test_after_a_rotation_lines_are_suspect_until_they_pass_the_old_end() -> None:
    positions = Positions(lambda _files: {})
    positions.advance([run(0, 1000)], set())
    rotated = [run(0, 300), run(300, 900), run(900, 1100), run(1100, 1200)]
    assert suspicion(positions, *rotated) == [True, True, True, False]


def test_the_tail_of_the_old_file_is_recognised_when_it_comes_again_after_a_rotation() -> None:
    positions = Positions(lambda _files: {})
    positions.advance([run(0, 1000)], set())
    positions.advance([run(0, 100)], set())
    assert positions.suspects([run(900, 1000)])


def test_a_second_rotation_forgets_the_first_file() -> None:
    positions = Positions(lambda _files: {})
    positions.advance([run(0, 1000)], set())
    positions.advance([run(0, 100)], set())
    positions.advance([run(0, 50)], set())
    assert not positions.suspects([run(100, 200)])


def test_runs_summarises_a_batch_by_file(spark: SparkSession) -> None:
    def record(line: bytes, offset: int | None, kafka_offset: int) -> tuple[object, ...]:
        return (line, "web-logs", 0, kafka_offset, None, *FILE, offset)

    records = [record(b"abc", 0, 7), record(b"\xc3\xa9", 4, 8), record(b"no offset", None, 9)]
    frame = access_rows(spark.createDataFrame(records, schemas.RECORD), Settings())
    assert summary(frame).runs == [Run(FILE, start=0, end=7, last_end=7, size=7)]
    assert not summary(frame).runs[0].repeats
    assert (summary(frame).lines, summary(frame).rejected) == (3, 3)
