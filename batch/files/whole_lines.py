"""Blocks of bytes, cut anywhere → whole lines with their byte offsets, in bounded memory."""

import re
from collections.abc import Iterator
from typing import Final

from streaming.contracts import names

_LONGEST: Final = names.MAX_LINE_BYTES + 1
"""Of a longer line one byte more than is accepted is kept, so that it is rejected as oversized."""

_RECORD_BYTES: Final = 4096
"""A record of an error log may have several lines, together of at most half as many bytes."""

_BETWEEN_RECORDS: Final = re.compile(rb"\n(?=\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] )")

Piece = tuple[int, bytes]
"""Offset of the first of some whole lines, and these lines without the last line feed."""


class WholeLines:
    """Takes the blocks of a file in turn; with `records` no record of an error log is cut."""

    def __init__(self, *, records: bool) -> None:
        self._records = records
        self._offset = 0
        self._rest = b""
        self._skipped = 0
        """Bytes of a long line that are not in `_rest`."""

    def add(self, block: bytes, *, is_newest: bool = False) -> Iterator[Piece]:
        """Yield the lines that a block completes.

        After the newest block nobody waits for further lines of a record.
        """
        if self._skipped:
            feed = block.find(b"\n")
            if feed < 0:
                self._skipped += len(block)
                return
            yield self._offset, self._rest
            self._offset += len(self._rest) + self._skipped + feed + 1
            self._rest, self._skipped, block = b"", 0, block[feed + 1 :]
        held = self._rest + block
        end = _end_of_record(held) if self._records and not is_newest else held.rfind(b"\n")
        if end >= 0:
            yield self._offset, held[:end]
            self._offset += end + 1
            held = held[end + 1 :]
        self._rest, self._skipped = held[:_LONGEST], max(0, len(held) - _LONGEST)

    def end(self) -> Iterator[Piece]:
        """Yield what follows, after the last block."""
        if self._rest:
            yield self._offset, self._rest.removesuffix(b"\n")
        self._rest = b""


def _end_of_record(held: bytes) -> int:
    """Return the place of the last line feed between two records, or -1."""
    end = held.rfind(b"\n")
    found = list(_BETWEEN_RECORDS.finditer(held, max(0, end - _RECORD_BYTES)))
    if found:
        return found[-1].start()
    return end if end > _RECORD_BYTES else -1
