"""stack/compose.yaml is valid, and all that it names exists and agrees with the native stack."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from orchestration.defs.dashboards.assets import DASHBOARDS
from stack import grafana, influx, kafka, webhook
from stack.docker import run
from stack.services import services
from stack.setup import steps
from streaming.contracts.settings import CHECKOUT, Settings
from tests.fixtures.ports import free_port_settings

FILE = CHECKOUT / "stack" / "compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONE_SHOT = {"secrets", "set-up"}
TOLD_TO_RUN = sorted(OURS.keys() - ONE_SHOT - {"grafana", "traffic"})


def dockerfile(service: dict[str, Any]) -> Path:
    return CHECKOUT / service["build"]["dockerfile"]


def instructions(path: Path) -> list[str]:
    return re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8")).splitlines()


def test_file_is_valid_against_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, FILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_bounded_watched_and_unprivileged(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory"} <= limits.keys()
    # Docker refuses a container more processors than the machine has.
    assert float(limits["cpus"]) <= 2
    assert service["restart"] in (
        {"no", "on-failure:5"} if name in ONE_SHOT else {"unless-stopped"}
    )
    assert "healthcheck" in service or name in ONE_SHOT
    assert not service.get("privileged")
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    if name in OURS:
        assert service["cap_drop"] == ["ALL"]
        users = [line.split()[1] for line in instructions(dockerfile(service)) if "USER " in line]
        assert users[-1].split(":")[0] in ("loglake", "10001")


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        completes = how["condition"] == "service_completed_successfully"
        assert completes == (other in ONE_SHOT)
        assert completes or not SERVICES[other]["healthcheck"].get("disable")
    mode = SERVICES[name].get("network_mode", "none")
    assert mode == "none" or mode.removeprefix("service:") in SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_every_mount_is_declared_and_made_by_the_image(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        volume, target = mount.split(":")[:2]
        assert volume in COMPOSE["volumes"]
        if name in OURS:
            made = [line for line in instructions(dockerfile(OURS[name])) if "install -d" in line]
            assert re.search(rf" {target}(\s|$)", made[-1]), f"{target} would belong to root"


def test_no_volume_is_left_over() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {mount.split(":")[0] for mount in mounts} == set(COMPOSE["volumes"])


@pytest.mark.parametrize(
    "path", sorted({dockerfile(s) for s in OURS.values()}), ids=lambda p: p.name
)
def test_dockerfile_copies_what_exists(path: Path) -> None:
    parts = {step.title for step in steps(Settings())}
    for line in instructions(path):
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (CHECKOUT / source).exists(), line
        if "stack.docker.image" in line:
            assert set(re.findall(r'"([^"]+)"', line)) <= parts
        for module in re.findall(r'"-m", "([\w.]+)"', line):
            assert importlib.util.find_spec(module), line


@pytest.mark.parametrize("path", [webhook.RUNBOOKS, DASHBOARDS], ids=["runbooks", "dashboards"])
def test_app_image_holds_what_its_services_read(path: Path) -> None:
    copied = [
        CHECKOUT / source
        for line in instructions(dockerfile(OURS["app"]))
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert any(path.is_relative_to(source) for source in copied)


def test_every_dockerfile_is_used() -> None:
    used = {dockerfile(service) for service in OURS.values()}
    assert used == set((CHECKOUT / "stack" / "docker").glob("*.Dockerfile"))


def test_settings_have_their_native_names() -> None:
    known = {f"LOGLAKE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"LOGLAKE_[A-Z_]+", FILE.read_text(encoding="utf-8"))) <= known
    example = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    assert all(f"#{name}=" in example for name in known)


def test_versions_and_limits_are_those_of_the_native_stack() -> None:
    pom = (CHECKOUT / "stack" / "jars" / "kafka.xml").read_text(encoding="utf-8")
    assert SERVICES["kafka"]["image"].partition(":")[2] in re.findall(r"<version>(.+?)<", pom)
    assert int(SERVICES["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) == kafka.RECORD_BYTES
    native = (CHECKOUT / "stack" / "influxdb" / "go.mod").read_text(encoding="utf-8")
    version = re.findall(r"influxdb:([\d.]+)", SERVICES["influxdb"]["image"])
    assert version == re.findall(r"influxdb/v2 v(\S+)", native)
    (base,) = re.findall(r"FROM grafana/grafana:(\S+)", dockerfile(SERVICES["grafana"]).read_text())
    assert base == grafana.VERSION
    flags = influx.influxd_command(Settings())
    for name, value in SERVICES["influxdb"]["environment"].items():
        flag = "--" + name.removeprefix("INFLUXD_").lower().replace("_", "-")
        assert flag in flags if value == "true" else f"{flag}={value}" in flags


@pytest.fixture
def container() -> Iterator[Settings]:
    """Settings as in a container: Kafka and InfluxDB are elsewhere."""
    # Not pytest's own directory: the path of the supervisor's socket must stay short.
    home = Path(tempfile.mkdtemp(prefix="loglake-"))
    yield Settings(
        home=home,
        kafka_bootstrap_servers="kafka:9092",
        influx_url="http://influxdb:8086",
        **free_port_settings(),  # type: ignore[arg-type]
    )
    shutil.rmtree(home)


@pytest.mark.parametrize("name", TOLD_TO_RUN)
def test_command_names_services_of_the_native_stack(name: str, container: Settings) -> None:
    names = [part for part in OURS[name]["command"] if part != "--supervised"]
    assert [service.name for service in run.chosen(container, names)] == names


def test_nothing_native_is_forgotten(container: Settings) -> None:
    told = {part for name in TOLD_TO_RUN for part in OURS[name]["command"]}
    native = {service.name for service in services(container)} - {"grafana", "traffic"}
    assert native <= told


def test_health_checks_name_ports_and_files_of_the_settings() -> None:
    settings = Settings.model_construct()
    ports = {int(value) for name, value in settings if name.endswith("_port")}
    ports |= set(settings.nginx_ports().values())
    for name, service in OURS.items():
        test = " ".join(service.get("healthcheck", {}).get("test", []))
        for port in re.findall(r"127\.0\.0\.1:(\d+)", test):
            assert int(port) in ports, name


@pytest.fixture
def process(container: Settings) -> Iterator[Any]:
    """Start `stack.docker.run` as a container does, and stop it as one is stopped."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **container.environment()}
        command = [sys.executable, "-m", "stack.docker.run", *arguments]
        # Dagster maps SIGTERM to SIGINT on import, and background jobs of a shell ignore SIGINT.
        default = partial(signal.signal, signal.SIGTERM, signal.SIG_DFL)
        started.append(subprocess.Popen(command, env=environment, cwd=CHECKOUT, preexec_fn=default))
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
            one.wait()


def healthy(port: int) -> int:
    command = [sys.executable, "-m", "stack.docker.healthy", f"http://127.0.0.1:{port}/health"]
    return subprocess.run(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL).returncode


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 120
    while healthy(port) != 0:
        assert time.monotonic() < deadline, "not healthy after 120 s"


@pytest.mark.parametrize("arguments", [("webhook",), ("--supervised", "webhook", "stream_errors")])
def test_container_runs_is_healthy_and_stops(
    process: Any, container: Settings, arguments: tuple[str, ...]
) -> None:
    assert healthy(container.webhook_port) != 0
    running = process(*arguments)
    wait_for(container.webhook_port)
    if arguments[0] == "--supervised":
        wish = container.run_dir / "streams" / "stream_errors.desired"
        assert "running" in wish.read_text(), "Dagster must know that it is wanted"
    running.send_signal(signal.SIGTERM)
    assert running.wait(120) in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{container.webhook_port}/health")


def test_secrets_are_made_once_and_private(process: Any, container: Settings) -> None:
    texts = []
    for _ in range(2):
        assert process("--secrets").wait(60) == 0
        texts.append({p.name: p.read_text() for p in (container.home / "secrets").iterdir()})
    assert texts[0] == texts[1]
    assert texts[0]["pgpass"] == f"postgres:5432:dagster:dagster:{texts[0]['postgres_password']}\n"
    assert {"grafana_admin_password", "supervisor_password"} <= texts[0].keys()
    assert not any(p.stat().st_mode & 0o077 for p in (container.home / "secrets").iterdir())


def test_unknown_service_is_one_sentence(container: Settings) -> None:
    command = [sys.executable, "-m", "stack.docker.run", "nothing"]
    environment = {**os.environ, **container.environment()}
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "not ['nothing']" in done.stderr
    assert "Traceback" not in done.stderr
