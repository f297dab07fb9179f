"""The application behind nginx: `python -m stack.demo.upstream`, an ASGI app on uvicorn.

It answers as `stack.demo.shop` says. `POST /control/faults?server=web1&share=0.5&seconds=60`,
which nginx does not route, makes that share of a server's requests fail until the time is up,
with `&status=504` all in the same way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs

import click
import uvicorn

from stack.demo.shop import UPSTREAM_TIMEOUT_S, Answer, answer, broken
from streaming.contracts.settings import Settings

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

LONGEST_FAULT_S: Final = 3600.0
_SILENCE_S: Final = UPSTREAM_TIMEOUT_S + 1.0
_FILLER: Final = b"lorem ipsum " * 20_000
_HTML: Final = (b"content-type", b"text/html")
_JSON: Final = (b"content-type", b"application/json")


@dataclass(frozen=True)
class Fault:
    """A share of requests that fail until `until` (monotonic seconds), with `status` if given."""

    share: float
    until: float
    status: int | None


class Shop:
    """The ASGI application."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = Random(seed)  # noqa: S311
        self._faults: dict[str, Fault] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        if path == "/control/faults":
            await _reply(send, *self._control(scope["query_string"]), _JSON)
            return
        drawn = self._answer(path, scope["headers"])
        if drawn.seconds > 0.001:
            await asyncio.sleep(drawn.seconds)
        kind = _JSON if path.startswith("/api/") else _HTML
        await _reply(send, drawn.status, _body(drawn.size, kind), kind)

    def _answer(self, path: str, headers: list[tuple[bytes, bytes]]) -> Answer:
        drawn = answer(path, self._rng)
        if self._faults:
            server = next((value.decode() for name, value in headers if name == b"x-server"), "")
            fault = self._faults.get(server) or self._faults.get("*")
            if fault and time.monotonic() < fault.until and self._rng.random() < fault.share:
                drawn = broken(drawn, self._rng, fault.status)
        if drawn.status == 504:
            # nginx says 504 by itself, if it hears nothing.
            return drawn._replace(seconds=_SILENCE_S)
        return drawn

    def _control(self, query: bytes) -> tuple[int, bytes]:
        fields = {name: values[-1] for name, values in parse_qs(query.decode()).items()}
        try:
            share = min(1.0, max(0.0, float(fields["share"])))
            seconds = min(LONGEST_FAULT_S, float(fields["seconds"]))
            status = int(fields["status"]) if "status" in fields else None
        except (KeyError, ValueError):
            return 400, b'{"error":"share (0..1) and seconds are needed; status is a number"}'
        until = time.monotonic() + seconds
        self._faults[fields.get("server", "*")] = Fault(share, until, status)
        return 200, b'{"ok":true}'


def _body(size: int, kind: tuple[bytes, bytes]) -> bytes:
    head, tail = (b'{"data":"', b'"}') if kind is _JSON else (b"<!doctype html><p>", b"</p>\n")
    inner = size - len(head) - len(tail)
    return head + _FILLER[:inner] + tail if inner >= 0 else b""


async def _reply(send: Send, status: int, body: bytes, kind: tuple[bytes, bytes]) -> None:
    headers = [kind, (b"content-length", str(len(body)).encode())]
    if status in (301, 302):
        headers.append((b"location", b"/cart"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of latencies and faults.")
def main(seed: int) -> None:
    """Serve the demo shop on the upstream port of loopback until SIGTERM."""
    uvicorn.run(
        Shop(seed),
        host="127.0.0.1",
        port=Settings().upstream_port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
