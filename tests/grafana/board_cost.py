"""What it costs to open a board: `python -m tests.grafana.board_cost [HOURS]`.

Needs `loglake up influxd` with a home of its own, for it fills InfluxDB with so many hours of
three servers. Without HOURS it writes nothing and takes what is there, over each board's own time
range. The queries of a board are asked six at a time, as a browser does. Processor seconds of
InfluxDB are the same on a busy machine; the time until all are answered is not.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

from grafana.__main__ import BOARDS
from orchestration.supervisor import Supervisor
from stack import influx
from streaming.contracts.settings import Settings
from tests.grafana import sample
from tests.grafana.asking import Moment, Store

CONNECTIONS = 6
POINTS = 800
"""Columns of pixels of a panel half as wide as the screen."""


def period(panel: dict[str, Any], seconds: int) -> int:
    """Seconds of `v.windowPeriod`: the range over the pixels, at least the panel's interval."""
    least = {"10s": 10, "1m": 60}[panel["interval"]]
    return max(least, -(-seconds // POINTS // 10) * 10)


def fill(settings: Settings, start: int, stop: int) -> None:
    """Write the points of every window, and of every second for queries that commit each second.

    A window's lines are made once and written again with other times.
    """
    at = start - start % 3_600
    window = [point.to_line_protocol().rpartition(" ")[0] for point in sample.clean(at, at + 10)]
    second = [line for line in window if line.startswith("pipeline") and "query=metrics" in line]
    hour = [line for line in window if line.startswith("http_top_urls")]
    steps = ((window, 10, "metrics"), (second, 1, "metrics"), (hour, 3_600, "metrics_1h"))
    with InfluxDBClient(
        settings.influx, token=settings.secret(influx.WRITE_TOKEN), org=settings.influx_org
    ) as client:
        api = client.write_api(write_options=SYNCHRONOUS)
        for lines, step, bucket in steps:
            for begin in range(at, stop, 400 * step):
                times = range(begin, min(begin + 400 * step, stop), step)
                api.write(
                    bucket,
                    record=[f"{line} {time}" for time in times for line in lines],
                    write_precision="s",
                )


def main() -> None:
    """Print a row a board: queries, seconds until the last answer, processor seconds."""
    settings = Settings()
    store = Store(settings)
    if len(sys.argv) > 1:
        now = int(time.time())
        fill(settings, now - int(float(sys.argv[1]) * 3_600), now)
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
