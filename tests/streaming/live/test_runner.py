"""A stream as a program: what it says when it cannot start."""

import os
import subprocess
import sys

import pytest

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.live.runner import _only_one

pytestmark = pytest.mark.spark


def start(settings: Settings, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run stream_access with `settings`, and variables that need not be right, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streaming.live.stream_access"],
        env={**os.environ, **settings.environment(), **changes},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"kafka_bootstrap_servers": "127.0.0.1:1"},
            ("Kafka at 127.0.0.1:1 cannot be reached", "LOGLAKE_KAFKA_BOOTSTRAP_SERVERS"),
            id="Kafka is away",
        ),
        pytest.param(
            {"kafka_bootstrap_servers": "nonsense"},
            ("Kafka at nonsense cannot be reached", "LOGLAKE_KAFKA_BOOTSTRAP_SERVERS"),
            id="Kafka's address is none",
        ),
    ],
)
def test_a_missing_service_is_one_sentence(
    settings: Settings, changes: dict[str, str], words: tuple[str, ...]
) -> None:
    done = start(settings.with_changes(**changes))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_second_stream_on_one_checkpoint_is_refused(settings: Settings) -> None:
    with _only_one(settings, names.STREAM_ACCESS):
        done = start(settings)
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_one_sentence_with_the_name_of_its_variable(settings: Settings) -> None:
    done = start(settings, LOGLAKE_SPARK_UI_PORT="many")
    assert done.returncode == 1
    assert "LOGLAKE_SPARK_UI_PORT is wrong" in done.stderr
    assert "Traceback" not in done.stderr
