"""One module a dashboard; each has `board()`."""
