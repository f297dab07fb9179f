"""HTTP requests from many loopback addresses at once, over libcurl."""

import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

import pycurl

from stack.demo.visitors import PATIENCE_S, Ask

IDLE_CONNECTIONS: Final = 1000
"""Kept open between requests; each nginx has 4,096 in all."""

LOST_CONNECTION: Final = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR})
"""nginx closed an idle connection just as a request was put on it: worth a fresh one, once."""


class Reply(NamedTuple):
    """What came back; `status` is 0 and `error` says why where nothing did.

    `sent_at` is in epoch seconds; `seconds` counts from the moment the request was due,
    so a sender that falls behind cannot flatter the server.
    """

    server: str
    ask: Ask
    status: int
    size: int
    sent_at: float
    seconds: float
    error: str
    request_id: str


class Wire:
    """Sends requests without waiting for earlier ones; `pump` moves the bytes.

    At most `in_flight` requests are open; `send` refuses more and returns False.
    With `headers` each reply carries nginx's X-Request-ID.
    """

    def __init__(
        self, ports: dict[str, int], *, in_flight: int = 1000, headers: bool = False
    ) -> None:
        self._roots = {server: f"http://127.0.0.1:{port}" for server, port in ports.items()}
        self._in_flight = in_flight
        self._headers = headers
        self._selector = selectors.DefaultSelector()
        self._due: float | None = None
        self._idle: list[pycurl.Curl] = []
        self._open: dict[pycurl.Curl, tuple[str, Ask, float, list[bytes]]] = {}
        self._again: set[pycurl.Curl] = set()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, IDLE_CONNECTIONS)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Requests under way."""
        return len(self._open)

    def send(self, server: str, ask: Ask) -> bool:
        """Start a request now; False if too many are under way."""
        if len(self._open) >= self._in_flight:
            return False
        curl = self._idle.pop() if self._idle else self._new()
        curl.setopt(pycurl.URL, self._roots[server] + ask.path)
        curl.setopt(pycurl.INTERFACE, f"host!{ask.client}")
        curl.setopt(pycurl.USERAGENT, ask.agent)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(ask.patience * 1000)))
        curl.setopt(pycurl.HTTPHEADER, self._request_headers(server, ask))
        if ask.method == "POST":
            curl.setopt(pycurl.POSTFIELDS, "quantity=1")
        else:
            curl.setopt(pycurl.HTTPGET, 1)
        lines: list[bytes] = []
        if self._headers:
            curl.setopt(pycurl.HEADERFUNCTION, lines.append)
        self._open[curl] = (server, ask, time.time(), lines)
        self._multi.add_handle(curl)
        return True

    def pump(self, timeout: float) -> Iterator[Reply]:
        """Wait at most `timeout` seconds for the network and yield the requests that ended."""
        if self._due is not None:
            timeout = min(timeout, self._due - time.monotonic())
        if self._selector.get_map():
            events = self._selector.select(max(timeout, 0.0))
        else:
            time.sleep(max(timeout, 0.0))
            events = []
        for key, mask in events:
            bits = pycurl.CSELECT_IN if mask & selectors.EVENT_READ else 0
            bits |= pycurl.CSELECT_OUT if mask & selectors.EVENT_WRITE else 0
            self._multi.socket_action(key.fd, bits)
        if self._due is not None and time.monotonic() >= self._due:
            self._due = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        more = 1
        while more:
            more, done, failed = self._multi.info_read(256)
            for curl in done:
                yield self._finish(curl, "")
            for curl, code, message in failed:
                if not self._retried(curl, code):
                    yield self._finish(curl, message or "failed")

    def drain(self, seconds: float) -> Iterator[Reply]:
        """Yield the replies still to come, for at most `seconds`."""
        end = time.monotonic() + seconds
        while self._open and time.monotonic() < end:
            yield from self.pump(0.05)

    def close(self) -> None:
        """Abandon what is under way and close every connection."""
        for curl in list(self._open):
            self._multi.remove_handle(curl)
            curl.close()
        self._open.clear()
        for curl in self._idle:
            curl.close()
        self._multi.close()
        self._selector.close()

    def _new(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        curl.setopt(pycurl.WRITEFUNCTION, len)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.PROXY, "")
        # Each source address would stay in the DNS cache, which is searched at every request.
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
        curl.setopt(pycurl.BUFFERSIZE, 262_144)
        return curl

    def _request_headers(self, server: str, ask: Ask) -> list[str]:
        headers = [f"Host: {server}", "Accept: */*"]
        if ask.referer:
            headers.append(f"Referer: https://shop.example{ask.referer}")
        if ask.last:
            headers.append("Connection: close")
        return headers

    def _retried(self, curl: pycurl.Curl, code: int) -> bool:
        if code not in LOST_CONNECTION or curl in self._again:
            return False
        self._multi.remove_handle(curl)
        curl.setopt(pycurl.FRESH_CONNECT, 1)
        self._again.add(curl)
        self._multi.add_handle(curl)
        return True

    def _finish(self, curl: pycurl.Curl, error: str) -> Reply:
        server, ask, sent_at, lines = self._open.pop(curl)
        status = 0 if error else curl.getinfo(pycurl.RESPONSE_CODE)
        size = curl.getinfo(pycurl.SIZE_DOWNLOAD_T)
        self._multi.remove_handle(curl)
        if curl in self._again:
            self._again.discard(curl)
            curl.setopt(pycurl.FRESH_CONNECT, 0)
        self._idle.append(curl)
        late = time.time() - ask.at
        return Reply(server, ask, status, size, sent_at, late, error, _request_id(lines))

    def _watch(self, event: int, fd: int, *_: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            with suppress(KeyError, ValueError):
                self._selector.unregister(fd)
            return
        mask = selectors.EVENT_READ if event & pycurl.POLL_IN else 0
        mask |= selectors.EVENT_WRITE if event & pycurl.POLL_OUT else 0
        change: Callable[[int, int], object] = (
            self._selector.modify if fd in self._selector.get_map() else self._selector.register
        )
        change(fd, mask)

    def _set_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000.0


def _request_id(lines: list[bytes]) -> str:
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"x-request-id":
            return value.strip().decode("ascii")
    return ""


def gave_up(reply: Reply) -> bool:
    """Whether it was the visitor who lost patience, as planned."""
    return bool(reply.error) and reply.ask.patience < PATIENCE_S
