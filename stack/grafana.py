"""Grafana of the native stack: found, or its official tarball fetched and checked."""

import hashlib
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from stack.secrets import ensure_secret
from stack.service import Service
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT, Settings

VERSION: Final = "12.3.2"
DOWNLOADS: Final = "https://dl.grafana.com/oss/release"
"""Where Grafana Labs publishes the OSS tarballs, each with its SHA-256 beside it."""

START: Final = CHECKOUT / "grafana" / "start.sh"
ADMIN_PASSWORD: Final = "grafana_admin_password"  # noqa: S105 (the name of the secret)
# A machine without a way out must learn so at once.
_TIMEOUT: Final = httpx.Timeout(60, connect=5)
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def find(settings: Settings) -> Path | None:
    """Home of the Grafana to use: the setting, PATH, the cache; None when there is none.

    Raises `StackError` when the setting names a directory that holds no Grafana.
    """
    if settings.grafana_home:
        home = Path(settings.grafana_home).expanduser()
        if not _is_home(home):
            raise StackError(
                f"LOGLAKE_GRAFANA_HOME {home} holds no bin/grafana and conf/defaults.ini; "
                "name an installation of Grafana, or leave it empty"
            )
        return home
    program = shutil.which("grafana")
    # Packages put the program on PATH and the rest into /usr/share.
    on_path = [Path(program).resolve().parent.parent, Path("/usr/share/grafana")] if program else []
    return next((home for home in (*on_path, cached(settings)) if _is_home(home)), None)


def cached(settings: Settings) -> Path:
    """Where the fetched Grafana is kept, or will be."""
    return settings.cache / f"grafana-{VERSION}"


def ensure(settings: Settings, downloads: str = DOWNLOADS) -> Path:
    """Return the home of a Grafana, fetching it when there is none.

    Raises `StackError`, one line, when it cannot be had; the rest of the stack works without it.
    """
    found = find(settings)
    if found is None:
        found = cached(settings)
        _fetch(found, downloads)
    return found


def services(settings: Settings) -> list[Service]:
    """The receiver of alerts, and Grafana when there is one."""
    table = [
        Service(
            "webhook",
            (sys.executable, "-m", "stack.webhook"),
            ports={"webhook_port": settings.webhook_port},
            health_path="/health",
            environment=settings.environment(),
        )
    ]
    home = find(settings)
    if home is not None:
        table.append(
            Service(
                "grafana",
                ("sh", str(START)),
                ports={"grafana_port": settings.grafana_port},
                health_path="/api/health",
                depends_on=("webhook", *(() if settings.influx_url else ("influxd",))),
                prepare=partial(ensure_secret, settings, ADMIN_PASSWORD),
                environment=environment(settings, home),
                stop_seconds=30,
            )
        )
    return table


def environment(settings: Settings, home: Path) -> dict[str, str]:
    """What start.sh reads."""
    return {
        **settings.environment(),
        "LOGLAKE_INFLUX_URL": settings.influx,
        "LOGLAKE_GRAFANA_HOME": str(home),
    }


def _is_home(path: Path) -> bool:
    return (path / "bin" / "grafana").is_file() and (path / "conf" / "defaults.ini").is_file()


def _fetch(home: Path, downloads: str) -> None:
    machine = _ARCHITECTURES.get(platform.machine())
    if platform.system() != "Linux" or machine is None:
        raise StackError(
            f"Grafana is not fetched for {platform.system()} on {platform.machine()}; install it "
            "and set LOGLAKE_GRAFANA_HOME"
        )
    url = f"{downloads}/grafana-{VERSION}.linux-{machine}.tar.gz"
    with _scratch(home) as scratch:
        archive = scratch / "grafana.tar.gz"
        try:
            with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
                wanted = _published_digest(client, f"{url}.sha256")
                digest = _download(client, url, archive)
        except httpx.HTTPError as error:
            raise StackError(
                f"Grafana {VERSION} cannot be fetched from {url} ({type(error).__name__}); "
                "install it and set LOGLAKE_GRAFANA_HOME, or use stack/compose.yaml"
            ) from error
        if digest != wanted:
            raise StackError(
                f"{url} has SHA-256 {digest}, but {wanted} is published for it; it is not used. "
                "Try again, or install Grafana and set LOGLAKE_GRAFANA_HOME"
            )
        _unpack(archive, scratch / "unpacked", home)


@contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent) as path:
        yield Path(path)


def _published_digest(client: httpx.Client, url: str) -> str:
    answer = client.get(url)
    answer.raise_for_status()
    words = answer.text.split()
    return words[0].lower() if words else ""


def _download(client: httpx.Client, url: str, target: Path) -> str:
    digest = hashlib.sha256()
    with client.stream("GET", url) as answer, target.open("wb") as file:
        answer.raise_for_status()
        for chunk in answer.iter_bytes(1 << 20):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _unpack(archive: Path, unpacked: Path, home: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
    except tarfile.TarError as error:
        raise StackError(
            f"the archive of Grafana {VERSION} is broken ({error}); try again"
        ) from error
    found = [path for path in unpacked.iterdir() if _is_home(path)]
    if not found:
        raise StackError(
            f"the archive of Grafana {VERSION} holds no bin/grafana and conf/defaults.ini; "
            "install Grafana and set LOGLAKE_GRAFANA_HOME"
        )
    # Another checkout may have been first: the content is the same.
    if not home.exists():
        found[0].rename(home)
