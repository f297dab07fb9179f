"""Histograms of request times, of which any number add up."""

from typing import Final

import polars as pl

LATENCY_BUCKETS: Final = 64
FIRST_LATENCY: Final = 0.001
PER_DOUBLING: Final = 4
"""Bucket i holds request times up to 0.001 s · 2^(i/4); the last one everything above 46 s."""

_EDGES: Final = pl.Series(
    [FIRST_LATENCY * 2 ** (i / PER_DOUBLING) for i in range(LATENCY_BUCKETS - 1)]
)


def bucket(seconds: str) -> pl.Expr:
    """Return `bucket`, the bucket of a column of request times."""
    return pl.lit(_EDGES).search_sorted(pl.col(seconds), side="left").alias("bucket")


def counts_of(latencies: pl.DataFrame, profile_keys: pl.Series) -> pl.Series:
    """Return the requests of all buckets of each profile, from rows of profile and bucket."""
    places = latencies.join(profile_keys.to_frame().with_row_index("row"), on="profile_key")
    place = places["row"].cast(pl.Int64) * LATENCY_BUCKETS + places["bucket"]
    flat = pl.zeros(len(profile_keys) * LATENCY_BUCKETS, pl.Int64, eager=True)
    filled = flat.scatter(place, places["requests"])
    return filled.reshape((len(profile_keys), LATENCY_BUCKETS)).arr.to_list()
