"""The streams as programs: queries, the live detector, progress."""
