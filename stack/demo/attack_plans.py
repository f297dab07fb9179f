"""What attackers ask for, as pure generators; the same for live attacks and for history."""

from collections.abc import Iterator
from random import Random
from typing import Final

from stack.demo.visitors import ATTACKER_BLOCK, BROWSERS, PERSONAS, WORDS, Ask, address

KINDS: Final = ("scan", "flood", "errors")
MOST_REQUESTS: Final = 200_000
"""An attack ends here, whatever rate and time were asked for."""

FLOOD_CLIENTS: Final = 400
ERROR_SHARE: Final = 0.6

_SCANNERS: Final = (
    "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
    "Mozilla/5.0 zgrab/0.x",
    "python-requests/2.32.3",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
)
_FOLDERS: Final = ("", "/wp", "/blog", "/old", "/backup", "/test", "/site", "/cms", "/new", "/v1")
_FILES: Final = (
    *("wp-login.php", "xmlrpc.php", "wp-admin/setup-config.php", "phpmyadmin/index.php"),
    *("administrator/index.php", "config.php.bak", "backup.zip", "dump.sql", "db.sql.gz"),
    *("vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "cgi-bin/luci", "shell.php"),
    *("server-status", "actuator/env", "solr/admin/info/system", "console/login", "id_rsa"),
    *("owa/auth/logon.aspx", "telescope/requests", "web.config", "setup.php", "info.php"),
    *(".env", ".git/config", ".aws/credentials", ".svn/entries", "composer.json"),
)


def scan_paths(seed: int) -> list[str]:
    """Return every path of the word list, none of which exists, in the order of one scanner."""
    paths = [f"{folder}/{file}" for folder in _FOLDERS for file in _FILES]
    Random(seed).shuffle(paths)  # noqa: S311
    return paths


def scan(start: float, seed: int, *, count: int = 120, slow: bool = False) -> Iterator[Ask]:
    """One client, `count` distinct missing paths: some 15/s, or one in about 4 s when `slow`."""
    rng = Random(seed)  # noqa: S311
    client, agent = address(ATTACKER_BLOCK, seed % 500), rng.choice(_SCANNERS)
    at = start
    for path in scan_paths(seed)[:count]:
        yield Ask(at, client, "GET", path, "", agent)
        at += rng.uniform(2.0, 6.5) if slow else rng.expovariate(15.0)


def flood(
    start: float,
    seed: int,
    *,
    seconds: float = 60.0,
    rate: float = 150.0,
    distributed: bool = False,
) -> Iterator[Ask]:
    """One client, or `FLOOD_CLIENTS` of them, asking for dear pages at `rate` requests/s."""
    rng = Random(seed)  # noqa: S311
    clients = FLOOD_CLIENTS if distributed else 1
    at = start
    for _ in range(MOST_REQUESTS):
        at += rng.expovariate(rate)
        if at >= start + seconds:
            return
        number = rng.randrange(clients)
        client = address(ATTACKER_BLOCK + 1, seed % 50 * FLOOD_CLIENTS + number)
        path = "/" if rng.random() < 0.5 else f"/products?page={rng.randint(1, 9999)}"
        agent = BROWSERS[number % len(BROWSERS)]
        yield Ask(at, client, "GET", path, "", agent, last=distributed)


def customers(
    start: float, seed: int, *, seconds: float = 60.0, rate: float = 15.0
) -> Iterator[Ask]:
    """Ordinary requests of many clients, so that a broken shop shows even on a quiet server."""
    rng = Random(seed)  # noqa: S311
    at = start
    for _ in range(MOST_REQUESTS):
        at += rng.expovariate(rate)
        if at >= start + seconds:
            return
        client = address(PERSONAS[0].block, rng.randrange(PERSONAS[0].clients))
        word = rng.choice(WORDS).replace(" ", "+")
        path = rng.choice((f"/products/{rng.randint(1, 2000)}", f"/search?q={word}", "/cart", "/"))
        yield Ask(at, client, "GET", path, "", rng.choice(BROWSERS), last=True)


def asks(kind: str, start: float, seed: int, **options: float | bool) -> Iterator[Ask]:
    """Return the requests of an attack of `KINDS`; the options are those of its function.

    Raises `ValueError` for another kind.
    """
    plans = {"scan": scan, "flood": flood, "errors": customers}
    if kind not in plans:
        raise ValueError(f"attack kind {kind!r} is unknown; use one of {', '.join(KINDS)}")
    return plans[kind](start, seed, **options)  # type: ignore[operator]
