"""Feed old log files through Kafka, as Flume would have sent them."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from batch.files.log_files import ERROR_LINE
from stack.kafka import RECORD_BYTES
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

_GZIP: Final = b"\x1f\x8b"
_COMBINED: Final = re.compile(rb'\S+ \S+ .*\[[^\]]+\] "')


@dataclass
class Sent:
    """Lines of one file: `lines` went to Kafka; `doubtful` of them look like no known format.

    Doubtful lines are evaluated by the stream as every line is; most end in `rejected_lines`.
    """

    lines: int = 0
    doubtful: int = 0


def replay(
    settings: Settings,
    path: Path,
    server: str,
    *,
    errors: bool = False,
    advance: Callable[[int], None] = lambda size: None,
) -> Sent:
    """Send each line of a log file, plain or gzip; `advance` hears of bytes read from disk.

    The record carries server, file and byte offset, so that sending a file twice stores it once.
    Raises `StackError` naming the file, and how many lines were sent before, when it cannot be
    read, or when Kafka does not take them.
    """
    topic = names.TOPIC_ERRORS if errors else names.TOPIC_ACCESS
    sent = Sent()
    producer = producer_for(settings, "loglake-replay")
    try:
        for offset, line in read_lines(path, advance):
            headers = [
                ("server", server.encode()),
                ("file", str(path.resolve()).encode()),
                ("byteoffset", str(offset).encode()),
            ]
            last = producer.send(topic, line, key=server.encode(), headers=headers)
            sent.lines += 1
            sent.doubtful += not looks_known(line, errors=errors)
        producer.flush(60)
        if sent.lines:
            last.get(1)
    except (OSError, EOFError, zlib.error) as error:
        producer.flush(60)
        reason = getattr(error, "strerror", None) or str(error)
        raise StackError(
            f"{path}: cannot be read ({reason}) after {sent.lines} lines, which were sent; "
            "repair the file and repeat, no line is stored twice"
        ) from error
    except KafkaError as error:
        raise StackError(
            f"Kafka at {settings.kafka} did not take all lines of {path} ({error}); "
            "see `loglake status`, then repeat, no line is stored twice"
        ) from error
    finally:
        producer.close(timeout=10)
    return sent


def read_lines(
    path: Path, advance: Callable[[int], None] = lambda size: None
) -> Iterator[tuple[int, bytes]]:
    """Yield the byte offset in the uncompressed file and the line, without its end.

    A line longer than is taken is cut as Flume cuts it, so that it is refused as oversized.
    """
    longest = names.MAX_LINE_BYTES + 1
    offset = told = 0
    with path.open("rb") as disk, _uncompressed(disk) as file:
        while head := file.readline(longest):
            start = offset
            offset += len(head)
            rest = head
            while not rest.endswith(b"\n") and (rest := file.readline(longest)):
                offset += len(rest)
            yield start, head.removesuffix(b"\n").removesuffix(b"\r")
            if (at := disk.tell()) != told:
                advance(at - told)
                told = at


def looks_known(line: bytes, *, errors: bool) -> bool:
    """Whether a line has the outward form of an nginx log line; the stream evaluates exactly."""
    if errors:
        return ERROR_LINE.match(line) is not None
    if not line.startswith(b"{"):
        return _COMBINED.match(line) is not None
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _uncompressed(disk: IO[bytes]) -> Any:
    start = disk.read(2)
    disk.seek(0)
    return gzip.open(disk) if start == _GZIP else disk


def producer_for(settings: Settings, client_id: str) -> KafkaProducer:
    """Return a producer that loses nothing and compresses.

    Raises `StackError` when Kafka does not answer.
    """
    try:
        return KafkaProducer(
            bootstrap_servers=settings.kafka,
            client_id=client_id,
            bootstrap_timeout_ms=5000,
            acks="all",
            compression_type="lz4",
            linger_ms=20,
            batch_size=256 * 1024,
            max_request_size=RECORD_BYTES,
        )
    except (KafkaError, OSError) as error:
        raise StackError(
            f"Kafka at {settings.kafka} does not answer; start the stack with `loglake up`"
        ) from error
