"""Rows to one profile per 10-second window and server. No Spark."""
