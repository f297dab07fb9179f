"""The detector over log files. No Spark."""
