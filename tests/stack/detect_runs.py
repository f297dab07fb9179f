"""Log lines, and `loglake detect` run on them, in this process or in one of its own."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result

from stack.commands.detect import detect_command
from streaming.contracts.settings import Settings

START: Final = 1_767_600_000
LOGLAKE: Final = Path(sys.executable).parent / "loglake"


def access(second: float, client: str, path: str, status: int, agent: str = "Mozilla") -> str:
    at = datetime.fromtimestamp(second, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{client} - - [{at}] "GET {path} HTTP/1.1" {status} 512 "-" "{agent}"\n'


def scan(second: float = START, ending: str = "") -> str:
    return "".join(access(second, "203.0.113.9", f"/x{n}{ending}", 404) for n in range(15))


QUIET: Final = access(START, "192.0.2.1", "/", 200)
SCAN: Final = scan()


def run(home: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(detect_command, [*map(str, arguments)], obj=Settings(home=home))


def environment(home: Path, **variables: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", **Settings(home=home).environment(), **variables}


def start(home: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    variables = options.pop("variables", {})
    return subprocess.Popen(
        [str(LOGLAKE), "detect", *map(str, arguments)],
        env=environment(home, **variables),
        stdout=subprocess.PIPE,
        stderr=options.pop("stderr", subprocess.PIPE),
        text=True,
        start_new_session=True,
        **options,
    )


def big_log(path: Path, megabytes: int) -> Path:
    """Write a log with a line a second."""
    lines = "".join(access(START + n, f"192.0.2.{n % 200}", f"/{n % 50}", 200) for n in range(5000))
    with path.open("w", encoding="utf-8") as stream:
        for _ in range(megabytes * 1_000_000 // len(lines) + 1):
            stream.write(lines)
    return path
