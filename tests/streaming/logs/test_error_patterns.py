"""Masks and categories of messages as nginx writes them."""

import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.contracts import names
from streaming.logs.error_patterns import (
    MAX_PATTERN,
    classified,
    error_category,
    error_pattern,
    pattern_id,
)
from tests.streaming.logs.error_cases import HURTFUL

pytestmark = pytest.mark.unit

MESSAGES = {
    "missing_file": (
        'open() "/srv/www/favicon.ico" failed (2: No such file or directory)',
        'open() "/srv/www/a/b" failed (20: Not a directory)',
        'open() "/srv/www/aaaa" failed (36: File name too long)',
        'stat() "/srv/www/x" failed (2: No such file or directory)',
        '"/srv/www/index.html" is not found (2: No such file or directory)',
        'unlink() "/var/cache/nginx/a" failed (2: No such file or directory)',
    ),
    "upstream_refused": (
        "connect() failed (111: Connection refused) while connecting to upstream",
        "connect() failed (113: No route to host) while connecting to upstream",
        "connect() to unix:/run/php.sock failed (2: No such file or directory) while connecting"
        " to upstream",
        "connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while"
        " connecting to upstream",
        "no live upstreams while connecting to upstream",
        "upstream prematurely closed connection while reading response header from upstream",
        "recv() failed (104: Connection reset by peer) while reading response header from upstream",
        "upstream server temporarily disabled while connecting to upstream",
        "backend.example could not be resolved (3: Host not found)",
    ),
    "upstream_timeout": (
        "upstream timed out (110: Connection timed out) while reading response header from"
        " upstream",
        "upstream timed out (110: Connection timed out) while connecting to upstream",
        "recv() failed (110: Connection timed out) while reading upstream",
        "backend.example could not be resolved (110: Operation timed out)",
    ),
    "limit_req": (
        'limiting requests, excess: 5.120 by zone "login"',
        'limiting requests, dry run, excess: 5.120 by zone "login"',
        'delaying request, excess: 0.990, by zone "login"',
    ),
    "limit_conn": (
        'limiting connections by zone "downloads"',
        'limiting connections, dry run, by zone "downloads"',
    ),
    "auth": (
        'user "bob" was not found in "/etc/nginx/htpasswd"',
        'user "bob": password mismatch',
        "no user/password was provided for basic authentication",
        "auth request unexpected status: 404 while sending to client",
    ),
    "forbidden": (
        "access forbidden by rule",
        'directory index of "/srv/www/img/" is forbidden',
        'open() "/srv/www/secret" failed (13: Permission denied)',
        '"/srv/www/secret/index.html" is forbidden (13: Permission denied)',
        'ModSecurity: Access denied with code 403 (phase 2). Matched "Operator" [id "942100"]',
    ),
    "tls": (
        "SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL"
        " handshaking",
        "peer closed connection in SSL handshake (104: Connection reset by peer) while SSL"
        " handshaking",
        "client sent plain HTTP request to HTTPS port while reading client request headers",
        "client SSL certificate verify error: (18:self-signed certificate) while reading client"
        " request headers",
        "upstream SSL certificate verify error: (20:unable to get local issuer certificate) while"
        " SSL handshaking to upstream",
        "OCSP responder timed out (110: Operation timed out) while requesting certificate status",
        'cannot load certificate "/etc/ssl/a.pem": BIO_new_file() failed (SSL: error:80000002)',
    ),
    "client_closed": (
        "client 10.0.0.1 closed keepalive connection",
        "client 10.0.0.1 closed keepalive connection (104: Connection reset by peer)",
        "client prematurely closed connection, so upstream connection is closed too while sending"
        " request to upstream",
        "epoll_wait() reported that client prematurely closed connection, so upstream connection"
        " is closed too while connecting to upstream",
        "client timed out (110: Connection timed out) while waiting for request",
        "recv() failed (104: Connection reset by peer) while waiting for request",
        "writev() failed (32: Broken pipe) while sending to client",
        "client prematurely closed connection while reading client request headers",
        "client closed connection while waiting for request",
    ),
    "resource": (
        "1024 worker_connections are not enough",
        "1024 worker_connections are not enough while connecting to upstream",
        "accept4() failed (24: Too many open files)",
        'pwrite() "/var/cache/nginx/1" failed (28: No space left on device)',
        "fork() failed while spawning (12: Cannot allocate memory)",
        "connect() to 10.0.0.2:80 failed (99: Cannot assign requested address) while connecting to"
        " upstream",
        "ngx_slab_alloc() failed: no memory in cache keys zone",
        "an upstream response is buffered to a temporary file /tmp/0000000001 while reading"
        " upstream",
        "a client request body is buffered to a temporary file /tmp/0000000002",
        "upstream sent too big header while reading response header from upstream",
        "open socket #3 left in connection 10",
    ),
    "config": (
        'unknown directive "servr" in /etc/nginx/nginx.conf:12',
        'open() "/etc/nginx/mime.types" failed (2: No such file) in /etc/nginx/nginx.conf:5',
        'host not found in upstream "app" in /etc/nginx/conf.d/a.conf:3',
        'conflicting server name "a.example" on 0.0.0.0:80, ignored',
        "bind() to 0.0.0.0:80 failed (98: Address already in use)",
        "bind() to 0.0.0.0:80 failed (13: Permission denied)",
        'rewrite or internal redirection cycle while internally redirecting to "/index.html"',
        "no resolver defined to resolve app.example while sending request",
        'using uninitialized "x" variable',
        'the "user" directive makes sense only if the master process runs with super-user'
        " privileges, ignored in /etc/nginx/nginx.conf:1",
    ),
    "lifecycle": (
        'using the "epoll" event method',
        "nginx/1.26.3",
        "start worker processes",
        "start worker process 31",
        "signal 17 (SIGCHLD) received from 31",
        "worker process 31 exited with code 0",
        "worker process 31 exited on signal 11",
        "gracefully shutting down",
        "reconfiguring",
        "reopening logs",
        "exiting",
        "getrlimit(RLIMIT_NOFILE): 1048576:1048576",
    ),
    "script": (
        'FastCGI sent in stderr: "PHP message: PHP Warning: x in /a.php on line 3" while reading'
        " response header from upstream",
        'FastCGI sent in stderr: "Primary script unknown" while reading response header',
        "[lua] access.lua:12: handler(): no token for bob",
        "lua entry thread aborted: runtime error: /a.lua:3: attempt to index nil",
        "js exception: TypeError: cannot get property",
    ),
    "other": (
        "client intended to send too large body: 10485761 bytes",
        "client sent invalid method while reading client request line",
        "client sent invalid host header while reading client request headers",
        "upstream sent no valid HTTP/1.0 header while reading response header from upstream",
    ),
}

PATTERNS = {
    'open() "/srv/7/a" failed (2: No such file or directory)': (
        'open() "{}" failed ({n}: No such file or directory)'
    ),
    'open() "/srv/a" b "c" failed (2: x)': 'open() "{}" failed ({n}: x)',
    'open() "/srv/a cut short': 'open() "{}"',
    "client 10.0.0.1 closed keepalive connection": "client {address} closed keepalive connection",
    "client 2001:db8::7 closed keepalive connection": (
        "client {address} closed keepalive connection"
    ),
    "connect() to 10.0.0.2:80 failed (99: x)": "connect() to {address} failed ({n}: x)",
    "connect() to [::1]:8080 failed (111: x)": "connect() to {address} failed ({n}: x)",
    "it is buffered to /tmp/1/02/0000000021 while": "it is buffered to {path} while",
    "a.example could not be resolved (3: Host not found)": (
        "{host} could not be resolved ({n}: Host not found)"
    ),
    "SSL_read() failed (SSL: error:0A000126:SSL routines::unexpected eof while reading)": (
        "SSL_read() failed (SSL: error:{hex}:SSL routines::unexpected eof while reading)"
    ),
    "[lua] a.lua:12: token of bob": "[lua] a.lua:{n}: {text}",
    "worker process 31 exited with code 0": "worker process {n} exited with code {n}",
}

CUT = 'open() "/srv/' + "a" * 1900 + '" while connecting to upstream {}... (2: No such file)'
"""nginx cut the path; what looks like its own words is the client's."""

HOSTILE = (
    'open() "/srv/limiting requests (111: Connection refused) while connecting to upstream"'
    " failed (2: No such file or directory)"
)


MASKED = 'open() "{}" failed ({n}: No such file or directory)'


def test_every_category_has_examples() -> None:
    assert set(MESSAGES) == set(names.CATEGORIES)


@pytest.mark.parametrize(
    ("category", "message"),
    [
        pytest.param(category, message, id=f"{category}: {message[:40]}")
        for category, group in MESSAGES.items()
        for message in group
    ],
)
def test_category(category: str, message: str) -> None:
    assert error_category(message) == category


@pytest.mark.parametrize(("message", "pattern"), PATTERNS.items(), ids=PATTERNS.values())
def test_pattern(message: str, pattern: str) -> None:
    assert error_pattern(message) == pattern


def test_quoted_text_decides_nothing() -> None:
    assert error_category(HOSTILE) == "missing_file"
    assert error_pattern(HOSTILE) == MASKED


def test_a_message_that_nginx_cut_is_masked_up_to_its_end() -> None:
    assert error_pattern(CUT) == 'open() "{}"... ({n}: No such file)'
    assert error_category(CUT) == "missing_file"


@pytest.mark.parametrize("message", ["", "x" * 5000, '"' * 5000, "1:" * 2500, *PATTERNS, CUT])
def test_patterns_are_short(message: str) -> None:
    assert len(error_pattern(message)) <= MAX_PATTERN


def test_patterns_are_known_by_a_stable_id() -> None:
    same = [f"client {a} closed keepalive connection" for a in ("10.0.0.1", "2001:db8::7")]
    assert len({pattern_id(error_pattern(message)) for message in same}) == 1
    assert pattern_id(error_pattern("exiting")) == "17b54006716c"


def test_a_batch_is_classified_message_by_message() -> None:
    messages = [*MESSAGES["tls"], None, *PATTERNS, *PATTERNS, HOSTILE]
    known = [
        (error_pattern(m), pattern_id(error_pattern(m)), error_category(m)) if m else None
        for m in messages
    ]
    assert classified(pl.Series(messages)).rows() == [k or (None, None, "other") for k in known]


@pytest.mark.parametrize("messages", [[], [None]], ids=["empty", "only null"])
def test_a_batch_without_messages(messages: list[None]) -> None:
    found = classified(pl.Series(messages, dtype=pl.String))
    assert found.rows() == [(None, None, "other")] * len(messages)
    assert set(found.schema.dtypes()) == {pl.String()}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.sampled_from([*PATTERNS, CUT, HOSTILE]))
def test_no_quoted_text_changes_what_a_message_is_about(text: str, message: str) -> None:
    quoted = f'open() "/srv/{text}" failed (2: No such file or directory)'
    assert (error_pattern(quoted), error_category(quoted)) == (MASKED, "missing_file")
    assert error_category(message + text) in names.CATEGORIES
    assert len(error_pattern(text + message)) <= MAX_PATTERN


@pytest.mark.parametrize("quote", ["", '"'], ids=["as it is", "behind a quote"])
@pytest.mark.parametrize("piece", HURTFUL)
def test_no_text_takes_more_than_linear_time(piece: str, quote: str) -> None:
    def seconds(size: int, count: int) -> float:
        message = (quote + piece * size)[:size]
        started = time.process_time()
        for _ in range(count):
            error_pattern(message), error_category(message)
        return time.process_time() - started

    seconds(400, 1)
    # As many characters in texts of a tenth: more than linear would take up to ten times as long.
    assert seconds(4000, 10) < 0.01 + 3 * seconds(400, 100)
    assert seconds(1_000_000, 1) < 0.1
