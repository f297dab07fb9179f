"""`python -m tests.bench.crowd 1000000`: so many clients and URLs in ten minutes, one an attacker.

Prints how large the profiles and the detector's memory of them become, and whom it names.
"""

import json
import pickle
import sys
from time import monotonic
from typing import Any, Final

import click
import polars as pl

from streaming.detection.engine import evaluate
from streaming.detection.incidents import merge
from streaming.detection.limits import Limits, Rules
from streaming.detection.model import TrafficProfile
from streaming.detection.rows import traffic_profiles_of
from streaming.detection.state import Memory
from streaming.windows.traffic_profile import traffic_profiles
from tests.fixtures.lines import access_logs

START: Final = 1_767_600_000
MINUTES: Final = 10
ATTACKER: Final = "203.0.113.9"
LISTS: Final = ("top_clients", "clients_with_404s", "routes")


def crowd(clients: int, windows: int) -> pl.DataFrame:
    """Access lines: every client asks once for a URL of its own, the attacker 60 times a window."""
    number = pl.col("n")
    many = pl.select(n=pl.int_range(clients)).select(
        second=number % (windows * 10) + START,
        client_address=pl.format("10.{}.{}.{}", *(number // 256**n % 256 for n in (2, 1, 0))),
        url_path=pl.format("/item/{}", number),
        http_response_status_code=200,
    )
    lone = pl.select(n=pl.int_range(windows * 60)).select(
        second=number // 6 + START,
        client_address=pl.lit(ATTACKER),
        url_path=pl.format("/x{}.php", number),
        http_response_status_code=404,
    )
    return access_logs(
        pl.concat([many, lone]).with_columns(
            event_time=pl.from_epoch("second").dt.replace_time_zone("UTC"),
            server_address=pl.lit("web1"),
            http_route="url_path",
        )
    )


def sizes(clients: int, windows: int) -> dict[str, Any]:
    """What such a crowd comes to: rows, largest lists, bytes in memory, entities named."""
    rows = traffic_profiles(crowd(clients, windows), fleet=False)
    profiles = list(traffic_profiles_of(rows))
    memory: Memory[TrafficProfile] = Memory()
    memory.replace((), profiles)
    end = profiles[-1].second
    change = memory.evaluate(
        (), end, lambda some, start, until, seen: evaluate(some, Limits(), Rules())
    )
    incidents = merge(change.evaluations, end + 10)
    return {
        "clients": sum(profile.clients for profile in profiles),
        "profiles": len(profiles),
        **{name: rows[name].list.len().max() for name in LISTS},
        "bytes_per_profile": max(len(pickle.dumps(profile)) for profile in profiles),
        "bytes_of_memory": len(pickle.dumps(memory)),
        "series": len({(i.kind, i.server) for i in incidents}),
        "named": sorted({i.entity for i in incidents if i.kind == "path_scan"}),
    }


def main(clients: int) -> None:
    """Measure and print one JSON object."""
    started = monotonic()
    found = sizes(clients, MINUTES * 6)
    click.echo(json.dumps({**found, "seconds": round(monotonic() - started, 1)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
