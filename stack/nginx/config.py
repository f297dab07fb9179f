"""The configuration of each nginx server, rendered under HOME/nginx/<server>."""

import base64
import grp
import hashlib
import os
import pwd
from pathlib import Path
from typing import Final

from stack.demo.assets import write_site
from stack.render import render, write
from stack.secrets import ensure_secret, write_private
from stack.setup import find_program
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import Settings

WORKER_CONNECTIONS: Final = 4096
ADMIN_USER: Final = "operator"
ADMIN_SECRET: Final = "nginx_admin_password"  # noqa: S105 (the name of a file)
_TEMPORARY: Final = ("body", "proxy", "fastcgi", "uwsgi", "scgi")


def server_dir(settings: Settings, server: str) -> Path:
    """Directory of a server: nginx.conf, access.log, error.log, nginx.pid, tmp/."""
    return settings.home / "nginx" / server


def nginx_command(settings: Settings, server: str) -> list[str]:
    """Command that runs a server in the foreground.

    Raises `StackError` when nginx is not installed.
    """
    binary = find_program("nginx")
    if binary is None:
        raise StackError("nginx is not installed; run `apt-get install nginx-light`")
    home = server_dir(settings, server)
    zones = settings.error_log_time_zones
    # The master reads TZ once, before it reads any `env` directive.
    zone = f"TZ={zones.get(server, zones.get('*', 'UTC'))}"
    return [
        *("env", zone, binary),
        *("-p", f"{home}/", "-c", f"{home}/nginx.conf", "-e", f"{home}/error.log"),
    ]


def write_config(settings: Settings, server: str) -> Path:
    """Render nginx.conf of a server with the directories and files that it names.

    Raises `KeyError` for a server that the settings do not name.
    """
    home = server_dir(settings, server)
    site = settings.home / "nginx" / "site"
    for name in _TEMPORARY:
        (home / "tmp" / name).mkdir(parents=True, exist_ok=True)
    write_site(site)
    text = render(
        "stack/nginx/nginx.conf.j2",
        server=server,
        port=settings.nginx_ports()[server],
        upstream_port=settings.upstream_port,
        dir=home,
        site=site,
        password_file=_password_file(settings),
        worker_connections=WORKER_CONNECTIONS,
        **_owner(),
    )
    return write(home / "nginx.conf", text)


def _owner() -> dict[str, str]:
    """User and group of the workers; empty unless root, who alone may choose."""
    if os.geteuid() != 0:
        return {"user": "", "group": ""}
    return {"user": pwd.getpwuid(0).pw_name, "group": grp.getgrgid(0).gr_name}


def _password_file(settings: Settings) -> Path:
    """Password file of /admin/; the password itself is a secret of this home."""
    password = ensure_secret(settings, ADMIN_SECRET).encode()
    salt = hashlib.sha256(password).digest()[:8]
    digest = hashlib.sha1(password + salt, usedforsecurity=False).digest()
    path = settings.home / "nginx" / "passwords"
    write_private(path, f"{ADMIN_USER}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n")
    return path
