"""A log file that grows, followed by its name as `tail -F` does."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from batch.files.log_files import CHUNK_BYTES, Chunk, LogFile, LogFileError
from batch.files.whole_lines import Piece, WholeLines


class Tail:
    """The whole lines of a plain file that were not read yet."""

    def __init__(self, file: LogFile) -> None:
        """Begin at the start of the file; raises `LogFileError` for a compressed one."""
        if file.packed:
            raise LogFileError(f"{file.path}: compressed, so nothing is appended to it")
        self._file = file
        self._stream: IO[bytes] | None = None
        self._lines = WholeLines(records=file.errors)

    def read(self) -> Iterator[Chunk]:
        """Yield what was appended since the last call, up to the last line feed.

        After a rotation the old file is read to its end, then the new one from its start. A file
        that was truncated is read from its start, and one that is missing is waited for.
        """
        for offset, lines in self._pieces():
            yield Chunk(self._file, offset, lines)

    def close(self) -> None:
        """Forget the file and the place in it."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._lines = None, WholeLines(records=self._file.errors)

    def _pieces(self) -> Iterator[Piece]:
        while True:
            if self._stream is None:
                # After a rotation it may be missing, or not be ours to read yet.
                with suppress(OSError):
                    self._stream = self._file.path.open("rb")
            if self._stream is None:
                return
            yield from self._appended(self._stream)
            if not self._replaced(self._stream):
                return
            # What was written between the last read and the first line of the new file.
            yield from self._appended(self._stream)
            yield from self._lines.end()
            self.close()

    def _appended(self, stream: IO[bytes]) -> Iterator[Piece]:
        while block := stream.read(CHUNK_BYTES):
            yield from self._lines.add(block, is_newest=len(block) < CHUNK_BYTES)

    def _replaced(self, stream: IO[bytes]) -> bool:
        """Return whether lines go to another file by that name, or this one became shorter."""
        mine = os.fstat(stream.fileno())
        try:
            named = self._file.path.stat()
        except OSError:
            return False
        if (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino):
            return named.st_size < stream.tell()
        # nginx goes on with the old file until it is told of the new one.
        return named.st_size > 0
