"""Native services for a measurement, on free ports in a home of their own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import launch
from streaming.contracts.settings import Settings
from tests.fixtures.ports import free_port_settings
from tests.fixtures.stack import Stack


@contextmanager
def running(*names: str) -> Iterator[Stack]:
    """The named services and what they need, stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="loglake-"))
    settings = Settings(home=home, **free_port_settings())  # type: ignore[arg-type]
    try:
        launch.up(settings, lambda _name, _state: None, names)
        yield Stack(settings)
    finally:
        launch.down(settings)
        shutil.rmtree(home, ignore_errors=True)
