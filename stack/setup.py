"""What the stack needs on this machine: find it, or fetch or build it once into the cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from stack import grafana
from stack.processes import run
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT, CLASS_ARCHIVE, Settings

JAVA_MIN: Final = 17
JARS: Final = ("kafka", "flume", "spark")
INFLUX_BUILD: Final = CHECKOUT / "stack" / "influxdb"
FLUME_SOURCES: Final = CHECKOUT / "flume" / "java"
# /usr/sbin is not on the PATH of an ordinary user on Debian; Go and Rust have homes of their own.
_MORE_PATH: Final = f"/usr/sbin:/usr/local/sbin:/usr/local/go/bin:{Path.home() / '.cargo/bin'}"


@dataclass(frozen=True)
class Step:
    """One thing to have: `missing` says so in a word, `run` gets it, `tools` must be there."""

    title: str
    missing: Callable[[], bool]
    run: Callable[[], None]
    tools: tuple[str, ...] = ()


_REMEDIES: Final = {
    "java": "Java 17 or later is missing; use `apt-get install openjdk-17-jdk-headless`",
    "javac": "javac is missing; install a JDK with `apt-get install openjdk-17-jdk-headless`",
    "mvn": "Maven is missing; install it with `apt-get install maven`",
    "go": "Go 1.23 or later is missing; install it from go.dev, or put an influxd 2.x on PATH",
    "cargo": "Rust is missing; install it from rustup.rs, or put an influxd 2.x on PATH",
    "gcc": "a C compiler is missing; install it with `apt-get install build-essential`, "
    "or put an influxd 2.x on PATH",
}


def find_program(name: str) -> str | None:
    """Path of a program on PATH or in the usual places beside it, or None."""
    return shutil.which(name) or shutil.which(name, path=_MORE_PATH)


def java() -> str:
    """Path of a Java 17 or later, from JAVA_HOME or PATH.

    Raises `StackError` when there is none.
    """
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin") if home else None
    program = program or shutil.which("java")
    if program is None:
        raise StackError(_REMEDIES["java"])
    version = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(\d+)', version.stderr)
    if match is None or int(match[1]) < JAVA_MIN:
        found = match[1] if match else "unknown"
        raise StackError(f"{program} is Java {found}; {_REMEDIES['java']}")
    return program


def influxd(settings: Settings) -> Path:
    """The influxd to run: a 2.x on PATH, else the one of the cache, which may not exist yet."""
    found = shutil.which("influxd")
    if found and _output([found, "version"]).startswith("InfluxDB v2"):
        return Path(found)
    return settings.cache / "bin" / f"influxd-{_influx_version()}"


def flume_classes(settings: Settings) -> Path:
    """Where the compiled classes of flume/java are kept."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in _flume_sources()))
    return settings.cache / f"flume-classes-{digest.hexdigest()[:8]}"


def setup(settings: Settings, console: Console) -> None:
    """Get whatever is missing, showing progress; quick when nothing is.

    Raises `StackError` naming the first thing that is missing and its remedy.
    """
    java()
    todo = [step for step in [*steps(settings), _class_archive(settings)] if step.missing()]
    lacking = [tool for step in todo for tool in step.tools if find_program(tool) is None]
    if lacking:
        raise StackError("; ".join(_REMEDIES[tool] for tool in dict.fromkeys(lacking)))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for step in todo:
            task = progress.add_task(step.title, total=1)
            step.run()
            progress.update(task, completed=1)
    try:
        grafana.ensure(settings)
    except StackError as error:
        console.print(f"[yellow]Going on without Grafana[/yellow]: {error}")


def check(settings: Settings) -> None:
    """Raise `StackError` when something is missing that `setup` would get."""
    java()
    missing = [step.title for step in steps(settings) if step.missing()]
    if missing:
        raise StackError(f"missing: {', '.join(missing)}; run `loglake setup`")


def steps(settings: Settings) -> list[Step]:
    """Everything to have, missing or not."""
    jars = [
        Step(
            f"{name} JARs",
            partial(_absent, settings.jars(name)),
            partial(_fetch_jars, settings, name),
            ("mvn",),
        )
        for name in JARS
    ]
    classes = Step(
        "Flume extension",
        partial(_absent, flume_classes(settings)),
        partial(_compile_flume, settings),
        ("javac",),
    )
    build = Step(
        "InfluxDB (built from source, about 4 minutes)",
        partial(_absent, influxd(settings)),
        partial(_build_influxd, settings),
        ("go", "cargo", "gcc"),
    )
    nginx = Step("nginx", lambda: find_program("nginx") is None, _install_nginx)
    return [*jars, classes, build, nginx]


def _class_archive(settings: Settings) -> Step:
    """Return what makes every Spark program start sooner; they run without it."""

    def missing() -> bool:
        sources = (Path(java()).resolve(), settings.jars("spark"), _pyspark_jars())
        if not all(path.exists() for path in (CLASS_ARCHIVE, *sources)):
            return True
        # When they came to this machine: a package keeps the older times of its files.
        newest = max(path.stat().st_ctime for path in sources)
        return CLASS_ARCHIVE.stat().st_ctime < newest

    def make() -> None:
        draft = CLASS_ARCHIVE.with_suffix(".new")
        for path in (draft, CLASS_ARCHIVE):
            path.unlink(missing_ok=True)
        program = [sys.executable, "-m", "streaming.spark.class_archive", str(draft)]
        environment = {**os.environ, **settings.environment()}
        run(program, "archiving Spark's classes", environment)
        draft.rename(CLASS_ARCHIVE)

    return Step("Archive of Spark's classes (about a minute)", missing, make)


def _absent(path: Path) -> bool:
    return not path.exists()


def _fetch_jars(settings: Settings, name: str) -> None:
    target = settings.jars(name)
    with _draft(target) as draft:
        pom = CHECKOUT / "stack" / "jars" / f"{name}.xml"
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        _run(["mvn", "-q", "-B", "-f", str(pom), *goal, f"-DoutputDirectory={draft}"], name)
        if name == "spark":
            _drop_shipped(Path(draft))


def _drop_shipped(jars: Path) -> None:
    """Two versions of one artifact on Spark's classpath break it: its own one stays."""
    shipped = {_artifact(jar) for jar in _pyspark_jars().glob("*.jar")}
    for jar in jars.glob("*.jar"):
        if _artifact(jar) in shipped:
            jar.unlink()


def _pyspark_jars() -> Path:
    pyspark = find_spec("pyspark")
    if pyspark is None or pyspark.origin is None:
        raise StackError("pyspark is not installed; run `make setup`")
    return Path(pyspark.origin).parent / "jars"


def _artifact(jar: Path) -> str:
    return re.sub(r"-\d+(\.\d+)+.*$", "", jar.stem)


def _compile_flume(settings: Settings) -> None:
    with _draft(flume_classes(settings)) as draft:
        sources = [str(path) for path in _flume_sources()]
        classpath = f"{settings.jars('flume')}/*"
        _run(["javac", "--release", "17", "-cp", classpath, "-d", draft, *sources], "javac")


def _build_influxd(settings: Settings) -> None:
    _run([str(INFLUX_BUILD / "build.sh"), str(influxd(settings))], "influxd")


def _install_nginx() -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StackError("nginx is missing; install it with `sudo apt-get install nginx-light`")
    _run(["apt-get", "update", "-q"], "nginx")
    packages = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "nginx-light"]
    _run(packages, "nginx")


@contextmanager
def _draft(target: Path) -> Iterator[str]:
    """Yield a directory that takes its name only when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    draft.chmod(0o755)
    try:
        yield str(draft)
        # Another checkout may have been first: the content is the same.
        if not target.exists():
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _run(command: list[str], what: str) -> None:
    path = f"{os.environ.get('PATH', '')}:{_MORE_PATH}"
    environment = {**os.environ, "PATH": path, "DEBIAN_FRONTEND": "noninteractive"}
    run([find_program(command[0]) or command[0], *command[1:]], f"setting up {what}", environment)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _influx_version() -> str:
    match = re.search(r"influxdb/v2 v(\S+)", (INFLUX_BUILD / "go.mod").read_text("utf-8"))
    if match is None:
        raise StackError(f"{INFLUX_BUILD / 'go.mod'} names no InfluxDB version; restore the file")
    return match[1]


def _flume_sources() -> list[Path]:
    return sorted(FLUME_SOURCES.rglob("*.java"))
