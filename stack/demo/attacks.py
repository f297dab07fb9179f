"""Send an attack through nginx for real, beside whatever traffic there is."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import httpx

from stack.demo import attack_plans
from stack.demo.traffic import Meter, drive
from stack.demo.wire import Wire
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

GRACE_S = 3.0
"""Seconds that the last answers may take after the last request."""


def attack(
    settings: Settings,
    kind: str,
    server: str,
    seed: int,
    meter: Meter,
    *,
    stopped: Callable[[], bool] = lambda: False,
    **options: float | bool,
) -> str:
    """Send one attack of `attack_plans.KINDS` to a server; return the client it came from.

    The options are those of the attack's plan; `meter` counts what happened. An attack that
    breaks the shop mends it again at the end. Raises `StackError` when the server is unknown or
    does not answer.
    """
    port = settings.nginx_ports().get(server)
    if port is None:
        raise StackError(f"no server is called {server}; there are {', '.join(settings.servers)}")
    try:
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        raise StackError(
            f"nginx {server} does not answer on port {port}; start the stack with `loglake up`"
        ) from error
    clients: set[str] = set()
    asks = attack_plans.asks(kind, time.time() + 0.1, seed, **options)

    def planned() -> Any:
        for ask in asks:
            clients.add(ask.client)
            yield server, ask

    seconds = float(options.get("seconds", 60.0))
    with Wire(settings.nginx_ports()) as wire, _broken(settings, server, kind, seconds):
        drive(wire, planned(), meter.reply, meter.sent, stopped)
        for reply in wire.drain(GRACE_S):
            meter.reply(reply)
    return clients.pop() if len(clients) == 1 else f"{len(clients)} clients"


@contextmanager
def _broken(settings: Settings, server: str, kind: str, seconds: float) -> Any:
    """Let the shop fail for a server while an `errors` attack lasts."""
    if kind != "errors":
        yield
        return
    set_faults(settings, server, attack_plans.ERROR_SHARE, seconds)
    try:
        yield
    finally:
        set_faults(settings, server, 0.0, 0.0)


def set_faults(
    settings: Settings, server: str, share: float, seconds: float, status: int | None = None
) -> None:
    """Make a share (0 to 1) of a server's requests to the shop fail for some seconds.

    `*` stands for every server; 504 is an upstream that stays silent.
    Raises `StackError` when the shop does not answer.
    """
    url = f"http://127.0.0.1:{settings.upstream_port}/control/faults"
    query: dict[str, str | float] = {"server": server, "share": share, "seconds": seconds}
    if status is not None:
        query["status"] = status
    try:
        httpx.post(url, params=query, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise StackError(
            f"the demo shop does not answer on port {settings.upstream_port};"
            " start it with `loglake up upstream`"
        ) from error
