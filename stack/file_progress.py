"""How far the reading and the evaluation of files are, on a terminal or in a log."""

from types import TracebackType
from typing import Final

import click

SLOW_BYTES: Final = 16 << 20
"""Smaller files are done before a person could look at a progress bar."""


class FileProgress:
    """A bar for the bytes that are read, with their rate, then one for the steps that follow.

    Nothing at all of small files; sentences without bars where standard error is no terminal.
    """

    def __init__(self, size: int, steps: int) -> None:
        """Show `size` bytes on disk, and `steps` sentences of `tell` after the first one."""
        self._is_silent = size < SLOW_BYTES
        if self._is_silent:
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(stderr=True, highlight=False)
        start = (TextColumn("{task.description}"), BarColumn())
        rate = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        silent = not console.is_terminal
        self._reading = Progress(*start, *rate, console=console, disable=silent)
        self._bytes = self._reading.add_task("Reading", total=size)
        count = (MofNCompleteColumn(), TimeElapsedColumn())
        self._evaluating = Progress(*start, *count, console=console, disable=silent)
        self._steps = self._evaluating.add_task("Evaluating", total=steps)
        self._is_read = False

    def __enter__(self) -> "FileProgress":
        if not self._is_silent:
            self._reading.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not self._is_silent:
            self._reading.stop()
            self._evaluating.stop()

    def advance(self, size: int) -> None:
        """Count bytes that were read."""
        if not self._is_silent:
            self._reading.advance(self._bytes, size)

    def tell(self, text: str) -> None:
        """Say that a step is done; the first one is the reading."""
        if self._is_silent:
            return
        if self._is_read:
            self._evaluating.advance(self._steps)
        else:
            self._reading.stop()
            self._evaluating.start()
            self._is_read = True
        if self._evaluating.disable:
            click.echo(text, err=True)
        else:
            self._evaluating.console.print(text, markup=False)
