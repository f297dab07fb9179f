"""Profiles to baselines."""
