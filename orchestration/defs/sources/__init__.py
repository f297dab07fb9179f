"""Where lines come from: nginx, Flume, Kafka. Outside Dagster."""
