"""What both kinds of profile group by, and how they cut their lists."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from streaming.contracts import names

WINDOW: Final = ("window_start", "server_address")
"""Key of a profile."""

FLEET: Final = pl.lit(names.FLEET).alias("server_address")


def window_start(time: str) -> pl.Expr:
    """Return the start of the 10-second window that holds the time of a column."""
    return pl.col(time).dt.truncate(f"{names.WINDOW_SECONDS}s").alias("window_start")


def shared_windows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the windows in which more than one server has rows, as window_start."""
    servers = rows.select(WINDOW).unique().group_by("window_start").len()
    return servers.filter(pl.col("len") > 1).select("window_start")


def profile_key(servers: pl.Series) -> pl.Expr:
    """Return `profile_key`: a number per window and server, in the order of both."""
    server = pl.col("server_address").cast(pl.Enum(servers.unique().sort())).to_physical()
    window = pl.col("window_start").dt.epoch("s") // names.WINDOW_SECONDS
    return (window * servers.n_unique() + server).alias("profile_key")


def with_key(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Turn a column of texts into an Enum in their order, and add `<name>_key`.

    The key is a number per profile and text; Polars groups, joins and sorts by one number several
    times faster than by texts.
    """
    texts = rows[name].unique().drop_nulls().sort()
    number = pl.col(name).to_physical().cast(pl.Int64).fill_null(len(texts))
    key = pl.col("profile_key") * (len(texts) + 1) + number
    return rows.with_columns(pl.col(name).cast(pl.Enum(texts))).with_columns(
        key.alias(f"{name}_key")
    )


def largest(
    rows: pl.DataFrame, key: str, order: Sequence[str], limit: int, entry: Sequence[str]
) -> pl.DataFrame:
    """Return the key and `entries`: the `limit` largest rows of each key as structs, largest first.

    The keys are in ascending order.
    """
    return (
        rows.select(dict.fromkeys((key, *order, *entry)).keys())
        .sort(key, *order, descending=[False, *(True for _ in order)])
        .group_by(key, maintain_order=True)
        .agg(pl.struct(entry).head(limit).alias("entries"))
    )
