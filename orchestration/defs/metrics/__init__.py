"""The InfluxDB measurements."""
