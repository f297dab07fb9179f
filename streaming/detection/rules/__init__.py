"""The rules, each over the profiles of one server."""
