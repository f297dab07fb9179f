"""What an nginx error message is about: its masked pattern and its category.

Both look only at what nginx itself says. Everything between the first quote and the last may come
from a client, quotes included, and is masked as one, so that no client can invent patterns or
choose a category.
"""

from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

MAX_PATTERN: Final = 200
"""Characters of a pattern."""

_LOOKED_AT: Final = 4096
_QUOTED: Final = r'(?s)"(?:.*"|[^"]*$)'
_CUT: Final = r'(?s)".*?(?=(?:\.\.\. \(\d+: [^()"]*\)(?: while [a-z ]+)?)?$)'
_MAYBE_CUT: Final = 1900
"""A longer message may be cut by nginx, and then no quote of its own closes what it quotes."""

_ADDRESS: Final = (
    r"\bunix:[^\s,:]*|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|(?<![\w:])\[?(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*\]?(?::\d+)?"
)

_MASKS: Final = (
    # What a script prints is the script's own text, in any number of variants.
    (r"^((?:stream )?\[lua\] [^:]{1,80}):\d+:.*$", "$1:{n}: {text}"),
    (r"^((?:lua|js|perl)\b[^:]{0,80}:).*$", "$1 {text}"),
    (r"^\S+ could not be resolved", "{host} could not be resolved"),
    (r"^(no resolver defined to resolve) \S+", "$1 {host}"),
    (r"\bSSL routines:[^:()]*:", "SSL routines::"),
    (_ADDRESS, "{address}"),
    (r"(?:(?<=\s)|^)/[^\s,:]+", "{path}"),
    (r"\b0x[0-9A-Fa-f]+\b|\b(?=[0-9A-Fa-f]*\d)[0-9A-Fa-f]{8,}\b", "{hex}"),
    (r"\d+(?:\.\d+)?", "{n}"),
)
"""Applied in this order to a message without its quoted text."""

_CATEGORIES: Final = (
    # By far the most frequent of all, and the others cost ten times as much to rule out.
    ("missing_file", r'^open\(\) "\{\}" failed \(2: [^()]*\)$'),
    (
        "script",
        r"^FastCGI sent in stderr|^PHP |^(?:stream )?\[lua\]|^lua |^js\b|^perl\b|^call_sv\(",
    ),
    (
        "lifecycle",
        r"^signal |^start |^worker process |^cache (?:manager|loader) process |^exit"
        r"|^(?:gracefully )?shutting down|^reconfiguring|^reopening logs|^using (?:the|inherited) "
        r"|^nginx/|^openresty/|^built by |^OS: |^getrlimit\(|^http file cache: |^terminating"
        r"|^changing binary|^sending signal|^could not respawn|^child process |^unknown process "
        r"|^master process |^new binary |^sched_setaffinity|^invalid PID number|^cycle: ",
    ),
    (
        "config",
        r" in \S+:\d+$|^conflicting server name|^(?:still could not )?bind\(|^host not found in "
        r"|^rewrite or internal redirection cycle|^no resolver defined|^the .* directive "
        r"|^configuration file |^could not build |^using uninitialized |^unknown |^getpwnam\("
        r"|^getgrnam\(|^could not open error log|^duplicate |^a duplicate |^no servers are inside"
        r"|^zero length URI to proxy|^invalid URL prefix|^.{0,3}.*is deprecated",
    ),
    ("limit_req", r"^(?:limiting|delaying) requests?\b"),
    ("limit_conn", r"^limiting connections\b"),
    (
        "auth",
        r"^user \"\{\}\"|^no user/password was provided|^auth request unexpected status"
        r"|^auth_jwt|^JWT |^invalid credentials|^crypt_r\(\)|password mismatch",
    ),
    (
        "client_closed",
        r"prematurely closed connection,? (?:so|while (?:reading client|sending to client"
        r"|sending response to client|waiting for request|processing|keepalive))"
        r"|^client (?:prematurely )?closed|^client \S+ closed|^client disconnected"
        r"|^client timed out|^client connection closed"
        r"|\((?:104|32|110|54|60): [^)]*\) while (?:waiting for request|keepalive"
        r"|reading client|sending (?:response )?to client|processing HTTP/2|lingering)"
        r"|reported that (?:client|peer) .*closed|^peer closed connection while|^http2 .*closed",
    ),
    (
        "tls",
        r"\bSSL_|SSL routines|SSL handshak|OCSP|certificate|plain HTTP request to HTTPS"
        r"|^ignoring stale global SSL error|\bssl_|\(SSL:",
    ),
    (
        "resource",
        r"worker_connections are not enough|\((?:11|12|23|24|28|99|105): (?!.*while connecting)"
        r"|\((?:12|23|24|28|99|105): |^malloc|^could not allocate|no memory"
        r"|is buffered to a temporary file|sent too big header|^open socket #"
        r"|^cache .* keys zone|worker_connections exceed|^aborting$",
    ),
    (
        "upstream_timeout",
        r"^upstream timed out|\(110: [^)]*\).*upstream|could not be resolved \(110: ",
    ),
    (
        "upstream_refused",
        r"while connecting to upstream|^no live upstreams|^upstream prematurely closed"
        r"|^upstream server temporarily disabled|could not be resolved"
        r"|\((?:104|32|111|113|54): [^)]*\) while .*upstream|^upstream closed",
    ),
    (
        "forbidden",
        r"^access forbidden|is forbidden|\((?:13|1): |^ModSecurity: Access denied"
        r"|^client .*denied",
    ),
    ("missing_file", r"\((?:2|3|20|36): |is not found|^directory is not found"),
)
"""The first that matches a message without its quoted text names the category."""


def error_pattern(message: Column) -> Column:
    """Return a message with everything that varies masked, at most `MAX_PATTERN` long.

    `open() "/srv/a" failed (2: No such file or directory)` becomes
    `open() "{}" failed ({n}: No such file or directory)`.
    """
    pattern = _unquoted(message)
    for expression, mask in _MASKS:
        pattern = F.regexp_replace(pattern, expression, mask)
    return F.substring(F.trim(pattern), 1, MAX_PATTERN)


def pattern_id(pattern: Column) -> Column:
    """Return the identity of a pattern: 12 hexadecimal digits, the same in every run."""
    return F.substring(F.md5(pattern), 1, 12)


def error_category(message: Column) -> Column:
    """Return the one of `names.CATEGORIES` that nginx's own words put a message into."""
    said = _unquoted(message)
    category = F.when(F.lit(False), F.lit(""))
    for name, expression in _CATEGORIES:
        category = category.when(said.rlike(expression), name)
    return category.otherwise("other")


def _unquoted(message: Column) -> Column:
    bounded = F.left(message, F.lit(_LOOKED_AT))
    return (
        F.when(~bounded.contains('"'), bounded)
        .when(F.octet_length(bounded) > _MAYBE_CUT, F.regexp_replace(bounded, _CUT, '"{}"'))
        .otherwise(F.regexp_replace(bounded, _QUOTED, '"{}"'))
    )
