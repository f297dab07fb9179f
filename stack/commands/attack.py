"""`loglake attack`: something to watch arrive on the dashboards."""

import time

import click
from rich.console import Console

from stack.demo import attack_plans
from stack.demo.attacks import attack
from stack.demo.traffic import Meter
from streaming.contracts.settings import Settings

console = Console(highlight=False)


@click.command("attack")
@click.argument("kind", type=click.Choice(attack_plans.KINDS))
@click.option("--server", help="The server to attack; the first one by default.")
@click.option("--seconds", type=click.FloatRange(1, 3600), help="Length of flood and errors.")
@click.option("--rate", type=click.FloatRange(1, 2000), help="Requests/s of flood and errors.")
@click.option("--count", type=click.IntRange(1, 260), help="Distinct missing paths of a scan.")
@click.option("--slow", is_flag=True, help="Scan at a crawl, one path in about four seconds.")
@click.option("--distributed", is_flag=True, help="Flood from 400 clients instead of one.")
@click.option("--seed", type=int, help="Same seed, same attacker; by default a new one.")
@click.pass_obj
def attack_command(
    settings: Settings,
    kind: str,
    server: str | None,
    seconds: float | None,
    rate: float | None,
    count: int | None,
    slow: bool,
    distributed: bool,
    seed: int | None,
) -> None:
    """Attack a server of the running stack: scan, flood or errors."""
    target = server or settings.servers[0]
    given = {
        "seconds": seconds,
        "rate": rate,
        "count": count,
        "slow": slow or None,
        "distributed": distributed or None,
    }
    options = {name: value for name, value in given.items() if value is not None}
    unfit = sorted(options.keys() - _OPTIONS[kind])
    if unfit:
        raise click.UsageError(f"{kind} takes no --{unfit[0]}")
    console.print(f"attacking {target}: {kind}; Ctrl-C ends it")
    meter = Meter(5.0)
    meter.watch_signals()
    start = time.time()
    origin = attack(
        settings,
        kind,
        target,
        seed if seed is not None else int(start),
        meter,
        stopped=lambda: meter.stopping,
        **options,
    )
    console.print(f"{kind} on {target} from {origin}: {meter.total.line(time.time() - start)}")


_OPTIONS = {
    "scan": {"count", "slow"},
    "flood": {"seconds", "rate", "distributed"},
    "errors": {"seconds", "rate"},
}
