"""Latency: from the moment nginx writes a line until its point can be read in InfluxDB.

The whole native stack runs, traffic is open loop through real nginx servers. Ten times a second
InfluxDB is asked how many requests its points count; the time of the k-th line in nginx's logs is
compared with the first answer that counts k. A line's own time is the one nginx logs. Each minute
has a row: the JVM compiles for the first ones, the last one is what a running system does.
"""

import bisect
import multiprocessing
import statistics
import sys
import time

from rich.console import Console
from rich.table import Table

from stack.demo.traffic import send_known
from streaming.contracts import names
from streaming.contracts.progress import read_progress
from streaming.contracts.settings import Settings
from tests.bench.report import write_report
from tests.bench.services import running
from tests.end_to_end import oracle
from tests.fixtures.stack import Stack, eventually

RATES = (500, 2000)
MINUTES = 4

COUNT = f"""
    from(bucket: "{names.BUCKET_METRICS}") |> range(start: -30m)
      |> filter(fn: (r) => r._measurement == "{names.HTTP_TRAFFIC}" and r._field == "requests")
      |> group() |> sum()
"""


def visible(stack: Stack, until: float) -> list[tuple[float, int]]:
    """(time, requests counted) as InfluxDB answered, until the epoch second `until`."""
    seen = []
    while time.time() < until:
        rows = stack.flux(COUNT)
        seen.append((time.time(), int(rows[0]["_value"]) if rows else 0))
        time.sleep(0.1)
    return seen


def latencies(written: list[float], seen: list[tuple[float, int]]) -> list[tuple[float, float]]:
    """(time written, seconds until it was counted) of each line; infinite if it never was."""
    counts = [count for _, count in seen]
    found = []
    for number, at in enumerate(sorted(written), start=1):
        first = bisect.bisect_left(counts, number)
        found.append((at, seen[first][0] - at if first < len(seen) else float("inf")))
    return found


def _send(settings: Settings, rate: int, seconds: int) -> None:
    send_known(settings, rate * seconds, rate=rate, seed=rate)


def measure(stack: Stack, rate: int) -> list[list[float]]:
    """Latencies in seconds, by minute, of the lines written at `rate`."""
    sender = multiprocessing.Process(target=_send, args=(stack.settings, rate, 60 * MINUTES))
    began = time.time()
    sender.start()
    seen = visible(stack, began + 60 * MINUTES + 30)
    sender.join()
    written = [
        float(line["msec"])
        for server in stack.settings.servers
        for line in oracle.access_lines(stack.settings.home, server)
    ]
    found = latencies(written, seen)
    return [
        [seconds for at, seconds in found if 60 * minute <= at - began < 60 * (minute + 1)]
        for minute in range(MINUTES)
    ]


def main() -> float:
    """Measure each rate, print a table and return the worst p95 of a last minute."""
    console = Console()
    table = Table("lines/s", "minute", "lines", "p50 s", "p95 s", "p99 s", "max s")
    worst = 0.0
    kept: dict[str, list[float]] = {}
    with running() as stack:
        stack.start(*names.STREAMS)
        eventually(lambda: read_progress(stack.settings, names.STREAM_ACCESS), 180)
        send_known(stack.settings, 2000, rate=200)
        for rate in RATES:
            for minute, found in enumerate(measure(stack, rate), start=1):
                cuts = statistics.quantiles(found, n=100)
                p95 = cuts[94]
                kept.setdefault(str(rate), []).append(p95)
                figures = (f"{value:.2f}" for value in (cuts[49], p95, cuts[98], max(found)))
                table.add_row(f"{rate:,}", str(minute), f"{len(found):,}", *figures)
            worst = max(worst, p95)
    console.print(table)
    console.print(f"p95 {worst:.2f} s in the last minute of the worse rate (aim 3 s)")
    write_report("latency", {"p95_by_rate_and_minute": kept})
    return worst


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main() > 10)
