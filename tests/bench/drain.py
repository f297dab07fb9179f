"""`python -m tests.bench.drain full 3`: what draining a full topic again and again costs one JVM.

The first drains load and compile. Settings are those of the environment, say
`LOGLAKE_MAX_ROWS_PER_BATCH`, or flags of the JVM as `LOGLAKE_SPARK_JAVA_OPTIONS`.
"""

import argparse
from typing import Any

import click
import psutil

from streaming.spark.session import spark_session
from tests.bench.keep_ratio import LINES, SIDES, full_topic


def main(side: str, drains: int) -> None:
    """Print the speed of each drain and the CPU time that its JVM had."""
    with full_topic() as settings:
        spark = spark_session(settings, f"bench-{side}")
        spark.sparkContext.setLogLevel("ERROR")
        jvm: Any = spark._jvm
        process = psutil.Process(jvm.java.lang.ProcessHandle.current().pid())
        for number in range(1, drains + 1):
            before = process.cpu_times()
            seconds = SIDES[side](spark, settings)
            after = process.cpu_times()
            cpu = after.user + after.system - before.user - before.system
            click.echo(
                f"{side} drain {number}: {seconds:.1f} s, {LINES / seconds:,.0f} lines/s, "
                f"{cpu:.0f} core-seconds"
            )
        spark.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("drains", type=int)
    options = parser.parse_args()
    main(options.side, options.drains)
