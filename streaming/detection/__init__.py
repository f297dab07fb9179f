"""Evaluating profiles: rules, limits, scores and incidents. No Spark."""
