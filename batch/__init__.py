"""Bounded Spark jobs on the lake; they reuse the pure functions of `streaming`."""
