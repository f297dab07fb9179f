"""A container's health check: `python -m stack.docker.healthy URL` or `… HOST:PORT`."""

import socket
import sys
import urllib.request


def main() -> None:
    """End with status 0 when the URL answers 200, or the port takes connections."""
    target = sys.argv[1]
    if target.startswith("http://"):
        with urllib.request.urlopen(target, timeout=4) as answer:  # noqa: S310 (our own address)
            raise SystemExit(0 if answer.status == 200 else 1)
    host, _, port = target.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=4):
        pass


if __name__ == "__main__":
    main()
