"""`python -m tests.bench.fortnight`: the detector on a generated fortnight, clean and attacked.

Realistic traffic of a shop is learned from; the same fortnight is evaluated without an attack, and
its last days with labelled attacks. Another fortnight, with one incident a day of every kind,
shows how far attacks in the past move the thresholds.
"""

import argparse
import gzip
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, Final

import click
import polars as pl
from pyspark.sql import SparkSession

from batch.evaluation.attacks import RULES as ATTACKS
from batch.evaluation.scores import run_backtest
from batch.files.log_files import chunks, log_file
from batch.files.scan import records_of
from batch.jobs.backtest import field_of
from batch.jobs.baselines import by_day
from batch.learning.learn import learn
from batch.learning.profiles import Profiles, evaluate_all
from stack.demo.history import past_incidents, server_records
from stack.demo.profile import Profile
from streaming.contracts import frames, names, tables
from streaming.contracts.settings import Settings
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import Limits, Rules
from streaming.logs.access import parse_access
from streaming.logs.error import parse_errors, stitch
from streaming.logs.records import accepted
from streaming.spark import delta_tables
from streaming.spark.arrow_bridge import spark_frame
from streaming.spark.profile_store import TRAFFIC, profiles_of_logs
from streaming.spark.session import spark_session, tune_for_long_jobs
from streaming.windows.error_profile import error_profiles

START: Final = 1_792_972_800
"""A Monday, 2026-10-26: the fortnight begins a day after the clocks of Europe changed."""
SERVERS: Final = ("web1", "web2")
DAY: Final = 86_400
FILE_BYTES: Final = 64 << 20
"""Bytes of log lines that are appended at once."""
RULES: Final = Rules()


def write_day(task: tuple[Path, str, int, float, int, bool]) -> None:
    """Write the access and the error log of one server and day."""
    home, server, day, rate, seed, attacked = task
    profile = Profile(rate, SERVERS)
    start = START + day * DAY
    bad = past_incidents(SERVERS, start, start + DAY, seed) if attacked else ()
    paths = (home / f"access.{server}.{day:02}.log.gz", home / f"error.{server}.{day:02}.log.gz")
    with gzip.open(paths[0], "wt", 1) as access, gzip.open(paths[1], "wt", 1) as errors:
        for record in server_records(profile, server, start, start + DAY, seed + day, bad):
            (errors if record.error else access).write(record.line + "\n")


def write_lines(home: Path, days: int, rate: float, seed: int, attacked: bool) -> None:
    """Write the logs of a period, two days at a time."""
    home.mkdir(parents=True)
    tasks = [(home, s, d, rate, seed, attacked) for d in range(days) for s in SERVERS]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(write_day, tasks))


def load(spark: SparkSession, settings: Settings, home: Path) -> None:
    """Put the logs into a lake of their own, with their profiles."""
    for name in (names.ACCESS_LOGS, names.TRAFFIC_PROFILES, names.ERROR_PROFILES):
        delta_tables.ensure_table(spark, settings, name)
    for server in SERVERS:
        for path in sorted(home.glob(f"access.{server}.*")):
            for chunk in chunks(log_file(path, server), size=FILE_BYTES):
                rows = parse_access(records_of(chunk), history_days=None, server=server)
                _append(spark, settings, names.ACCESS_LOGS, accepted(rows, frames.ACCESS_LOGS))
    logs = delta_tables.read_table(spark, settings, names.ACCESS_LOGS)
    made = profiles_of_logs(TRAFFIC, logs).write.format("delta").mode("append")
    made.save(settings.table(names.TRAFFIC_PROFILES))
    for path in sorted(home.glob("error.*")):
        for chunk in chunks(log_file(path, path.name.split(".")[1]), size=FILE_BYTES):
            lines = stitch(records_of(chunk))
            rows = parse_errors(lines, time_zones={"*": "UTC"}, history_days=None)
            errors = error_profiles(accepted(rows, frames.ERROR_LOGS), fleet=False)
            _append(spark, settings, names.ERROR_PROFILES, errors)


def loaded(spark: SparkSession, settings: Settings) -> Profiles:
    """Return the profiles of a lake, a day at a time."""
    traffic, errors = (
        delta_tables.read_table(spark, settings, name)
        for name in (names.TRAFFIC_PROFILES, names.ERROR_PROFILES)
    )
    return Profiles(partial(by_day, traffic), partial(by_day, errors))


def _append(spark: SparkSession, settings: Settings, table: str, rows: pl.DataFrame) -> None:
    frame = spark_frame(spark, rows, tables.TABLES[table])
    frame.write.format("delta").mode("append").save(settings.table(table))


def moves(clean: Iterable[Mapping[str, Any]], bad: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The largest relative move of an upper threshold, by metric."""
    key = ("server_address", "metric", "key", "hour_of_week")
    before = {tuple(row[k] for k in key): row["upper"] for row in clean}
    found: dict[str, float] = defaultdict(float)
    for row in bad:
        old = before.get(tuple(row[k] for k in key))
        if old:
            found[row["metric"]] = max(found[row["metric"]], abs(row["upper"] / old - 1))
    return dict(found)


def by_kind(incidents: Iterable[Incident]) -> dict[str, int]:
    """How many incidents there are of each kind."""
    counts: dict[str, int] = defaultdict(int)
    for incident in incidents:
        counts[f"{incident.kind} {incident.server}"] += 1
    return dict(counts)


def attacked(
    spark: SparkSession, settings: Settings, tried: Mapping[str, Limits], seeds: int, days: int
) -> None:
    """Tell recall, precision and delay of each rule over several plans of attacks."""
    sums: dict[tuple[str, str], dict[str, Any]] = {
        (how, rule): {"attacks": 0, "found": 0, "false": 0, "medians": [], "worst": 0.0}
        for how in tried
        for rule in dict.fromkeys(ATTACKS.values())
    }
    for seed in range(1, seeds + 1):
        past = field_of(spark, settings, days, seed)
        for how, limits in tried.items():
            result = run_backtest(past, limits, RULES, sweep=False)
            for score in result.scores:
                own = sums[how, score.rule]
                own["attacks"] += score.attacks
                own["found"] += score.found
                own["false"] += score.false_alarms
                if score.median_delay_s is not None and score.worst_delay_s is not None:
                    own["medians"].append(score.median_delay_s)
                    own["worst"] = max(own["worst"], score.worst_delay_s)
            for attack in result.missed:
                say("missed", limits=how, seed=seed, attack=attack.name, server=attack.server)
    for (how, rule), own in sums.items():
        own["median"] = median(own.pop("medians") or [0.0])
        say("attacked", limits=how, rule=rule, **own)


def main() -> None:
    """Print every figure as JSON, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--rate", type=float, default=2.0, help="requests/s of both servers")
    parser.add_argument("--seeds", type=int, default=3, help="plans of attacks")
    parser.add_argument("--attacked-days", type=int, default=2, help="last days that are attacked")
    parser.add_argument("--clean-only", action="store_true", help="leave the poisoned past out")
    parser.add_argument("--home", type=Path, help="where lines and tables are kept; default: none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loglake-") as temporary:
        run(options.home or Path(temporary), options)


def run(home: Path, options: argparse.Namespace) -> None:
    """Make what is missing under `home`, then measure."""
    days = options.days
    settings = Settings(home=home / "clean")
    lines = {"clean": home / "clean-lines", "attacked": home / "attacked-lines"}
    if options.clean_only:
        del lines["attacked"]
    for name, where in lines.items():
        if not where.exists():
            write_lines(where, days, options.rate, 1, name == "attacked")
    spark = spark_session(settings, "loglake-fortnight")
    spark.sparkContext.setLogLevel("ERROR")
    tune_for_long_jobs(spark)
    fits = {}
    for name, where in lines.items():
        place = settings.with_changes(home=home / name)
        started = monotonic()
        if not Path(place.table(names.TRAFFIC_PROFILES)).exists():
            load(spark, place, where)
        profiles = loaded(spark, place)
        count = sum(map(len, profiles.traffic()))
        say("profiles", which=name, profiles=count, seconds=monotonic() - started)
        started = monotonic()
        fits[name] = learn(profiles, RULES)
        say("fit", which=name, seconds=monotonic() - started, rows=len(fits[name].rows))
        say("left out of the fit", which=name, incidents=by_kind(fits[name].incidents))
        if name == "clean":
            limits = fits[name].limits(replace(RULES))
            end = START + days * DAY
            found = merge(evaluate_all(profiles, limits, RULES), end)
            say("clean fortnight", incidents=by_kind(found), days=days, servers=len(SERVERS))
            tried = {"learned": limits, "static": Limits()}
            attacked(spark, place, tried, options.seeds, options.attacked_days)
    if "attacked" in fits:
        say("largest move of a threshold", **moves(fits["clean"].rows, fits["attacked"].rows))
    spark.stop()


def say(what: str, **figures: Any) -> None:
    """Print one JSON object."""
    click.echo(json.dumps({"what": what, **figures}))


if __name__ == "__main__":
    main()
