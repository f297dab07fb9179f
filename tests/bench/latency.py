"""Latency: from the moment nginx writes a line until its point can be read in InfluxDB.

The whole native stack runs, traffic is open loop through real nginx servers. Ten times a second
InfluxDB is asked how many requests its points count; the time of the k-th line in nginx's logs is
compared with the first answer that counts k. A line's own time is the one nginx logs.
"""

import bisect
import multiprocessing
import statistics
import sys
import time

from rich.console import Console
from rich.table import Table

from stack.demo.traffic import send_known
from streaming import names
from streaming.progress import read_progress
from streaming.settings import Settings
from tests.bench.services import running
from tests.end_to_end import oracle
from tests.fixtures.stack import Stack, eventually

RATES = (500, 2000)
SECONDS = 60
WARM_UP_SECONDS = 40

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


def latencies(written: list[float], seen: list[tuple[float, int]], since: float) -> list[float]:
    """Seconds until each line written after `since` was counted; a line never seen is infinite."""
    counts = [count for _, count in seen]
    found = []
    for number, at in enumerate(sorted(written), start=1):
        if at >= since:
            first = bisect.bisect_left(counts, number)
            found.append(seen[first][0] - at if first < len(seen) else float("inf"))
    return found


def _send(settings: Settings, rate: int, seconds: int) -> None:
    send_known(settings, rate * seconds, rate=rate, seed=rate)


def measure(stack: Stack, rate: int) -> list[float]:
    """Latencies in seconds of the lines of `SECONDS` at `rate`, after a warm-up at that rate."""
    sender = multiprocessing.Process(
        target=_send, args=(stack.settings, rate, WARM_UP_SECONDS + SECONDS)
    )
    began = time.time()
    sender.start()
    seen = visible(stack, began + WARM_UP_SECONDS + SECONDS + 15)
    sender.join()
    written = [
        float(line["msec"])
        for server in stack.settings.servers
        for line in oracle.access_lines(stack.settings.home, server)
    ]
    return latencies(written, seen, began + WARM_UP_SECONDS)


def main() -> float:
    """Measure each rate, print a table and return the worst p95."""
    console = Console()
    table = Table("lines/s", "lines", "p50 s", "p95 s", "p99 s", "max s")
    worst = 0.0
    with running() as stack:
        stack.start(*names.STREAMS)
        eventually(lambda: read_progress(stack.settings, names.STREAM_ACCESS), 180)
        send_known(stack.settings, 2000, rate=200)
        for rate in RATES:
            found = measure(stack, rate)
            cuts = statistics.quantiles(found, n=100)
            worst = max(worst, cuts[94])
            table.add_row(
                f"{rate:,}",
                f"{len(found):,}",
                *(f"{value:.2f}" for value in (cuts[49], cuts[94], cuts[98], max(found))),
            )
    console.print(table)
    console.print(f"worst p95 {worst:.2f} s (goal 3 s)")
    return worst


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main() > 10)
