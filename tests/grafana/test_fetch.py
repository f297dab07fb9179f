"""Grafana is found, or fetched from a server and checked; start.sh hands it what it needs."""

import hashlib
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from stack import grafana
from stack.secrets import write_private
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

PROGRAM = """#!/bin/sh
echo "arguments: $*"
env | grep -E '^(LOGLAKE_|GF_)' | sort
"""
"""Stands where Grafana stands and shows what it was given."""


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def downloads(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of files, its address and its directory."""
    root = tmp_path / "downloads"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", root
    server.shutdown()
    server.server_close()


def publish(root: Path, files: dict[str, str], *, digest: str | None = None) -> None:
    """Put a tarball and its checksum where the official ones would be."""
    name = f"grafana-{grafana.VERSION}.linux-{grafana._ARCHITECTURES[os.uname().machine]}.tar.gz"
    with tarfile.open(root / name, "w:gz") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    actual = hashlib.sha256((root / name).read_bytes()).hexdigest()
    (root / f"{name}.sha256").write_text(f"{digest or actual}  {name}\n")


GOOD = {
    f"grafana-{grafana.VERSION}/bin/grafana": PROGRAM,
    f"grafana-{grafana.VERSION}/conf/defaults.ini": "",
}


def test_fetched_once_then_found(settings: Settings, downloads: tuple[str, Path]) -> None:
    address, root = downloads
    publish(root, GOOD)
    home = grafana.ensure(settings, address)
    assert home == grafana.cached(settings) == grafana.find(settings)
    for path in root.iterdir():
        path.unlink()
    assert grafana.ensure(settings, address) == home
    assert [path.name for path in settings.cache.iterdir()] == [home.name]


@pytest.mark.parametrize(
    ("files", "digest", "message"),
    [
        pytest.param(GOOD, "0" * 64, "is published for it", id="wrong checksum"),
        pytest.param({"other/readme": ""}, None, "holds no bin/grafana", id="another archive"),
        pytest.param({"../bin/grafana": ""}, None, "is broken", id="path that climbs out"),
    ],
)
def test_bad_archive_is_not_used(
    settings: Settings,
    downloads: tuple[str, Path],
    files: dict[str, str],
    digest: str | None,
    message: str,
) -> None:
    address, root = downloads
    publish(root, files, digest=digest)
    with pytest.raises(StackError, match=message):
        grafana.ensure(settings, address)
    assert list(settings.cache.iterdir()) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_unreachable_is_one_clear_line(settings: Settings, address: str) -> None:
    with pytest.raises(StackError, match="LOGLAKE_GRAFANA_HOME") as failure:
        grafana.ensure(settings, address)
    assert "\n" not in str(failure.value)


def test_missing_checksum_is_a_failure(settings: Settings, downloads: tuple[str, Path]) -> None:
    address, root = downloads
    publish(root, GOOD)
    next(root.glob("*.sha256")).unlink()
    with pytest.raises(StackError, match="HTTPStatusError"):
        grafana.ensure(settings, address)


def test_setting_goes_before_path_before_cache(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = {name: install(tmp_path / name) for name in ("chosen", "on-path")}
    install(grafana.cached(settings))
    assert grafana.find(settings) == grafana.cached(settings)
    monkeypatch.setenv("PATH", f"{homes['on-path']}/bin:/usr/bin:/bin")
    assert grafana.find(settings) == homes["on-path"]
    chosen = settings.with_changes(grafana_home=str(homes["chosen"]))
    assert grafana.find(chosen) == homes["chosen"]


def test_wrong_setting_is_told(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="holds no bin/grafana"):
        grafana.find(settings.with_changes(grafana_home=str(tmp_path / "nowhere")))


def test_without_grafana_the_receiver_runs_alone(settings: Settings) -> None:
    assert [service.name for service in grafana.services(settings)] == ["webhook"]


def install(home: Path) -> Path:
    for name, text in {"bin/grafana": PROGRAM, "conf/defaults.ini": ""}.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return home


def start(settings: Settings, home: Path, **more: str) -> dict[str, str]:
    """Run start.sh as the supervisor does and return what the program was given."""
    service = next(s for s in grafana.services(settings) if s.name == "grafana")
    service.prepare()
    write_private(settings.home / "secrets" / "influx_read_token", "read-only")
    done = subprocess.run(
        service.command,
        env={"PATH": "/usr/bin:/bin", **service.environment, **more},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments, *lines = done.stdout.splitlines()
    return {"arguments": arguments, **dict(line.split("=", 1) for line in lines)}


def test_start_hands_over_tokens_paths_and_links(settings: Settings, tmp_path: Path) -> None:
    home = install(tmp_path / "grafana")
    changed = settings.with_changes(
        grafana_home=str(home), dagster_port=23_070, webhook_port=28_099
    )
    # As the official image has them; they would win over grafana.ini.
    given = start(changed, home, GF_PATHS_PROVISIONING="/etc/grafana", GF_PATHS_DATA="/var/lib")
    assert f"--homepath {home}" in given["arguments"]
    assert given["GF_PATHS_DATA"] == str(changed.home / "grafana")
    assert (Path(given["GF_PATHS_PROVISIONING"]) / "alerting" / "rules.yaml").is_file()
    assert Path(given["GF_PATHS_PROVISIONING"]).is_relative_to(given["GF_PATHS_DATA"])
    assert given["LOGLAKE_INFLUX_READ_TOKEN"] == "read-only"
    assert len(given["GF_SECURITY_ADMIN_PASSWORD"]) >= 32
    assert given["LOGLAKE_INFLUX_URL"] == changed.influx
    assert given["LOGLAKE_ALERT_WEBHOOK_URL"] == "http://127.0.0.1:28099/alerts"
    assert given["LOGLAKE_BIND_ADDRESS"] == "127.0.0.1"
    written = changed.home / "grafana"
    texts = [path.read_text() for path in written.rglob("*") if path.is_file()]
    assert any("http://127.0.0.1:23070" in text for text in texts)
    assert not any("127.0.0.1:13070" in text or "127.0.0.1:18099" in text for text in texts)
    assert not any("read-only" in text for text in texts), "a token was written to a file"
    assert not any(path.stat().st_mode & 0o077 for path in written.rglob("*"))


@pytest.mark.parametrize(
    ("changes", "receivers"),
    [
        pytest.param({}, ["webhook"], id="default"),
        pytest.param({"alert_email": "a@example.org"}, ["webhook", "email"], id="e-mail"),
        pytest.param(
            {"alert_slack_url": "https://example.org/x"}, ["webhook", "slack"], id="slack"
        ),
        pytest.param(
            {"alert_email": "a@example.org", "alert_slack_url": "https://example.org/x"},
            ["webhook", "email", "slack"],
            id="all",
        ),
    ],
)
def test_contact_points_follow_the_settings(
    settings: Settings, tmp_path: Path, changes: dict[str, str], receivers: list[str]
) -> None:
    home = install(tmp_path / "grafana")
    changed = settings.with_changes(grafana_home=str(home), **changes)
    start(changed, home)
    start(changed, home)
    path = changed.home / "grafana" / "provisioning" / "alerting" / "contact-points.yaml"
    (point,) = yaml.safe_load(path.read_text())["contactPoints"]
    assert [receiver["type"] for receiver in point["receivers"]] == receivers
