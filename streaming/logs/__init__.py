"""Bytes to rows: access lines, error records, routes, patterns, cleaning. No Spark."""
