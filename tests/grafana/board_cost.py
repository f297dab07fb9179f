"""What it costs to open a board: `python -m tests.grafana.board_cost [HOURS]`.

Needs a running `loglake demo` or `loglake up influxd`. Asks the queries of each board over its own
time range, or that of so many hours, six at a time as a browser does. Processor seconds of
InfluxDB are the same on a busy machine; the time until all are answered is not.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from grafana.__main__ import BOARDS
from stack.supervisor import Supervisor
from streaming.settings import Settings
from tests.grafana.asking import Moment, Store

CONNECTIONS = 6
POINTS = 800
"""Columns of pixels of a panel half as wide as the screen."""


def period(panel: dict[str, Any], seconds: int) -> int:
    """Seconds of `v.windowPeriod`: the range over the pixels, at least the panel's interval."""
    least = {"10s": 10, "1m": 60}[panel["interval"]]
    return max(least, -(-seconds // POINTS // 10) * 10)


def main() -> None:
    """Print a row a board: queries, seconds until the last answer, processor seconds."""
    settings = Settings()
    store = Store(settings)
    server = psutil.Process(Supervisor(settings).info("influxd").pid)
    for board in (module.board() for module in BOARDS):
        own = board["time"]["from"].removeprefix("now-")
        hours = float(sys.argv[1]) if len(sys.argv) > 1 else int(own[:-1]) / (60, 1)[own[-1] == "h"]
        moment = Moment(int(time.time()) - 10, int(hours * 3_600))
        asked = [
            (target["query"], Moment(moment.at, moment.back, period=f"{period(p, moment.back)}s"))
            for p in board["panels"]
            for target in p["targets"]
        ]
        cpu, start = sum(server.cpu_times()[:2]), time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda item: store.ask(*item), asked))
        wall, cpu = time.monotonic() - start, sum(server.cpu_times()[:2]) - cpu
        print(f"| {board['title']} | {hours:g} h | {len(asked)} | {wall:.1f} s | {cpu:.1f} s |")  # noqa: T201


if __name__ == "__main__":
    main()
