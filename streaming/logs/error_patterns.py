"""What an nginx error message is about: its masked pattern and its category.

Both look only at what nginx itself says. Everything between the first quote and the last may come
from a client, quotes included, and is masked as one, so that no client can invent patterns or
choose a category.

Messages are many and what nginx says in them is little: each text is looked at once in a batch.
No expression here takes more than linear time, whatever the text: what may repeat is bounded, or
stops at the character that the expression starts with.
"""

import hashlib
import re
from typing import Final

import polars as pl

MAX_PATTERN: Final = 200
"""Characters of a pattern."""

_LOOKED_AT: Final = 4096
"""Characters of a message that are looked at."""

_MAYBE_CUT: Final = 1900
"""A message of more bytes may be cut by nginx, and then no quote of nginx closes its text."""

_BEHIND_CUT: Final = re.compile(r'\.\.\. \(\d+: [^()"]*\)(?: while [a-z ]+)?$', re.ASCII)
"""The error that nginx still writes behind a message that it cut."""

_ADDRESS: Final = (
    r"\bunix:[^\s,:]*|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|(?<![\w:])\[?(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*\]?(?::\d+)?"
)

_MASKS: Final = tuple(
    (re.compile(expression, re.ASCII), mask)
    for expression, mask in (
        # What a script prints is the script's own text, in any number of variants.
        (r"^((?:stream )?\[lua\] [^:]{1,80}):\d+:.*$", r"\1:{n}: {text}"),
        (r"^((?:lua|js|perl)\b[^:]{0,80}:).*$", r"\1 {text}"),
        (r"^\S+ could not be resolved", "{host} could not be resolved"),
        (r"^(no resolver defined to resolve) \S+", r"\1 {host}"),
        (r"\bSSL routines:[^:()]*:", "SSL routines::"),
        (_ADDRESS, "{address}"),
        (r"(?:(?<=\s)|^)/[^\s,:]+", "{path}"),
        (r"\b0x[0-9A-Fa-f]+\b|\b(?=[0-9A-Fa-f]*\d)[0-9A-Fa-f]{8,}\b", "{hex}"),
        (r"\d+(?:\.\d+)?", "{n}"),
    )
)
"""Applied in this order to a message without its quoted text."""


_CATEGORIES: Final = tuple(
    # `match` looks at the start of a message, `search` anywhere.
    (category, getattr(re.compile(expression, re.ASCII), method))
    for category, method, expression in (
        # By far the most frequent of all, and the others cost ten times as much to rule out.
        ("missing_file", "match", r'open\(\) "\{\}" failed \(2: [^()]*\)$'),
        (
            "script",
            "match",
            r"FastCGI sent in stderr|PHP |(?:stream )?\[lua\]|lua |js\b|perl\b|call_sv\(",
        ),
        (
            "lifecycle",
            "match",
            r"signal |start |worker process |cache (?:manager|loader) process |exit"
            r"|(?:gracefully )?shutting down|reconfiguring|reopening logs|using (?:the|inherited) "
            r"|nginx/|openresty/|built by |OS: |getrlimit\(|http file cache: |terminating"
            r"|changing binary|sending signal|could not respawn|child process |unknown process "
            r"|master process |new binary |sched_setaffinity|invalid PID number|cycle: ",
        ),
        (
            "config",
            "match",
            r"conflicting server name|(?:still could not )?bind\(|host not found in "
            r"|rewrite or internal redirection cycle|no resolver defined|the .* directive "
            r"|configuration file |could not build |using uninitialized |unknown |getpwnam\("
            r"|getgrnam\(|could not open error log|duplicate |a duplicate |no servers are inside"
            r"|zero length URI to proxy|invalid URL prefix",
        ),
        ("config", "search", r" in \S+:\d+$|is deprecated"),
        ("limit_req", "match", r"(?:limiting|delaying) requests?\b"),
        ("limit_conn", "match", r"limiting connections\b"),
        (
            "auth",
            "match",
            r'user "\{\}"|no user/password was provided|auth request unexpected status'
            r"|auth_jwt|JWT |invalid credentials|crypt_r\(\)",
        ),
        ("auth", "search", "password mismatch"),
        (
            "client_closed",
            "match",
            r"client (?:prematurely )?closed|client \S+ closed|client disconnected"
            r"|client timed out|client connection closed|peer closed connection while"
            r"|http2 .*closed",
        ),
        (
            "client_closed",
            "search",
            r"prematurely closed connection,? (?:so|while (?:reading client|sending to client"
            r"|sending response to client|waiting for request|processing|keepalive))"
            r"|\((?:104|32|110|54|60): [^()]*\) while (?:waiting for request|keepalive"
            r"|reading client|sending (?:response )?to client|processing HTTP/2|lingering)"
            r"|reported that (?:client|peer) .{0,100}closed",
        ),
        (
            "tls",
            "search",
            r"\bSSL_|SSL routines|SSL handshak|OCSP|certificate|plain HTTP request to HTTPS"
            r"|^ignoring stale global SSL error|\bssl_|\(SSL:",
        ),
        (
            "resource",
            "match",
            r"malloc|could not allocate|open socket #|cache .* keys zone|aborting$",
        ),
        (
            "resource",
            "search",
            # EAGAIN while connecting is the upstream's trouble.
            r"\((?:12|23|24|28|99|105): |\(11: (?![^()]*\) while connecting)|no memory"
            r"|worker_connections (?:are not enough|exceed)|is buffered to a temporary file"
            r"|sent too big header",
        ),
        ("upstream_timeout", "match", "upstream timed out"),
        (
            "upstream_timeout",
            "search",
            r"\(110: [^()]*\)[^(]*upstream|could not be resolved \(110: ",
        ),
        (
            "upstream_refused",
            "match",
            "no live upstreams|upstream (?:prematurely )?closed"
            "|upstream server temporarily disabled",
        ),
        (
            "upstream_refused",
            "search",
            r"while connecting to upstream|could not be resolved"
            r"|\((?:104|32|111|113|54): [^()]*\) while [^(]*upstream",
        ),
        ("forbidden", "match", "access forbidden|ModSecurity: Access denied|client .*denied"),
        ("forbidden", "search", r"is forbidden|\((?:13|1): "),
        ("missing_file", "match", "directory is not found"),
        ("missing_file", "search", r"\((?:2|3|20|36): |is not found"),
    )
)
"""The first that a message without its quoted text matches names the category."""


def error_pattern(message: str) -> str:
    """Return a message with everything that varies masked, at most `MAX_PATTERN` long.

    `open() "/srv/a" failed (2: No such file or directory)` becomes
    `open() "{}" failed ({n}: No such file or directory)`.
    """
    return _masked(_unquoted(message))


def error_category(message: str) -> str:
    """Return the one of `names.CATEGORIES` that nginx's own words put a message into."""
    return _category(_unquoted(message))


def pattern_id(pattern: str) -> str:
    """Return the identity of a pattern: 12 hexadecimal digits, the same in every run."""
    return hashlib.md5(pattern.encode(), usedforsecurity=False).hexdigest()[:12]


def classified(messages: pl.Series) -> pl.DataFrame:
    """Return `pattern`, `pattern_id` and `category` of each message.

    Null has no pattern, and its category is `other`.
    """
    said = [None if message is None else _unquoted(message) for message in messages.to_list()]
    distinct = [text for text in set(said) if text is not None]
    patterns = [_masked(text) for text in distinct]
    known = {
        "said": distinct,
        "pattern": patterns,
        "pattern_id": [pattern_id(pattern) for pattern in patterns],
        "category": [_category(text) for text in distinct],
    }
    frame = pl.DataFrame(known, schema=dict.fromkeys(known, pl.String()))
    return (
        pl.DataFrame({"said": said}, schema={"said": pl.String})
        .join(frame, on="said", how="left", maintain_order="left")
        .select("pattern", "pattern_id", pl.col("category").fill_null("other"))
    )


def _unquoted(message: str) -> str:
    """Return a message with `"{}"` for all that may be quoted in it."""
    bounded = message[:_LOOKED_AT]
    first, last = bounded.find('"'), bounded.rfind('"')
    if first < 0:
        return bounded
    if len(bounded.encode()) > _MAYBE_CUT:
        kept = _BEHIND_CUT.search(bounded, first)
        ending = kept[0] if kept else ""
    else:
        ending = bounded[last + 1 :] if last > first else ""
    return f'{bounded[:first]}"{{}}"{ending}'


def _masked(said: str) -> str:
    for expression, mask in _MASKS:
        said = expression.sub(mask, said)
    return said.strip(" ")[:MAX_PATTERN]


def _category(said: str) -> str:
    return next((category for category, found in _CATEGORIES if found(said)), "other")
