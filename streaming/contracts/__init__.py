"""What several parts share: names, tables, measurements, settings, progress, the access line."""
