"""How soon an attack crosses the threshold of a rule: `python -m tests.grafana.attack_delay`.

Needs a running `loglake demo`. Each attack is a real one, or only those that are named, and the
rules' queries are asked every 10 seconds on the clock, as Grafana's scheduler does.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from grafana.alerts import GROUPS, OPEN_FOR, Rule
from stack.demo.attack_plans import KINDS
from streaming.contracts.settings import Settings
from tests.grafana.asking import Moment, Store

RULES = {rule.uid: rule for rules in GROUPS.values() for rule in rules}
EXPECTED = {"flood": "ddos", "scan": "scan", "errors": "error-surge"}
TICK = 10
PATIENCE = 180
"""Seconds after which a rule has not fired, or an attack is not over."""


def ticks() -> Iterator[int]:
    """Wait for each evaluation; epoch seconds."""
    while True:
        now = time.time()
        at = int(now) - int(now) % TICK + TICK
        time.sleep(at - now)
        yield at


def highest(store: Store, rule: Rule, at: int) -> float:
    """Return the highest last value of the rule's instances; 0 when there is none."""
    answer = store.ask(rule.query, Moment(at, rule.seconds, period="10s"))
    return max((series.numbers()[-1] for series in answer if series.numbers()), default=0.0)


def seconds_to_fire(store: Store, kind: str, rules: Sequence[Rule]) -> dict[str, float]:
    """Start an attack; return the seconds to the evaluation at which each rule is above."""
    start = time.time()
    attack = subprocess.Popen(
        [Path(sys.executable).parent / "loglake", "attack", kind, "--server", "web2"],
        env=store.settings.environment(),
        stdout=subprocess.DEVNULL,
    )
    fired: dict[str, float] = {}
    for at in ticks():
        for rule in rules:
            if rule.uid not in fired and highest(store, rule, at) > rule.above:
                fired[rule.uid] = time.time() - start
        if EXPECTED[kind] in fired and attack.poll() is not None:
            return fired
        if time.time() - start > PATIENCE:
            attack.terminate()
            attack.wait()
            return fired
    raise AssertionError("time has no end")


def calm(store: Store, rules: Sequence[Rule], kind: str) -> list[Rule]:
    """Wait until the attack's own rule is below its recovery threshold; return which rules are.

    The alert of an attack before this one lasts some minutes longer than that attack.
    """
    end = time.time() + OPEN_FOR + PATIENCE
    for at in ticks():
        below = [rule for rule in rules if highest(store, rule, at) < rule.recovers_below]
        if RULES[EXPECTED[kind]] in below:
            return below
        if at > end:
            sys.exit(f"{EXPECTED[kind]} did not recover; try again later.")
    raise AssertionError("time has no end")


def main() -> None:
    """Print a table row an attack."""
    store = Store(Settings())
    rules = [RULES[uid] for uid in ("critical-incident", *EXPECTED.values())]
    for kind in sys.argv[1:] or KINDS:
        fired = seconds_to_fire(store, kind, calm(store, rules, kind))
        told = ", ".join(f"{uid} {seconds:.0f} s" for uid, seconds in sorted(fired.items()))
        print(f"| {kind} | {told or 'nothing fired'} |")  # noqa: T201


if __name__ == "__main__":
    main()
