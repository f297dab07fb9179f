"""Run a program to its end, or say in one sentence why it failed."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from streaming.contracts.exceptions import StackError

_TAIL = 4000


def run(command: Sequence[str], purpose: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return what the program printed.

    Raises `StackError` when it fails, after showing its last output.
    """
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout[-_TAIL:] + done.stderr[-_TAIL:])
        raise StackError(
            f"{purpose} failed: {command[0]} ended with {done.returncode}; its last output is above"
        )
    return done.stdout
