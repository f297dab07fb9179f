"""The `loglake` command. Each module of `stack.commands` adds what its `COMMANDS` lists."""

import importlib
import pkgutil
import signal
import sys
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console

import stack.commands
from streaming.contracts.errors import StackError
from streaming.contracts.settings import Settings, sentence

console = Console(highlight=False)


class Commands(click.Group):
    """Turn every expected failure into one sentence and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (StackError, FileNotFoundError, PermissionError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            raise click.ClickException("interrupted") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(ctx: click.Context) -> None:
    """Real-time log analytics and security monitoring for nginx."""
    # As an exception, so that what a command started is stopped again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        ctx.obj = Settings()
    except ValidationError as error:
        raise click.ClickException(sentence(error)) from None


def _register() -> None:
    for module in pkgutil.iter_modules(stack.commands.__path__):
        for command in importlib.import_module(f"stack.commands.{module.name}").COMMANDS:
            main.add_command(command)


_register()
