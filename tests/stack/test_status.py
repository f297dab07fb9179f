"""What `loglake status` says besides the services."""

from pathlib import Path

import pytest

from stack import status
from streaming.contracts import names
from streaming.contracts.settings import Settings


def test_a_disk_fuller_than_the_limit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path)
    monkeypatch.setattr(names, "DISK_FULL", 1.0)
    assert status.disk_warning(settings) is None
    monkeypatch.setattr(names, "DISK_FULL", 0.0)
    told = status.disk_warning(settings)
    assert told is not None
    assert str(tmp_path) in told
    assert "docs/runbooks/disk-full.md" in told


def test_a_home_that_is_not_there_yet_has_no_disk(tmp_path: Path) -> None:
    assert status.disk_warning(Settings(home=tmp_path / "none")) is None
