"""Every setting of Loglake, read once from the environment or `.env`, then passed on."""

import hashlib
import json
import sys
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parents[2]

CLASS_ARCHIVE = Path(sys.prefix) / "spark-classes.jsa"
"""What `streaming.spark.class_archive` makes, for the JARs of this Python environment."""


def _absolute(path: Path) -> Path:
    expanded = path.expanduser()
    return expanded if expanded.is_absolute() else CHECKOUT / expanded


Directory = Annotated[Path, AfterValidator(_absolute)]
Port = Annotated[int, Field(ge=1024, le=65535)]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; name one such as Europe/Berlin") from error
    return name


class Settings(BaseSettings):
    """One frozen object; the environment variable of a field is `LOGLAKE_` and its name.

    Raises `pydantic.ValidationError` for a value that does not fit, naming the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="LOGLAKE_",
        env_file=CHECKOUT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    home: Directory = Field(Path("var"), description="State: data, logs, secrets, sockets.")
    cache: Directory = Field(
        Path("~/.cache/loglake"), description="Downloads and builds, shared by all checkouts."
    )
    lake: str = Field(
        "", description="Root of the Delta tables, a path or s3a:// URL; empty: HOME/lake."
    )
    checkpoints: str = Field(
        "",
        description="Root of the checkpoints, as durable as the lake; empty: HOME/checkpoints.",
    )

    servers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("web1", "web2", "web3"),
        description="nginx servers that have a Flume agent, comma separated.",
    )
    error_log_time_zones: dict[str, str] = Field(
        {"*": "UTC"},
        description="Zone of error-log times, which name none, by server as JSON; '*' is the rest.",
    )
    time_zone: str = Field(
        "UTC", description="Zone of the hour of week that baselines are kept by."
    )
    allowed_clients: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Clients that are never evaluated, comma separated: addresses and networks of "
        "monitors, load tests, your own office.",
    )

    spark_master: str = Field(
        "local[2]",
        description="Spark master of the streams and the batch jobs. More task slots need a larger "
        "heap: four have run out of 1 GB on a backlog.",
    )
    spark_driver_memory: str = Field("1g", description="Driver heap of each Spark application.")
    spark_java_options: str = Field(
        "", description="Further options of the JVM of each Spark application."
    )
    shuffle_partitions: int = Field(
        2, ge=1, description="State partitions; frozen in a checkpoint at its first start."
    )
    metrics_trigger_seconds: float = Field(
        1.0, gt=0, description="How often traffic metrics are renewed."
    )
    lake_trigger_seconds: float = Field(
        10.0, gt=0, description="How often the lake is appended to, and error metrics renewed."
    )
    detection_trigger_seconds: float = Field(
        10.0, gt=0, description="How often new lines in the lake are evaluated."
    )
    max_rows_per_batch: int = Field(
        600_000, ge=1000, description="Most Kafka records that one micro-batch takes."
    )
    history_days: int = Field(
        30, ge=1, description="Older event times are refused, and older days leave the lake."
    )

    demo_rate: float = Field(
        60.0, gt=0, le=5000, description="Mean requests/s of the demo traffic over all servers."
    )

    kafka_bootstrap_servers: str = Field("", description="Empty: the native broker of this stack.")
    influx_url: str = Field("", description="Empty: the native InfluxDB of this stack.")
    influx_org: str = Field("loglake", description="Organisation in InfluxDB.")
    grafana_home: str = Field(
        "",
        # The variable's short name, in any case, is one that Grafana users have set already.
        validation_alias=AliasChoices("grafana_home", "LOGLAKE_GRAFANA_HOME"),
        description="Grafana installation to use; empty: PATH, else download.",
    )
    alert_webhook_url: str = Field(
        "", description="Where alerts are posted; empty: the receiver of this stack."
    )
    alert_email: str = Field(
        "", description="Addresses that alerts go to, separated by ';'; needs GF_SMTP_* settings."
    )
    alert_slack_url: str = Field("", description="Slack incoming webhook that alerts go to.")
    dagster_postgres_url: str = Field("", description="Dagster storage; empty: SQLite under HOME.")

    bind_address: str = Field(
        "127.0.0.1", description="Where services listen; 0.0.0.0 belongs in containers only."
    )
    flume_host: str = Field("127.0.0.1", description="Where Flume agents find the collector.")
    kafka_port: Port = Field(19092, description="Ports of the native services, on loopback.")
    kafka_controller_port: Port = 19093
    influx_port: Port = 18086
    flume_port: Port = 14141
    upstream_port: Port = 18000
    nginx_port: Port = Field(18081, description="Port of the first server; the others follow it.")
    dagster_port: Port = Field(13070, description="What a person opens, on loopback.")
    grafana_port: Port = 13000
    webhook_port: Port = 18099
    spark_ui_port: Port = Field(
        14040, description="Spark UI of stream_access; stream_errors has the next."
    )

    @field_validator("servers", "allowed_clients", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("allowed_clients")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for client in value:
            ip_network(client, strict=False)
        return value

    @field_validator("error_log_time_zones")
    @classmethod
    def _zones(cls, value: dict[str, str]) -> dict[str, str]:
        for zone in value.values():
            _known_zone(zone)
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return _known_zone(value)

    @field_validator("servers")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"server name {name!r}: use letters, digits, '-' and '_'")
        if not value or len(set(value)) != len(value):
            raise ValueError("servers: name at least one server, and each only once")
        return value

    @cached_property
    def kafka(self) -> str:
        """Bootstrap servers of the broker in use."""
        return self.kafka_bootstrap_servers or f"127.0.0.1:{self.kafka_port}"

    @cached_property
    def influx(self) -> str:
        """URL of the InfluxDB in use."""
        return self.influx_url or f"http://127.0.0.1:{self.influx_port}"

    def table(self, name: str) -> str:
        """Location of a Delta table."""
        return f"{(self.lake or str(self.home / 'lake')).rstrip('/')}/{name}"

    def checkpoint(self, stream: str, query: str) -> str:
        """Location of the checkpoint of one streaming query."""
        root = (self.checkpoints or str(self.home / "checkpoints")).rstrip("/")
        return f"{root}/{stream}/{query}"

    def jars(self, name: str) -> Path:
        """Where the JARs that stack/jars/NAME.xml declares are kept; other versions live beside."""
        pom = CHECKOUT / "stack" / "jars" / f"{name}.xml"
        return self.cache / "jars" / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:8]}"

    @property
    def run_dir(self) -> Path:
        """Sockets, rendered configuration, progress files."""
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        """One log file per supervised process."""
        return self.home / "logs"

    def secret(self, name: str) -> str:
        """Content of HOME/secrets/NAME.

        Raises `FileNotFoundError` with the remedy when `loglake up` never made it.
        """
        path = self.home / "secrets" / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"secret {name} is missing under {path.parent}; run `loglake up` to create it"
            ) from None

    def nginx_ports(self) -> dict[str, int]:
        """Port of each server."""
        return {name: self.nginx_port + i for i, name in enumerate(self.servers)}

    def spark_ui_ports(self) -> dict[str, int]:
        """Port of the Spark UI of each stream."""
        return {"stream_access": self.spark_ui_port, "stream_errors": self.spark_ui_port + 1}

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these same settings."""
        values: dict[str, str] = {}
        for name, value in self.model_dump(mode="json").items():
            if isinstance(value, list):
                text = ",".join(value)
            elif isinstance(value, dict):
                text = json.dumps(value, separators=(",", ":"))
            else:
                text = str(value)
            values[f"LOGLAKE_{name.upper()}"] = text
        return values

    def with_changes(self, **changes: object) -> Self:
        """Return a validated copy with some fields changed."""
        return type(self)(**{**self.model_dump(), **changes})


def sentence(error: ValidationError) -> str:
    """Return what is wrong with the settings, each by the name of its variable."""
    faults = [
        f"LOGLAKE_{'_'.join(str(part) for part in fault['loc']).upper()} is wrong: {fault['msg']}, "
        f"not {fault['input']!r}"
        for fault in error.errors()
    ]
    return "; ".join(faults)
