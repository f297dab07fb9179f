"""The text of `.env.example`, made from the settings: `python -m stack.env_example`."""

import sys
import textwrap

from streaming.contracts.settings import Settings

_HEAD = (
    "# Settings of Loglake. Copy to .env and change what you need; the environment goes first.\n"
    "# Each line shows the default.\n"
)


def env_example() -> str:
    """Every setting with its description and its default, commented out."""
    defaults = Settings.model_construct().environment()
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        if field.description:
            parts.append("\n" + _comment(field.description))
        variable = f"LOGLAKE_{name.upper()}"
        parts.append(f"#{variable}={defaults[variable]}\n")
    return "".join(parts)


def _comment(text: str) -> str:
    return textwrap.fill(text, 98, initial_indent="# ", subsequent_indent="# ") + "\n"


if __name__ == "__main__":
    sys.stdout.write(env_example())
