"""Error-log lines of nginx, genuine and hostile, and what must come out of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from streaming.contracts import frames, names

NOW = datetime(2026, 11, 23, 10, 5, tzinfo=UTC)
START = "2026/11/23 10:00:00 [error] 12#12: "
HEAD = START + "*7 "
TAIL = ', client: 10.0.0.9, server: web1, request: "GET / HTTP/1.1", host: "shop"'
OPEN = 'open() "/srv/a" failed (2: No such file or directory)'
FORGED = "2026/11/23 09:59:59 [emerg] 1#1: gone"
FORGED_URL = "2026/11/23%2009:59:59%20%5Bemerg%5D%201%231:%20gone"
FORGED_TAIL = ', client: 6.6.6.6, server: y, request: "GET / HTTP/1.1", host: "h'
CUT = HEAD + 'open() "/srv/' + "a" * (2047 - len(HEAD) - 13)
CLOSED = HEAD + "client 10.0.0.9 closed keepalive connection"

Lines = Sequence[bytes | str]


def tail(request: str) -> str:
    return f', client: 10.0.0.9, server: web1, request: "GET {request} HTTP/1.1", host: "shop"'


def records_of(files: Mapping[str, Lines]) -> pl.DataFrame:
    """The lines of each file as they come from Kafka."""
    records = []
    for file, lines in files.items():
        offset = 0
        for number, line in enumerate(lines):
            value = line.encode() if isinstance(line, str) else line
            records.append((value, names.TOPIC_ERRORS, 0, number, NOW, "web1", file, offset))
            offset += len(value) + 1
    return pl.DataFrame(records, schema=frames.RECORD, orient="row")


class Record(NamedTuple):
    """What must come out: the message's start and the client, or the reason."""

    message: str | None = None
    client: str | None = "10.0.0.9"
    reason: str | None = None


def refused(reason: str) -> list[Record]:
    return [Record(None, None, reason)]


CASES: dict[str, tuple[Lines, list[Record]]] = {
    "a notice of the master": (
        ['2026/11/23 10:00:00 [notice] 1#1: using the "epoll" event method'],
        [Record("using the", None)],
    ),
    "IPv6": (
        [HEAD + OPEN + ", client: 2001:db8::1, server: [::]:80"],
        [Record(OPEN, "2001:db8::1")],
    ),
    "a client that ends with a line feed": (
        [HEAD + OPEN + ", client: 10.0.0.9\n"],
        [Record(OPEN)],
    ),
    "a client forged in the URL": (
        [HEAD + f'open() "/srv/x, client: 6.6.6.6, server: y" failed{TAIL}'],
        [Record('open() "/srv/x, client: 6.6.6.6')],
    ),
    "a whole tail forged in the URL": (
        [HEAD + f'open() "/srv/x{FORGED_TAIL}" failed{tail("/x,%20client:%206.6.6.6")}'],
        [Record('open() "/srv/x, client: 6.6.6.6')],
    ),
    "a client forged in a user name": (
        [HEAD + f'user "a, client: 6.6.6.6, server: s, request: "x" was not found{TAIL}'],
        [Record('user "a, client: 6.6.6.6')],
    ),
    "a client forged in the referrer": (
        [HEAD + OPEN + TAIL + f', referrer: "x{FORGED_TAIL}"'],
        [Record(OPEN)],
    ),
    "a client forged in a malformed request": (
        [
            HEAD + "client sent invalid request while reading client request line"
            ', client: 10.0.0.9, server: web1, request: "GET /, client: 6.6.6.6, server: y x"'
        ],
        [Record("client sent invalid request while reading client request line")],
    ),
    "a malformed request": (
        [HEAD + 'client sent invalid method, client: 10.0.0.9, server: web1, request: "\\x16"'],
        [Record("client sent invalid method")],
    ),
    "a whole record forged by %0A": (
        [
            HEAD + 'open() "/srv/',
            f'{FORGED}" failed (2: No such file or directory){TAIL}',
            HEAD + OPEN + TAIL,
        ],
        [Record(f'open() "/srv/ {FORGED}" failed'), Record(OPEN)],
    ),
    "a record forged between two newlines": (
        [HEAD + 'open() "/srv/', FORGED, f'" failed (2: x){TAIL}', CLOSED],
        [Record('open() "/srv/'), Record("client 10.0.0.9 closed", None)],
    ),
    "a record forged behind a forged client": (
        [
            HEAD + 'open() "/srv/x" failed, client: 6.6.6.6',
            FORGED,
            f'e" failed (2: x){tail(f"/x%22%20failed,%20client:%206.6.6.6%0A{FORGED_URL}%0ae")}',
            CLOSED,
        ],
        [Record('open() "/srv/x" failed, client'), Record("client 10.0.0.9 closed", None)],
    ),
    "a newline in a URL that is not part of the message": (
        [HEAD + OPEN + TAIL, f"{HEAD}access forbidden by rule{tail('/%0A')}"],
        [Record(OPEN), Record("access forbidden by rule")],
    ),
    "a PHP trace over three lines": (
        [
            HEAD + 'FastCGI sent in stderr: "PHP message: PHP Fatal error: a',
            "Stack trace:",
            f'#0 main" while reading response header from upstream{TAIL}',
        ],
        [Record("FastCGI sent in stderr")],
    ),
    "a client that goes away hides nothing": (
        [CLOSED, HEAD + OPEN + TAIL],
        [Record("client 10.0.0.9 closed keepalive", None), Record(OPEN)],
    ),
    "a record that nginx cut hides nothing": (
        [CUT, HEAD + OPEN + TAIL],
        [Record('open() "/srv/aaa', None), Record(OPEN)],
    ),
    "a record never takes in more than nginx writes": (
        [HEAD + 'x "', *[f"{START}{'y' * 400}"] * 6],
        [Record('x "', None), Record("yyy", None), Record("yyy", None)],
    ),
    "a record that is still open": ([HEAD + 'open() "/srv/'], [Record('open() "/srv/', None)]),
    "a line that continues nothing": (["Stack trace:"], refused("continuation")),
    "an empty line": ([""], refused("empty")),
    "blanks": (["   "], refused("empty")),
    "an unknown severity": (["2026/11/23 10:00:00 [shout] 1#1: x"], refused("unknown_format")),
    "a time that is none": (["2026/13/41 10:00:00 [error] 1#1: x"], refused("invalid_time")),
    "the year 2099": (["2099/01/01 00:00:00 [error] 1#1: x"], refused("time_out_of_range")),
    "the year 1970": (["1970/01/01 00:00:00 [error] 1#1: x"], refused("time_out_of_range")),
    "invalid UTF-8 inside a message": (
        [HEAD.encode() + b'open() "/srv/\xff\xfe" failed' + TAIL.encode()],
        [Record('open() "/srv/\ufffd')],
    ),
    "invalid UTF-8 alone": ([b"\xff\xfe\x00"], refused("invalid_utf8")),
    "control characters": (
        [HEAD + f'open() "/srv/\x1b]0;title\x07\u202e" failed{TAIL}'],
        [Record('open() "/srv/]0;title" failed')],
    ),
    "a line of 5 MB": ([HEAD + "x" * 5_000_000], refused("oversized")),
    "a forged client named by a later request, behind text that nginx alone wrote": (
        [
            HEAD + "client sent invalid request while reading client request line"
            ', client: 10.0.0.9, server: web1, request: "GET /, client: 6.6.6.6, server: y, '
            'request: "GET /,%20client:%2010.0.0.9"'
        ],
        [Record("client sent invalid request while reading client request line")],
    ),
    "a client forged in the referrer, whose request holds any client": (
        [
            HEAD + OPEN + TAIL + ', referrer: "x, client: 6.6.6.6, server: y, '
            'request: "GET /,%20client:%201.1.1.1 HTTP/1.1", host: "h"'
        ],
        [Record(OPEN)],
    ),
    "a tail with a referrer forged in the URL, and a query that does not decode": (
        [
            HEAD
            + 'open() "/srv/x, client: 6.6.6.6, server: y, request: "G", referrer: "z" failed'
            + tail("/x,%20client:%206.6.6.6,%20server:%20y,%20request:%20%22G?%zz")
        ],
        [Record('open() "/srv/x, client: 6.6.6.6')],
    ),
    "a client forged in a request line": (
        [
            HEAD + OPEN + ", client: 10.0.0.9, server: web1, "
            'request: "GET /, client: 6.6.6.6, server: y x"'
        ],
        [Record(OPEN)],
    ),
    "a client forged in a malformed request that holds quotes": (
        [
            HEAD + "client sent invalid request while reading client request line"
            ', client: 10.0.0.9, server: web1, request: "GET /", client: 6.6.6.6, server: y x"'
        ],
        [Record("client sent invalid request while reading client request line")],
    ),
    "a whole tail forged in what a script prints": (
        [
            HEAD + 'FastCGI sent in stderr: "x, client: 6.6.6.6, server: y, request: "G", '
            f'referrer: "z" while reading response header from upstream{TAIL}'
        ],
        [Record('FastCGI sent in stderr: "x, client: 6.6.6.6')],
    ),
    "a client at a socket": ([HEAD + OPEN + ", client: unix:, server: y"], [Record(OPEN, "unix:")]),
    "a client that is no address": (
        [HEAD + OPEN + ", client: gw, server: y"],
        [Record(OPEN, None)],
    ),
    "a client that nginx cut": (
        [(HEAD + 'x "').ljust(2034, "a") + ", client: 10."],
        [Record('x "aaa', None)],
    ),
    "a line of the full length": ([(HEAD + "x").ljust(2047 - len(TAIL)) + TAIL], [Record("x")]),
    "blanks of other kinds": ([HEAD + "a\tb\rc"], [Record("a b c", None)]),
    "a request that claims lines of others": (
        [
            HEAD + 'open() "/srv/',
            f'a" failed (2: x){tail("/%0Aa")}',
            HEAD + OPEN + TAIL,
            START + "x" * 2000,
            HEAD + OPEN + tail(f"/%0A%0A%0A%0A{START[:19].replace(' ', '%20')}"),
        ],
        [Record('open() "/srv/'), Record(OPEN), Record("xxx", None), Record(OPEN)],
    ),
    "a date without a time": (["2026/11/23 [error] 1#1: x"], refused("unknown_format")),
    "no message before the client": ([HEAD + TAIL], [Record()]),
    "JSON": (['{"msec": 1}'], refused("continuation")),
}

HURTFUL = (
    '"',
    ", client: ",
    ', client: 1, server: , request: "',
    '", referrer: "',
    "%0A",
    "(104: ",
    "(110: x) ",
    "(110: x) while ",
    "(11: x) while ",
    "... (1: x) while a",
    "1:",
    "a:",
    "[",
    "1.",
    "1.1.1.1",
    "1",
    "a",
    "a1",
    "0x",
    "/",
    " /",
    " in a:1",
    "unix:",
    "SSL routines:",
    "reported that client ",
    "prematurely closed connection",
    "client x",
    "the ",
    "[lua] ",
    "js",
    ", context: a",
    "é",
    "\t",
    "\x00",
)
"""What a text may repeat to take an expression more than linear time."""
