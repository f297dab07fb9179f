"""`replay` into the real Kafka: every line once per call, with the same origin each time."""

import gzip
from pathlib import Path

import pytest

from stack.replay import replay
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.stack


def _origins(records: list) -> list[tuple[bytes, ...]]:
    return [
        (record.key, *(value for _, value in sorted(record.headers)), record.value)
        for record in records
    ]


def test_replay_twice_sends_the_same_origins(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "access.log.2.gz"
    lines = [b'{"n": %d}' % i for i in range(2000)] + [b"no access line"]
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    first = stack.ends(names.TOPIC_ACCESS)
    sent = replay(stack.settings, path, "old1")
    assert (sent.lines, sent.doubtful) == (2001, 1)
    second = stack.ends(names.TOPIC_ACCESS)
    replay(stack.settings, path, "old1")
    once, twice = (_origins(stack.consume(names.TOPIC_ACCESS, since)) for since in (first, second))
    assert once[:2001] == once[2001:] == twice
    assert [origin[-1] for origin in twice] == lines
    assert twice[1] == (b"old1", b"9", str(path).encode(), b"old1", b'{"n": 1}')


def test_damaged_file_says_how_many_lines_went(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "error.log.gz"
    lines = b"".join(b"2026/11/23 09:00:00 [error] 1#1: line %d\n" % i for i in range(20_000))
    whole = gzip.compress(lines)
    path.write_bytes(whole[: len(whole) // 2])
    since = stack.ends(names.TOPIC_ERRORS)
    with pytest.raises(StackError, match=r"error.log.gz: cannot be read") as failure:
        replay(stack.settings, path, "web1", errors=True)
    arrived = len(stack.consume(names.TOPIC_ERRORS, since))
    assert 0 < arrived < 20_000
    assert f"after {arrived} lines, which were sent" in str(failure.value)
