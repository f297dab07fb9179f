"""Receives Grafana's alerts and logs them for a person; serves the runbooks they link to.

`python -m stack.webhook`. POST /alerts takes Grafana's webhook payload. GET / shows the last
messages, GET /runbooks the runbooks, GET /health answers 200.
"""

import html
import json
import logging
import re
import sys
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from streaming.contracts.settings import CHECKOUT, Settings

RUNBOOKS: Final = CHECKOUT / "docs" / "runbooks" / "alerts.md"
LARGEST_BODY: Final = 1 << 20
KEPT_MESSAGES: Final = 200
"""Shown by GET /; the log file keeps the rest."""

log = logging.getLogger("webhook")


def messages(payload: dict[str, Any]) -> list[str]:
    """One line an alert: state, severity, title, summary, runbook.

    Raises `KeyError` or `TypeError` when the payload is not Grafana's.
    """
    lines = []
    for alert in payload["alerts"]:
        labels, annotations = alert["labels"], alert["annotations"]
        parts = [
            f"{alert['status'].upper()} [{labels.get('severity', 'unknown')}]",
            f"{labels.get('alertname', 'alert')}:",
            annotations.get("summary", "no summary"),
            f"(since {alert['startsAt']}; {annotations.get('runbook_url', 'no runbook')})",
        ]
        # A summary carries what an attacker chose: one message stays one line.
        lines.append(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", " ".join(parts)))
    return lines


def page(title: str, body: str) -> str:
    """A plain page."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        "<style>body{font:16px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em}"
        f"pre{{white-space:pre-wrap}}</style>{body}</html>"
    )


def runbooks(text: str) -> str:
    """Markdown as a page whose headings can be linked to; all else stays as it is written."""
    parts = []
    for line in text.splitlines():
        heading = re.match(r"(#{1,3}) (.+)", line)
        if heading:
            level, title = len(heading[1]), heading[2]
            anchor = re.sub(r"[^\w]+", "-", title.lower()).strip("-")
            parts.append(f"</pre><h{level} id={anchor}>{html.escape(title)}</h{level}><pre>")
        else:
            parts.append(html.escape(line))
    return page("Runbooks", f"<pre>{chr(10).join(parts)}</pre>")


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: "Receiver"
    timeout = 10

    def do_GET(self) -> None:
        """Show the last messages, the runbooks, or that this is alive."""
        path = self.path.split("?")[0].rstrip("/")
        if path == "/health":
            self._answer(200, "ok", "text/plain")
        elif path == "/runbooks":
            self._answer(200, runbooks(RUNBOOKS.read_text(encoding="utf-8")))
        elif path == "":
            shown = "\n".join(html.escape(line) for line in reversed(self.server.received))
            self._answer(200, page("Alerts", f"<h1>Alerts</h1><pre>{shown or 'none yet'}</pre>"))
        else:
            self._answer(404, page("Not found", "<p>There are /, /runbooks and /health.</p>"))

    def do_POST(self) -> None:
        """Log what Grafana sends."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self._answer(413, "send at most 1 MiB, with Content-Length", "text/plain")
            return
        try:
            lines = messages(json.loads(self.rfile.read(int(length))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("refused a message that is not Grafana's: %s", type(error).__name__)
            self._answer(400, "this is not a message of Grafana Alerting", "text/plain")
            return
        for line in lines:
            log.warning("%s", line)
            self.server.received.append(line)
        self._answer(200, "ok", "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        """Leave requests out of the log: it is for alerts."""

    def _answer(self, status: int, text: str, kind: str = "text/html") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(body)


class Receiver(ThreadingHTTPServer):
    """The server and the messages it has received."""

    daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        """Listen on `address`; raises `OSError` when the port is taken."""
        super().__init__((address, port), Handler)
        self.received: deque[str] = deque(maxlen=KEPT_MESSAGES)


def main() -> None:
    """Serve until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    settings = Settings()
    with Receiver(settings.bind_address, settings.webhook_port) as server:
        log.info("alerts are received on port %d", settings.webhook_port)
        server.serve_forever()


if __name__ == "__main__":
    main()
