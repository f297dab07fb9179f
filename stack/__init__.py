"""The `loglake` command and the native services."""
