"""How full the disk of the stack is: what the gauge draws, the alert evaluates and status says."""

import shutil
from pathlib import Path


def used_ratio(home: Path) -> float:
    """Return the share of the disk that holds `home` which is in use, 0 to 1."""
    disk = shutil.disk_usage(home)
    return disk.used / disk.total
