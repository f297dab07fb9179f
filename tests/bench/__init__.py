"""`python -m tests.bench`: the figures that keep the design honest, on the real services."""
