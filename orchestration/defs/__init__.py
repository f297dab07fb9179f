"""Everything that Dagster shows, by topic; the same file names in each."""
