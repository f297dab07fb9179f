"""Batch jobs as commands: periods as options, failures as sentences."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from streaming.contracts.exceptions import StackError


class Moment(click.ParamType):
    """A date and time in ISO 8601; UTC unless it names a zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or say what is wrong."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write it like 2026-01-31T13:00", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def period(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --from and --to, as `start` and `stop`."""
    start = click.option("--from", "start", type=Moment(), help="Start of a period, UTC.")
    stop = click.option("--to", "stop", type=Moment(), help="End of the period, excluded.")
    return start(stop(command))


@contextlib.contextmanager
def spoken() -> Iterator[None]:
    """Turn what a job expects to go wrong into a `StackError`; quiet libraries down."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    try:
        yield
    except (ConnectionError, FileNotFoundError, RuntimeError, ValueError) as error:
        raise StackError(str(error)) from error
