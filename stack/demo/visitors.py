"""Who comes to the demo shop and what each of them asks for, as pure generators."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final, NamedTuple

from stack.demo.assets import ASSETS

LONGEST_VISIT_S: Final = 120.0
PATIENCE_S: Final = 10.0

Visit = Iterator["Ask"]


class Ask(NamedTuple):
    """One request as it is meant to be sent.

    `at` is in epoch seconds, `patience` how long the client waits; `last` closes the connection.
    """

    at: float
    client: str
    method: str
    path: str
    referer: str
    agent: str
    patience: float = PATIENCE_S
    last: bool = False


_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
_SYSTEMS = ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
BROWSERS: Final = (
    *(_CHROME.format(system, version) for system in _SYSTEMS for version in (138, 140, 141)),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
)
PROGRAMS: Final = ("okhttp/4.12.0", "python-httpx/0.28.1", "ShopApp/5.2 (Android 15)", "axios/1.7")
CRAWLERS: Final = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
)
MONITOR: Final = "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"

CATEGORIES: Final = ("garden", "kitchen", "books", "toys", "outdoor", "office", "music", "sale")
WORDS: Final = ("lamp", "oak table", "kettle", "red chair", "tent", "guitar", "notebook", "mug")
_SHARED: Final = [p for p in ASSETS if p.startswith("/assets/")] + ["/img/hero.jpg"]
_PICTURES: Final = [p for p in ASSETS if p.startswith("/img/products/")]


def address(block: int, number: int) -> str:
    """Loopback address number `number` (below 16 million) of 127.`block`.0.0 and what follows."""
    high, low = divmod(number, 62_500)
    third, fourth = divmod(low, 250)
    return f"127.{block + high}.{third + 1}.{fourth + 1}"


def _popular(rng: Random, count: int) -> int:
    return 1 + int(count * rng.random() ** 3)


def _page(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.46:
        return f"/products/{_popular(rng, 2000)}"
    if draw < 0.68:
        return f"/category/{rng.choice(CATEGORIES)}"
    if draw < 0.80:
        return f"/search?q={rng.choice(WORDS).replace(' ', '+')}&page={_popular(rng, 5)}"
    if draw < 0.88:
        return "/cart"
    if draw < 0.94:
        return "/"
    return "/products" if draw < 0.98 else "/help/shipping.html"


def _think(rng: Random) -> float:
    return min(45.0, max(0.8, rng.lognormvariate(1.9, 0.8)))


def browser(rng: Random, client: str, start: float) -> Visit:
    """A person: pages with a think time; each page pulls its assets in parallel."""
    agent = BROWSERS[rng.randrange(len(BROWSERS))]
    at, referer, page = start, "", "/" if rng.random() < 0.5 else _page(rng)
    fresh = True
    while True:
        leaving = rng.random() < 0.3 or at > start + LONGEST_VISIT_S - 50.0
        yield from _page_load(rng, client, agent, at, page, referer, fresh, leaving)
        if leaving:
            return
        if page == "/cart" and rng.random() < 0.4:
            yield from _buy(rng, client, agent, at + 3.0)
            at += 6.0
        at += _think(rng)
        referer, page, fresh = page, _page(rng), False


def _page_load(
    rng: Random,
    client: str,
    agent: str,
    at: float,
    page: str,
    referer: str,
    fresh: bool,
    leaving: bool,
) -> Visit:
    patience = rng.uniform(0.02, 0.2) if rng.random() < 0.03 else PATIENCE_S
    yield Ask(at, client, "GET", page, referer, agent, patience)
    wanted = list(_SHARED) if fresh else []
    wanted += rng.sample(_PICTURES, rng.randint(2, 8))
    if rng.random() < 0.5:
        wanted.append(f"/api/products/{_popular(rng, 2000)}")
    if page.startswith("/search"):
        wanted.append(f"/api/suggest?q={rng.choice(WORDS)[:3]}")
    if fresh:
        # Every site has a link that misses for everybody; it is no scan.
        wanted.append("/apple-touch-icon.png" if "iPhone" in agent else "/favicon.ico")
    if rng.random() < 0.02:
        wanted.append("/static/summer-banner.gif")
    at += rng.uniform(0.08, 0.25)
    final = len(wanted) - 1
    for i, path in enumerate(wanted):
        # Six at a time, as browsers do.
        at += 0.04 if i % 6 == 5 else 0.002
        yield Ask(at, client, "GET", path, page, agent, last=leaving and i == final)


def _buy(rng: Random, client: str, agent: str, at: float) -> Visit:
    yield Ask(at, client, "POST", "/login", "/cart", agent)
    yield Ask(at + 1.2, client, "POST", "/checkout", "/cart", agent)
    if rng.random() < 0.3:
        yield Ask(at + 2.0, client, "POST", "/api/orders", "/checkout", agent)


def program(rng: Random, client: str, start: float) -> Visit:
    """An API client: calls at a steady pace."""
    agent, at, calls = rng.choice(PROGRAMS), start, rng.randint(15, 60)
    pace = rng.uniform(0.6, 1.8)
    for i in range(calls):
        draw = rng.random()
        if draw < 0.62:
            path = f"/api/products/{_popular(rng, 2000)}"
        elif draw < 0.8:
            path = f"/api/search?q={rng.choice(WORDS).replace(' ', '%20')}&limit=20"
        elif draw < 0.94:
            path = "/api/cart"
        else:
            path = _rarely(rng)
        method = "POST" if path == "/api/orders" else "GET"
        yield Ask(at, client, method, path, "", agent, last=i == calls - 1)
        at += pace * rng.uniform(0.7, 1.3)


def _rarely(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.5:
        return "/api/orders"
    if draw < 0.8:
        return "/api/fragile"
    if draw < 0.93:
        return f"/api/reports/{rng.randint(1, 90)}"
    return f"/api/stock/{rng.randint(1, 400)}"


def crawler(rng: Random, client: str, start: float) -> Visit:
    """A search engine: robots.txt first, then pages at leisure, some of them long gone."""
    agent, at = rng.choice(CRAWLERS), start
    yield Ask(at, client, "GET", "/robots.txt", "", agent)
    pages = rng.randint(15, 45)
    for i in range(pages):
        at += rng.uniform(1.0, 3.4)
        draw = rng.random()
        path = "/sitemap.xml" if draw < 0.03 else _page(rng)
        if draw > 0.965:
            path = f"/old-shop/article-{rng.randint(1, 60)}.html"
        yield Ask(at, client, "GET", path, "", agent, last=i == pages - 1)


def staff(rng: Random, client: str, start: float) -> Visit:
    """Somebody of the shop: a catalogue, and an administration page without the password."""
    agent = BROWSERS[rng.randrange(len(BROWSERS))]
    for i in range(rng.randint(1, 3)):
        yield Ask(start + 2.0 * i, client, "GET", "/admin/orders", "", agent)
    if rng.random() < 0.1:
        yield Ask(start + 7.0, client, "GET", "/private/export.csv", "", agent)
    yield Ask(start + 9.0, client, "GET", "/download/catalogue.pdf", "", agent, last=True)


def monitor(client: str, start: float, every: float = 5.0) -> Visit:
    """An uptime check that never sleeps."""
    at = start - start % every + every
    while True:
        yield Ask(at, client, "GET", "/api/status", "", MONITOR)
        at += every


class Persona(NamedTuple):
    """A kind of visitor: its share of requests, its address block, how many there are.

    `requests` is the mean of one visit, counted over a million requests; a test recounts it.
    """

    name: str
    share: float
    requests: float
    block: int
    clients: int
    visit: Callable[[Random, str, float], Visit]


PERSONAS: Final = (
    Persona("browser", 0.83, 32.35, 10, 40_000, browser),
    Persona("program", 0.115, 37.4, 80, 300, program),
    Persona("crawler", 0.05, 30.95, 66, 12, crawler),
    Persona("staff", 0.005, 3.1, 99, 8, staff),
)
MONITOR_CLIENT: Final = address(98, 0)
ATTACKER_BLOCK: Final = 200
