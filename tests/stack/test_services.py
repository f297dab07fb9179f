"""The rendered supervisord.conf, read back by supervisord's own parser."""

import shlex
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from orchestration.supervisor import socket_path
from stack.render import supervisor_variable, supervisor_word
from stack.services import services, write_supervisord_conf
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings


def _programs(conf: Path) -> dict:
    options = ServerOptions()
    options.realize(["-c", str(conf)])
    return {group.name: group.process_configs[0] for group in options.process_group_configs}


@pytest.fixture
def conf(settings: Settings) -> Path:
    settings.log_dir.mkdir()
    return write_supervisord_conf(settings, services(settings))


def test_supervisord_understands_every_program(settings: Settings, conf: Path) -> None:
    programs = _programs(conf)
    table = {service.name: service for service in services(settings)}
    assert set(programs) == set(table)
    for name, program in programs.items():
        service = table[name]
        assert not program.autostart
        assert program.killasgroup
        assert Path(program.stdout_logfile) == settings.log_dir / f"{name}.log"
        for variable, value in service.environment.items():
            assert program.environment[variable] == value


def test_configuration_with_its_password_is_private(conf: Path) -> None:
    assert conf.stat().st_mode & 0o777 == 0o600


def test_stop_of_a_stream_reaches_python_alone(conf: Path) -> None:
    programs = _programs(conf)
    assert not programs["stream_access"].stopasgroup
    assert programs["stream_access"].stopwaitsecs >= 60
    assert programs["nginx-web1"].stopasgroup


def test_one_setting_adds_a_server(settings: Settings) -> None:
    four = settings.with_changes(servers=("web1", "web2", "web3", "web4"))
    added = {s.name for s in services(four)} - {s.name for s in services(settings)}
    assert added == {"nginx-web4", "flume-web4"}


def test_services_of_others_are_not_started(settings: Settings) -> None:
    remote = settings.with_changes(
        kafka_bootstrap_servers="kafka.example:9092", influx_url="https://influx.example"
    )
    table = {service.name: service for service in services(remote)}
    assert "kafka" not in table
    assert "influxd" not in table
    assert table["flume-collector"].depends_on == ()


def test_dependencies_are_declared_before_their_users(settings: Settings) -> None:
    seen: set[str] = set()
    for service in services(settings):
        assert seen.issuperset(service.depends_on)
        seen.add(service.name)


@pytest.mark.parametrize("text", ["a b", "50%", "it's", '{"*":"UTC"}', "a;b", "#1"])
def test_values_survive_supervisor_quoting(settings: Settings, text: str) -> None:
    settings.log_dir.mkdir(exist_ok=True)
    conf = settings.home / "quoting.conf"
    conf.write_text(
        f"[supervisord]\nlogfile = {settings.log_dir}/s.log\n[program:x]\n"
        f"command = {supervisor_word('/bin/echo')} {supervisor_word(text)}\n"
        f"environment = A={supervisor_variable(text)}\n"
    )
    program = _programs(conf)["x"]
    assert program.environment["A"] == text
    assert shlex.split(program.command) == ["/bin/echo", text]


@pytest.mark.parametrize("text", ["a ;b", "a #b", "a\nb", "'\""], ids=repr)
def test_values_that_supervisor_would_misread_are_refused(text: str) -> None:
    with pytest.raises(StackError):
        supervisor_variable(text)


def test_home_too_long_for_a_socket_is_told(settings: Settings) -> None:
    deep = settings.with_changes(home=Path("/tmp") / ("x" * 90))
    with pytest.raises(StackError, match=r"LOGLAKE_HOME .* too long"):
        socket_path(deep)
