"""A missing prerequisite is one sentence with its remedy."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from stack import setup
from stack.env_example import env_example
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT, Settings


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but what a test puts there."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(setup, "_MORE_PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return path


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_no_java(empty_machine: Path, settings: Settings) -> None:
    with pytest.raises(StackError, match="openjdk-17-jdk-headless"):
        setup.setup(settings, Console())


def test_java_too_old(empty_machine: Path, settings: Settings) -> None:
    _program(empty_machine / "java", "echo 'openjdk version \"11.0.2\" 2019' >&2")
    with pytest.raises(StackError, match="is Java 11; Java 17 or later"):
        setup.setup(settings, Console())


def test_every_missing_tool_is_told_at_once(
    empty_machine: Path, settings: Settings, tmp_path: Path
) -> None:
    _program(empty_machine / "java", "echo 'openjdk version \"17.0.2\" 2019' >&2")
    bare = settings.with_changes(cache=tmp_path / "cache")
    with pytest.raises(StackError) as failure:
        setup.setup(bare, Console())
    for remedy in ("apt-get install maven", "go.dev", "rustup.rs", "build-essential"):
        assert remedy in str(failure.value)
    assert not (tmp_path / "cache").exists()


def test_influxd_of_another_major_version_is_not_used(
    empty_machine: Path, settings: Settings
) -> None:
    _program(empty_machine / "influxd", "echo 'InfluxDB v1.6.7~rc0 (git: unknown)'")
    assert setup.influxd(settings).parent == settings.cache / "bin"
    _program(empty_machine / "influxd", "echo 'InfluxDB v2.7.12 (git: none)'")
    assert setup.influxd(settings) == empty_machine / "influxd"


def test_jars_of_another_version_lie_elsewhere(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pom = tmp_path / "stack" / "jars" / "kafka.xml"
    pom.parent.mkdir(parents=True)
    pom.write_text((CHECKOUT / "stack" / "jars" / "kafka.xml").read_text().replace("4.3.1", "4.4"))
    here = settings.jars("kafka")
    monkeypatch.setattr("streaming.contracts.settings.CHECKOUT", tmp_path)
    assert settings.jars("kafka") != here


def test_the_archive_of_classes_is_made_anew_for_other_jars(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive = tmp_path / "spark-classes.jsa"
    monkeypatch.setattr(setup, "CLASS_ARCHIVE", archive)
    bare = settings.with_changes(cache=tmp_path / "cache")
    bare.jars("spark").mkdir(parents=True)
    step = setup._class_archive(bare)
    assert step.missing()
    archive.touch()
    assert not step.missing()
    time.sleep(0.01)
    (bare.jars("spark") / "delta.jar").touch()
    assert step.missing()


def test_env_example_is_up_to_date() -> None:
    written = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    assert written == env_example(), "run `python -m stack.env_example > .env.example`"
