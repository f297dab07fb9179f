"""Configuration files from their Jinja templates."""

import shlex
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT


def render(template: str, **values: object) -> str:
    """Text of a template, named by its path in the checkout."""
    environment = Environment(
        loader=FileSystemLoader(CHECKOUT),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (configuration, not HTML)
    )
    environment.filters["quote"] = supervisor_word
    environment.filters["variable"] = supervisor_variable
    return environment.get_template(template).render(**values)


def write(path: Path, text: str) -> Path:
    """Write a configuration file with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def supervisor_word(word: object) -> str:
    """One word of a supervisor command line."""
    return shlex.quote(_printable(str(word))).replace("%", "%%")


def supervisor_variable(value: object) -> str:
    """Value of a supervisor environment variable; its quotes know no escape."""
    text = _printable(str(value)).replace("%", "%%")
    quote = "'" if '"' in text else '"'
    if quote in text:
        raise StackError(f"setting value {text!r} holds both kinds of quotes; use one kind")
    return f"{quote}{text}{quote}"


def _printable(text: str) -> str:
    # supervisord reads what follows " ;" or " #" as a comment, even between quotes.
    if not text.isprintable() or " ;" in text or " #" in text:
        raise StackError(f"value {text!r} has a character that no setting may hold; remove it")
    return text
