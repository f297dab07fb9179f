"""Secrets of this home: made on first use, one file each, readable by their owner only."""

import os
import secrets
from pathlib import Path

from streaming.contracts.settings import Settings


def write_private(path: Path, text: str) -> None:
    """Replace a file with mode 0600; it is never readable by others, not even while written."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def ensure_secret(settings: Settings, name: str) -> str:
    """Return HOME/secrets/NAME, a new random one at the first call."""
    path = settings.home / "secrets" / name
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return settings.secret(name)
