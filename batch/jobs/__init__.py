"""One file, one job."""
