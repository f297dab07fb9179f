"""Run every bench; each prints a table and keeps its figures under docs/benchmarks."""

import subprocess
import sys
from typing import Final

BENCHES: Final = ("detect", "parse", "keep_ratio", "latency")


def main() -> int:
    """Run them one after the other; exit status 1 when one misses what it must reach."""
    missed = [
        name
        for name in BENCHES
        if subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode
    ]
    sys.stdout.write(f"missed: {', '.join(missed) or 'nothing'}\n")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
