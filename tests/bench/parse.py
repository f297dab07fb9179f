"""`python -m tests.bench.parse`: core-seconds to parse a million access lines through Spark.

The code of this checkout and of commit `BEFORE`, which parsed by column expressions, read the same
records from Parquet, parse them for the lake and for live metrics, and drop the rows: in turn, each
time in a fresh JVM, as a stream does after its start. A thousand lines go before, so that the start
of workers and the plan are not counted. The CPU time is that of the JVM and its Python workers.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from streaming.contracts.settings import CHECKOUT, Settings
from tests.bench.report import write_report

BEFORE: Final = "0fe38e0"
LINES: Final = 500_001
ROUNDS: Final = 3
PASSES: Final = 2
MUST, AIM = 0.55, 0.40

CHILD: Final = """
import json, sys, time
from functools import partial
import psutil
side, home, path, few = sys.argv[1:]
PASSES = 2
# Not by what can be imported: an editable install also offers the modules of this checkout.
if side == "now":
    from streaming.contracts.settings import Settings
    from streaming.spark.session import spark_session, tune
    from streaming.spark.parsing import access_rows, metric_rows
    sides = {"lake": access_rows, "metrics": metric_rows}
else:
    from streaming.settings import Settings
    from streaming.session import spark_session, tune
    from streaming.access_lines import parse_access
    def rows(records, settings, detail):
        parsed = parse_access(records, history_days=settings.history_days, detail=detail)
        return parsed if detail else parsed.where("reason IS NULL")
    sides = {"lake": partial(rows, detail=True), "metrics": partial(rows, detail=False)}
settings = Settings(home=home)
spark = spark_session(settings, "bench-parse")
spark.sparkContext.setLogLevel("ERROR")
tune(spark)

def cpu():
    tree = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [process.cpu_times() for process in tree]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)

found = {}
for name, parse in sides.items():
    def run(source):
        parse(spark.read.parquet(source), settings).write.format("noop").mode("overwrite").save()
    run(few)
    before, began = cpu(), time.monotonic()
    for _ in range(PASSES):
        run(path)
    found[name] = [cpu() - before, time.monotonic() - began]
print(json.dumps(found))
spark.stop()
"""


@contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """Yield a work tree of an older commit."""
    with tempfile.TemporaryDirectory(prefix="loglake-bench-") as home:
        tree = Path(home) / commit
        subprocess.run(["git", "worktree", "add", "-q", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], check=True)


def _records(home: Path) -> tuple[Path, Path]:
    """Write records as in the topic of `keep_ratio` as Parquet: all, and a few to start with."""
    # Imported here, since the child of the older commit has no such module.
    from datetime import UTC, datetime

    import polars as pl

    from streaming.contracts import frames
    from tests.bench.keep_ratio import lines

    values = list(lines(LINES, "web1", 1))
    frame = pl.DataFrame({"value": values}).select(
        "value",
        topic=pl.lit("web-logs"),
        kafka_partition=pl.lit(0, pl.Int32),
        kafka_offset=pl.int_range(LINES, dtype=pl.Int64),
        ingested_at=pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC")),
        server_address=pl.lit("web1"),
        log_file=pl.lit("access.log"),
        byte_offset=pl.int_range(LINES, dtype=pl.Int64) * 500,
    )
    assert frame.schema == dict(frames.RECORD), frame.schema
    paths = home / "all", home / "few"
    for path, rows in zip(paths, (frame, frame.head(1_000)), strict=True):
        path.mkdir()
        half = len(rows) // 2
        for number, part in enumerate((rows[:half], rows[half:])):
            part.write_parquet(path / f"{number}.parquet")
    return paths


def _measure(side: str, tree: Path, home: Path, paths: tuple[Path, Path]) -> dict[str, list[float]]:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    _link_jars(tree, environment)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, side, home, *paths],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _link_jars(tree: Path, environment: dict[str, str]) -> None:
    """Let an older commit, whose POM differs in a comment only, find the JARs of this one."""
    module = "streaming.contracts.settings" if tree == CHECKOUT else "streaming.settings"
    script = f"from {module} import Settings; print(Settings().jars('spark'))"
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = Path(told.stdout.strip())
    if not wanted.exists():
        wanted.symlink_to(Settings().jars("spark"))


def main() -> None:
    """Measure, print a table, keep the figures; exit status 1 above `MUST`."""
    found: dict[str, list[dict[str, list[float]]]] = {"before": [], "now": []}
    with tempfile.TemporaryDirectory(prefix="loglake-bench-") as home, checkout_of(BEFORE) as old:
        paths = _records(Path(home))
        for number in range(1, ROUNDS + 1):
            for side, tree in (("before", old), ("now", CHECKOUT)):
                found[side].append(_measure(side, tree, Path(home) / "home", paths))
                click.echo(f"round {number} of {ROUNDS}, {side}: {found[side][-1]}")
    table = Table("parse for", f"{BEFORE}, core-s", "now, core-s", "ratio")
    report = {}
    for name in ("lake", "metrics"):
        before, now = (
            median(r[name][0] for r in found[side]) / (PASSES * LINES) * 1e6
            for side in ("before", "now")
        )
        report[name] = {"before": before, "now": now, "ratio": now / before}
        table.add_row(name, f"{before:.1f}", f"{now:.1f}", f"{now / before:.2f}")
    Console().print(table)
    both = sum(r["now"] for r in report.values()) / sum(r["before"] for r in report.values())
    click.echo(f"core-seconds per million lines, both: ratio {both:.2f} (must {MUST}, aim {AIM})")
    write_report("parse", {"lines": LINES, "ratio": both, "per_million_lines": report})
    sys.exit(both > MUST)


if __name__ == "__main__":
    main()
