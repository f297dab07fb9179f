"""A home with a real supervisord, for tests of what Dagster does to streams."""

import tempfile
from collections.abc import Iterator

import dagster as dg
import pytest

from streaming.contracts.settings import Settings
from tests.orchestration.world import World, supervised


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world under a short path: the socket of supervisord allows no long one."""
    with tempfile.TemporaryDirectory(prefix="loglake-") as directory:
        monkeypatch.setenv("LOGLAKE_HOME", directory)
        settings = Settings()
        with supervised(settings), dg.DagsterInstance.ephemeral() as instance:
            world = World(settings, instance, {})
            world.mood("work")
            yield world
