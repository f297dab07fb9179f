"""`python -m tests.bench.detect`: `loglake detect` and GoAccess on the same file, in turn.

GoAccess only counts; that makes it a yardstick that runs on any machine. Every run is a process of
its own, from its start to its end. Peak memory is that of all its processes at one moment: PSS
counts a page that several of them share once, RSS once for each of them.
"""

import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from stack.demo.history import past_incidents, server_records
from stack.demo.profile import Profile
from streaming.contracts.settings import Settings
from tests.bench.processes import Run, measured
from tests.bench.report import write_report

START: Final = 1_792_972_800
"""A Monday, 2026-10-26, as in tests.bench.fortnight."""
SERVERS: Final = ("web1", "web2")
SERVER: Final = "web1"
RATE: Final = 2.0
"""Requests/s of both servers together."""
SEED: Final = 1
DAY: Final = 86_400
FEW: Final = 1_000
SPARSE_LINES: Final = 5_700
SPARSE_SECONDS: Final = 42 * DAY

MB: Final = 1_000_000

Case = tuple[str, Sequence[str]]
"""A name and the command that is measured."""


@dataclass(frozen=True)
class Bound:
    """What a figure must not exceed, and what it should not; `old` is that of commit 0fe38e0."""

    figure: str
    must: float
    aim: float
    old: float | None


BOUNDS: Final = (
    Bound("ratio", 2, 1, 10),
    Bound("rss_gb", 1, 1, None),
    Bound("pss_gb", 1, 0.5, None),
    Bound("few_s", 2, 1, 44),
    Bound("sparse_s", 3, 1.5, 420),
    Bound("help_s", 0.5, 0.5, None),
)


def combined(line: str) -> str:
    """Return a JSON access line in the format `combined`, as nginx would write it."""
    of = json.loads(line)
    at = datetime.fromtimestamp(of["msec"], UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    request = f"{of['request_method']} {of['request_uri']} {of['server_protocol']}"
    request, referrer, agent = (
        text.replace("\\", r"\x5C").replace('"', r"\x22")
        for text in (request, of["http_referer"] or "-", of["http_user_agent"] or "-")
    )
    sent = f"{of['status']} {of['body_bytes_sent']}"
    return f'{of["remote_addr"]} - - [{at}] "{request}" {sent} "{referrer}" "{agent}"'


def written_day(home: Path, day: int) -> Path:
    """Write the access log of one day and return its path."""
    start = START + day * DAY
    attacks = past_incidents(SERVERS, start, start + DAY, SEED)
    lines = server_records(Profile(RATE, SERVERS), SERVER, start, start + DAY, SEED + day, attacks)
    path = home / str(day)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(combined(record.line) + "\n" for record in lines if not record.error)
    return path


def write_days(days: int, path: Path) -> None:
    """Write the access log of `days` days."""
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as home,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
        path.open("wb") as whole,
    ):
        for part in pool.map(partial(written_day, Path(home)), range(days)):
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole)
            part.unlink()


def write_sparse(path: Path) -> None:
    """Write the access log of a site that a few people visit."""
    profile = Profile(SPARSE_LINES / SPARSE_SECONDS * 1.2, (SERVER,))
    records = server_records(profile, SERVER, START, START + 2 * SPARSE_SECONDS, SEED)
    lines = (combined(record.line) for record in records if not record.error)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(line + "\n" for line in itertools.islice(lines, SPARSE_LINES))


def write_few(long: Path, path: Path) -> None:
    """Write the first lines of a file."""
    with long.open("rb") as whole, path.open("wb") as stream:
        stream.writelines(itertools.islice(whole, FEW))


def made(path: Path, write: Callable[[Path], None]) -> Path:
    """Return a file of the cache, written first if it is not there."""
    if not path.exists():
        click.echo(f"writing {path} …", err=True)
        part = path.with_suffix(".part")
        write(part)
        part.rename(path)
    return path


def in_turn(cases: Sequence[Case], rounds: int) -> dict[str, list[Run]]:
    """Measure every case once a round, A B A B …, after a round that fills the page cache."""
    runs: dict[str, list[Run]] = {name: [] for name, _ in cases}
    for number in range(rounds + 1):
        for name, command in cases:
            run = measured(command)
            click.echo(f"{number}/{rounds} {name}: {run.wall_s:.2f} s", err=True)
            if number:
                runs[name].append(run)
    return runs


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median and maximum."""
    found = {"min": min(values), "median": median(values), "max": max(values)}
    return {name: round(value, 3) for name, value in found.items()}


def summary(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return the spread of each figure of a case."""
    return {
        "wall_s": spread([run.wall_s for run in runs]),
        "cpu_s": spread([run.cpu_s for run in runs]),
        "rss_mb": spread([run.rss / MB for run in runs]),
        "pss_mb": spread([run.pss / MB for run in runs]),
    }


def figures(found: dict[str, list[Run]]) -> dict[str, float]:
    """Return the figures that have a bound; no ratio without GoAccess."""
    wall = {name: median(run.wall_s for run in runs) for name, runs in found.items()}
    known = {
        "rss_gb": max(run.rss for run in found["long"]) / 1e9,
        "pss_gb": max(run.pss for run in found["long"]) / 1e9,
        "few_s": wall["few"],
        "sparse_s": wall["sparse"],
        "help_s": wall["help"],
    }
    if "goaccess" in found:
        pairs = zip(found["long"], found["goaccess"], strict=True)
        known["ratio"] = median(ours.wall_s / theirs.wall_s for ours, theirs in pairs)
    return {name: round(value, 3) for name, value in known.items()}


def show(result: Mapping[str, Any]) -> None:
    """Print the spread of each case and the figures beside their bounds."""
    console = Console(width=120)
    table = Table("case", "wall s", "CPU s", "RSS MB", "PSS MB", box=None, header_style="bold")
    for name, case in result["cases"].items():
        cells = ("{min:.4g} / {median:.4g} / {max:.4g}".format(**of) for of in case.values())
        table.add_row(name, *cells)
    console.print(table)
    console.print("minimum / median / maximum\n")
    bounds = Table("figure", "measured", "aim", "must", "old", box=None, header_style="bold")
    for bound in BOUNDS:
        values = (result["figures"].get(bound.figure), bound.aim, bound.must, bound.old)
        bounds.add_row(bound.figure, *("–" if value is None else f"{value:g}" for value in values))
    console.print(bounds)


def cases(long: Path, few: Path, sparse: Path, out: Path) -> Iterator[Case]:
    """Yield the commands, GoAccess only where it is installed."""
    loglake = str(Path(sys.executable).parent / "loglake")
    goaccess = shutil.which("goaccess")
    if goaccess:
        options = ("--log-format=COMBINED", "-o", str(out), "--no-progress", "--no-global-config")
        yield "goaccess", (goaccess, str(long), *options)
    else:
        click.echo("goaccess is not on PATH (Debian package goaccess), so there is no ratio")
    yield "long", (loglake, "detect", "--json", str(long))
    yield "few", (loglake, "detect", "--json", str(few))
    yield "sparse", (loglake, "detect", "--json", str(sparse))
    yield "help", (loglake, "--help")


@click.command(help=__doc__)
@click.option("--days", default=13, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(days: int, rounds: int) -> None:
    """Measure; end with status 1 if a figure is beyond what it must not exceed."""
    load = os.getloadavg()[0]
    home = Settings().cache / "bench"
    home.mkdir(parents=True, exist_ok=True)
    name = f"{SERVER}-{days}-days"
    long = made(home / f"{name}.log", partial(write_days, days))
    few = made(home / f"{name}-first-{FEW}.log", partial(write_few, long))
    sparse = made(home / f"{SERVER}-sparse.log", write_sparse)
    with long.open("rb") as stream:
        lines = sum(1 for _ in stream)
    with tempfile.TemporaryDirectory(prefix="loglake-bench-") as scratch:
        runs = list(cases(long, few, sparse, Path(scratch, "out.json")))
        found = in_turn(runs, rounds)
    result: dict[str, Any] = {
        "load_before": round(load, 2),
        "input": {"lines": lines, "bytes": long.stat().st_size, "days": days, "rounds": rounds},
        "figures": figures(found),
        "cases": {name: summary(runs) for name, runs in found.items()},
    }
    show(result)
    write_report("detect", result)
    missed = [bound for bound in BOUNDS if result["figures"].get(bound.figure, 0) > bound.must]
    for bound in missed:
        click.echo(f"missed: {bound.figure} must be at most {bound.must:g}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
