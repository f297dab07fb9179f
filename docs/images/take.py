"""`python docs/images/take.py`: take the screenshots of the docs from the running demo.

Needs Chromium on PATH and `loglake demo` that has run for a quarter of an hour, so that plots and
schedules have something to show. With a path and a file name it takes that page of Dagster instead.
"""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from streaming.contracts.settings import Settings

HERE = Path(__file__).parent
GROUPS = ("streams", "lake")
GRAPH = "/asset-groups?expanded=" + ",".join(f"global@global:{group}" for group in GROUPS)
SCHEDULE = "/locations/orchestration.definitions/schedules/reconcile_every_5_minutes"
PAGES = {
    "dagster-asset-graph.png": (GRAPH, ""),
    "dagster-stream.png": ("/assets/streams/stream_access?view=overview", "Plots"),
    "dagster-schedule.png": (SCHEDULE, ""),
}
"""File, page, and the button that is pressed there."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT, SCALE = 2400, 1400, 0.7
QUIET_SECONDS = 8
"""A page has drawn everything when its text has not changed for so long."""
PATIENCE_SECONDS = 120

PRESS = """(text => {
  const wanted = [...document.querySelectorAll('button')].find(b => b.innerText.trim() === text);
  wanted.click();
  wanted.scrollIntoView();
})(%s)"""


def main(pages: dict[str, tuple[str, str]]) -> None:
    """Take each page, or exit with what is missing."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit("No Chromium on PATH; on Debian or Ubuntu: apt-get install chromium.")
    base = f"http://127.0.0.1:{Settings().dagster_port}"
    try:
        httpx.get(f"{base}/server_info", timeout=30).raise_for_status()
    except httpx.HTTPError as error:
        sys.exit(f"Dagster does not answer at {base} ({error}); start it with `loglake demo`.")
    with Tab.opened(browser) as tab:
        for name, (page, button) in pages.items():
            file = Path(name) if "/" in name else HERE / name
            file.write_bytes(tab.picture(base + page, button))
            sys.stdout.write(f"{file} {file.stat().st_size // 1024} kB\n")


class Tab:
    """A tab of a browser without a window, driven by the DevTools protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count()

    @classmethod
    @contextmanager
    def opened(cls, browser: str) -> Iterator["Tab"]:
        """Start the browser; it ends with the block."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            # Root has no sandbox, and containers have a small /dev/shm.
            flags = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage")
            where = (f"--user-data-dir={profile}", "--remote-debugging-port=0")
            process = subprocess.Popen(
                [browser, *flags, *where, "--hide-scrollbars"],
                stderr=subprocess.DEVNULL,
            )
            try:
                port = _port(Path(profile) / "DevToolsActivePort")
                tabs = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=30).json()
                url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
                with connect(url, max_size=None, open_timeout=60) as connection:
                    tab = cls(connection)
                    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": SCALE}
                    tab._call("Emulation.setDeviceMetricsOverride", mobile=False, **size)
                    yield tab
            finally:
                process.terminate()
                process.wait(30)

    def picture(self, url: str, button: str) -> bytes:
        """Return a page as PNG, after a press of the button with this text if it is not empty."""
        self._call("Page.navigate", url=url)
        self._settle()
        if button:
            self._call("Runtime.evaluate", expression=PRESS % json.dumps(button))
            self._settle()
        return base64.b64decode(self._call("Page.captureScreenshot")["data"])

    def _settle(self) -> None:
        text, since, deadline = "", time.monotonic(), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.5)
            found = self._call("Runtime.evaluate", expression="document.body.innerText")
            now = found["result"].get("value", "")
            if now != text or len(now) < 500 or "Loading" in now:
                text, since = now, time.monotonic()

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while (answer := json.loads(self._connection.recv(PATIENCE_SECONDS))).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result


def _port(file: Path) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (file.exists() and file.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError("the browser did not start")
        time.sleep(0.2)
    return int(file.read_text().splitlines()[0])


if __name__ == "__main__":
    main({sys.argv[2]: (sys.argv[1], "")} if len(sys.argv) == 3 else PAGES)
