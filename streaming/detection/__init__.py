"""Judging panes: the rules, their thresholds and what they say."""
