"""`loglake baselines`, `loglake backtest`: learn what is normal, measure the detector."""

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@click.command("baselines")
@click.option("--full", is_flag=True, help="Make all profiles anew from the lake first.")
@click.option("--accept", is_flag=True, help="Let thresholds move as far as they want.")
@click.option("--readmit", multiple=True, metavar="INCIDENT", help="An incident to learn from.")
@click.pass_obj
def baselines_command(
    settings: Settings, full: bool, accept: bool, readmit: tuple[str, ...]
) -> None:
    """Learn from the lake, test against injected attacks, publish a new version or say why not."""
    from batch.jobs.baselines import recompute
    from batch.jobs.job import JobError

    try:
        with errors.status("Starting Spark …"):
            outcome = recompute(
                settings,
                full=full,
                accept=accept,
                readmit=frozenset(readmit),
                tell=errors.print,
            )
    except JobError as error:
        raise StackError(str(error)) from error
    console.print(outcome.reason)
    if outcome.version is None:
        raise click.exceptions.Exit(1)


@click.command("backtest")
@click.option("--days", default=2, show_default=True, help="How much of the past.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def backtest_command(settings: Settings, days: int, as_json: bool) -> None:
    """Put labelled attacks into the past and count what the detector finds."""
    from batch.jobs.backtest import backtest
    from batch.jobs.job import JobError

    try:
        with errors.status("Starting Spark …"):
            result = backtest(settings, days, tell=errors.print)
    except JobError as error:
        raise StackError(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(result)))
        return
    console.print(_scores(result))
    for attack in result.missed:
        console.print(f"missed: {attack.name} on {attack.server} at {attack.start}")
    console.print(_sweep(result.sweep))


def _scores(result: Any) -> Table:
    table = Table(box=None, header_style="bold")
    names = ("rule", "attacks", "recall", "precision", "median delay", "worst", "alerts a day")
    for name in names:
        table.add_column(name, justify="left" if name == "rule" else "right")
    for s in result.scores:
        table.add_row(
            s.rule,
            str(s.attacks),
            f"{s.recall:.0%}",
            f"{s.precision:.0%}",
            "" if s.median_delay_s is None else f"{s.median_delay_s:.0f} s",
            "" if s.worst_delay_s is None else f"{s.worst_delay_s:.0f} s",
            f"{s.alerts_per_day:.2f}",
        )
    return table


def _sweep(rows: list[dict[str, float]]) -> Table:
    table = Table(box=None, header_style="bold", title="what if thresholds were elsewhere")
    for name in ("sensitivity", "recall", "alerts a day"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"×{row['sensitivity']:g}", f"{row['recall']:.0%}", f"{row['alerts_per_day']:.2f}"
        )
    return table
