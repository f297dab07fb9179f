"""Where people look: Grafana. Outside Dagster."""
