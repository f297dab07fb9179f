"""InfluxDB of the native stack: command, organisation, buckets, tokens, the hourly roll-up."""

from dataclasses import dataclass
from typing import Any, Final

import httpx

from stack.secrets import ensure_secret, write_private
from stack.setup import influxd
from streaming.contracts import names
from streaming.contracts.exceptions import StackError
from streaming.contracts.settings import CHECKOUT, Settings

ADMIN_TOKEN: Final = "influx_admin_token"  # noqa: S105 (names of secrets)
ADMIN_PASSWORD: Final = "influx_admin_password"  # noqa: S105
WRITE_TOKEN: Final = "influx_write_token"  # noqa: S105
READ_TOKEN: Final = "influx_read_token"  # noqa: S105
RETENTION_SECONDS: Final = {
    names.BUCKET_METRICS: names.METRICS_SECONDS,
    names.BUCKET_METRICS_1H: 365 * 86_400,
}
ROLLUP: Final = CHECKOUT / "stack" / "influxdb" / "rollup.flux"
_USER: Final = "loglake"


def influxd_command(settings: Settings) -> tuple[str, ...]:
    """Command of the server: loopback only, no telemetry, no user interface."""
    home = settings.home / "influxdb"
    return (
        str(influxd(settings)),
        "run",
        f"--http-bind-address=127.0.0.1:{settings.influx_port}",
        f"--bolt-path={home / 'influxd.bolt'}",
        f"--sqlite-path={home / 'influxd.sqlite'}",
        f"--engine-path={home / 'engine'}",
        "--reporting-disabled",
        "--hardening-enabled",
        "--template-file-urls-disabled",
        "--pprof-disabled",
        "--ui-disabled",
        "--log-level=error",
        # Kept small: the series count is bounded, and Spark needs the memory.
        "--storage-cache-max-memory-size=268435456",
        "--query-memory-bytes=268435456",
        "--query-concurrency=16",
        "--query-queue-size=256",
    )


def set_up(settings: Settings) -> None:
    """Bring organisation, buckets, role tokens and the roll-up task to what is declared.

    Raises `StackError` when InfluxDB does not answer or was set up with another admin token.
    """
    token = ensure_secret(settings, ADMIN_TOKEN)
    with httpx.Client(base_url=settings.influx, timeout=20) as client:
        try:
            _onboard(client, settings, token)
            api = _Api(client, token)
            organisation = api.one("orgs", "orgs", org=settings.influx_org)
            buckets = [
                api.bucket(organisation["id"], name, seconds)
                for name, seconds in RETENTION_SECONDS.items()
            ]
            for name, action in ((WRITE_TOKEN, "write"), (READ_TOKEN, "read")):
                _ensure_token(api, settings, organisation["id"], buckets, name, action)
            if ROLLUP.exists():
                _ensure_task(api, organisation["id"], ROLLUP.read_text(encoding="utf-8"))
        except httpx.TransportError as error:
            raise StackError(
                f"InfluxDB at {settings.influx} does not answer ({type(error).__name__}); "
                "look at `loglake logs influxd` or set LOGLAKE_INFLUX_URL"
            ) from error


def _onboard(client: httpx.Client, settings: Settings, token: str) -> None:
    if not client.get("/api/v2/setup").json()["allowed"]:
        return
    answer = client.post(
        "/api/v2/setup",
        json={
            "username": _USER,
            "password": ensure_secret(settings, ADMIN_PASSWORD),
            "org": settings.influx_org,
            "bucket": names.BUCKET_METRICS,
            "retentionPeriodSeconds": RETENTION_SECONDS[names.BUCKET_METRICS],
            "token": token,
        },
    )
    answer.raise_for_status()


@dataclass(frozen=True)
class _Api:
    client: httpx.Client
    token: str

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {"Authorization": f"Token {self.token}"}
        answer = self.client.request(method, f"/api/v2/{path}", headers=headers, **arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise StackError(
                f"InfluxDB at {self.client.base_url} refuses the admin token; put the right one "
                f"into secrets/{ADMIN_TOKEN} under LOGLAKE_HOME"
            )
        if answer.is_error:
            raise StackError(
                f"InfluxDB refuses {method} {path} with {answer.status_code}: "
                f"{answer.text.strip()[:300]}; look at `loglake logs influxd`"
            )
        return answer.json() if answer.content else None

    def one(self, path: str, kind: str, **query: str) -> dict[str, Any]:
        found = self.call("GET", path, params=query)[kind]
        if not found:
            raise StackError(
                f"InfluxDB has no {kind} {query}; set LOGLAKE_INFLUX_ORG to one it has"
            )
        return dict(found[0])

    def bucket(self, organisation: str, name: str, seconds: int) -> str:
        # Asked for one name, InfluxDB answers 404 instead of an empty list.
        found = self.call("GET", "buckets", params={"orgID": organisation, "limit": 100})
        buckets = {bucket["name"]: bucket for bucket in found["buckets"]}
        rules = [{"type": "expire", "everySeconds": seconds}]
        if name not in buckets:
            body = {"orgID": organisation, "name": name, "retentionRules": rules}
            return str(self.call("POST", "buckets", json=body)["id"])
        bucket = buckets[name]
        if [rule["everySeconds"] for rule in bucket["retentionRules"]] != [seconds]:
            self.call("PATCH", f"buckets/{bucket['id']}", json={"retentionRules": rules})
        return str(bucket["id"])


def _ensure_token(
    api: _Api, settings: Settings, organisation: str, buckets: list[str], name: str, action: str
) -> None:
    wanted = {(action, bucket) for bucket in buckets}
    known = api.call("GET", "authorizations", params={"orgID": organisation})["authorizations"]
    path = settings.home / "secrets" / name
    if path.exists():
        secret = settings.secret(name)
        for authorization in known:
            if authorization["token"] == secret and _permissions(authorization) == wanted:
                return
    body = {
        "orgID": organisation,
        "description": f"loglake {action}",
        "permissions": [
            {"action": action, "resource": {"type": "buckets", "id": bucket, "orgID": organisation}}
            for bucket in buckets
        ],
    }
    write_private(path, api.call("POST", "authorizations", json=body)["token"])


def _permissions(authorization: dict[str, Any]) -> set[tuple[str, str]]:
    return {(p["action"], p["resource"].get("id", "")) for p in authorization["permissions"]}


def _ensure_task(api: _Api, organisation: str, flux: str) -> None:
    tasks = api.call("GET", "tasks", params={"orgID": organisation})["tasks"]
    name = _task_name(flux)
    for task in tasks:
        if task["name"] == name:
            if task["flux"] != flux:
                api.call("PATCH", f"tasks/{task['id']}", json={"flux": flux})
            return
    api.call("POST", "tasks", json={"orgID": organisation, "flux": flux})


def _task_name(flux: str) -> str:
    for part in flux.replace("{", ",").split(","):
        key, _, value = part.partition(":")
        if key.strip() == "name":
            return value.strip().strip('"')
    raise StackError(f"{ROLLUP} has no `option task = {{name: …}}`; restore the file")
