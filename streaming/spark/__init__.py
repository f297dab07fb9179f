"""Spark moves and remembers: sources, the Arrow bridge, Delta tables, live metrics."""
