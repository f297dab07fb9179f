"""The two stream applications: ensured, observed, healed."""
