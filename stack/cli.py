"""The `loglake` command; a sub-command is imported when it is used."""

import importlib
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import click

from streaming.contracts.exceptions import StackError

DISTRIBUTION: Final = "realtime-log-analytics"

Section = Mapping[str, tuple[str, str]]
"""Command names, each with its module in `stack.commands` and what `--help` says of it."""

SECTIONS: Final[Mapping[str, Section]] = {
    "Log files, without a stack": {
        "detect": ("detect", "Find incidents in log files."),
    },
    "The native stack": {
        "demo": ("demo", "Start the stack with real traffic and show it."),
        "setup": ("services", "Get what this machine lacks: JARs, InfluxDB, nginx."),
        "up": ("services", "Start the stack, or some services and what they need."),
        "down": ("services", "Stop every service."),
        "status": ("services", "Show the state of each service."),
        "logs": ("services", "Show the log of a service."),
        "attack": ("attack", "Attack a server of the running stack."),
        "replay": ("replay", "Feed old logs through Kafka."),
    },
    "The lake": {
        "baselines": ("baselines", "Learn what is normal."),
        "backtest": ("baselines", "Put attacks into the past and count what is found."),
        "explain": ("explain", "Say why an incident fired, or why none did."),
        "reconcile": ("reconcile", "Make the points in InfluxDB equal to the lake."),
        "verify": ("verify", "Compare Kafka, lake and InfluxDB."),
        "maintenance": ("maintenance", "Keep the tables small and quick."),
    },
}


class Commands(click.Group):
    """The commands of `SECTIONS`; every expected failure is one sentence and exit status 1."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the sections."""
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import the command."""
        for section in SECTIONS.values():
            if name in section:
                module = importlib.import_module(f"stack.commands.{section[name][0]}")
                command: click.Command = getattr(module, f"{name}_command")
                return command
        return None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections without importing a command."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in section.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (StackError, FileNotFoundError, PermissionError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            raise click.ClickException("interrupted") from None


def _version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"loglake {version(DISTRIBUTION)}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Real-time log analytics and security monitoring for nginx."""
    # These take half of the time of `--help`, which needs neither.
    from pydantic import ValidationError

    from streaming.contracts.settings import Settings, sentence

    # As an exception, so that what a command started is stopped again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        ctx.obj = Settings()
    except ValidationError as error:
        raise click.ClickException(sentence(error)) from None
