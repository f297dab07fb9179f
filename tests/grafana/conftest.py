"""A real InfluxDB, as the stack sets it up, filled with what the pipeline's contract says."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack import launch
from streaming.contracts.settings import Settings
from tests.fixtures.ports import free_port_settings
from tests.grafana import sample
from tests.grafana.asking import Moment, Store


@dataclass(frozen=True)
class Scene:
    """An InfluxDB and three moments: clean traffic, every attack at once, some of both."""

    store: Store
    clean: Moment
    attacked: Moment
    board: Moment


@pytest.fixture(scope="session")
def scene() -> Iterator[Scene]:
    """Start InfluxDB, and write one stretch for each moment."""
    # Not pytest's own directory: the path of the supervisor's socket must stay short.
    home = Path(tempfile.mkdtemp(prefix="loglake-"))
    settings = Settings(home=home, **free_port_settings())  # type: ignore[arg-type]
    try:
        launch.up(settings, lambda name, state: None, ["influxd"])
        now = sample.now()
        # Days apart, since some rules look a day back; within the bucket's week of retention.
        before, aside = now - 2 * 86_400, now - 4 * 86_400
        with sample.writer(settings) as write:
            write(sample.clean(now - 1_800, now))
            write(sample.demo(aside - 2 * 3_600, aside))
            write(sample.clean(before - 900, before - 300))
            write(sample.attacked(before - 300, before))
        yield Scene(Store(settings), Moment(now), Moment(before), Moment(aside))
    finally:
        launch.down(settings)
        shutil.rmtree(home, ignore_errors=True)
