"""DAGSTER_HOME: HOME/dagster with `dagster.yaml` rendered from the settings."""

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from streaming.contracts.settings import Settings

TEMPLATE = Path(__file__).with_name("dagster.yaml")


def dagster_home(settings: Settings) -> Path:
    """Where Dagster keeps its state."""
    return settings.home / "dagster"


def write_instance(settings: Settings) -> Path:
    """Write DAGSTER_HOME/dagster.yaml and return DAGSTER_HOME.

    `loglake up` calls it before it starts `dagster-webserver` and `dagster-daemon`. The PostgreSQL
    URL, which holds a password, stays in the environment variable LOGLAKE_DAGSTER_POSTGRES_URL.
    """
    home = dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    template = Environment(  # noqa: S701 - YAML, not HTML
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    ).from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(postgres=bool(settings.dagster_postgres_url))
    (home / "dagster.yaml").write_text(text, encoding="utf-8")
    return home
