"""Text of a log as text: whoever wrote it, it forges no terminal and no markup."""

import re
from typing import Final

_CONTROLS: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ud800-\udfff]"
)
"""C0, C1, line separators, bidirectional controls, and bytes of a file name that are no text."""


def plain(text: str) -> str:
    """Return a text on one line, without characters that control a terminal."""
    return _CONTROLS.sub("\ufffd", text)
