"""Requests → clients of a window: their load, the paths that they miss, and who misses what."""

from hashlib import blake2b
from typing import Final

import polars as pl

from streaming.windows.grouping import largest
from streaming.windows.requests import MAX_PATH

MAX_CLIENTS: Final = 100
MAX_CLIENTS_WITH_404S: Final = 200
MAX_MISSING: Final = 64
MAX_SHARED: Final = 100
MAX_TOP_PATHS: Final = 5
"""Most clients by load, clients by missing paths, missing paths of one client, missing paths with
several voters, paths kept as evidence of one client."""

PAGE_PARTS: Final = 30
"""Most paths without a static file's ending that one client may fetch in a window as parts of
pages (with a referrer, each path once) before they count as load: the real shop log has up to 32
extensionless images per page."""

PAGE_VIEWS: Final = 4
"""Most times that one client may fetch a static file in a window before it counts as load: an
intranet without caching sent its icons with each of the pages that a person clicked through."""

VOTE_PATHS: Final = 3
VOTE_SHARE: Final = 0.8
"""A client that misses at most this many paths in a window, or that also finds at least a fifth
of what he asks for, is ordinary: what he misses may be a broken link."""

MAX_VOTERS: Final = 8

STATIC: Final = (
    r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot"
    r"|mp[34]|webm|ogg|wasm)$"
)
SOUGHT: Final = (
    r"(?i)/(?:\.(?:env|git|svn|aws|ssh|htpasswd)(?:[/.]|$)|wp-config\.|HNAP1|.*/eval-stdin\.php"
    r"|(?:php-?my-?admin[^/]*|(?:(?:my|sql|db|mysql)-?)?admin[0-9]*|pma[0-9]*|mysql[0-9]*"
    r"|web-?(?:sql|db)[0-9]*|sqlite(?:-?manager)?[-.0-9]*)"
    r"/(?:index\.php|main\.php|(?:scripts/)?setup\.php))"
)
"""What scanners look for and no page links to: secrets left behind, and entries of database
front ends, of which an operator knows his own. From the scans in the logs of docs/detection.md."""


def with_kinds_of_path(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `static` to rows of requests; make `missing` the requests that count as missing."""
    path = pl.col("path")
    paths = rows["path"].unique()
    static = path.is_in(paths.filter(paths.str.contains(STATIC)).implode())
    sought = path.is_in(paths.filter(paths.str.contains(SOUGHT)).implode())
    failed = pl.when(static).then(0).otherwise("missing")
    # Some servers answer everything with a page or a redirect; a scan of these has no 404.
    found = pl.when(sought).then("found").otherwise(0)
    return rows.with_columns(static.alias("static"), (failed + found).alias("missing"))


def clients_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row per client of a profile.

    Columns: client_key, profile_key, client, requests, status_5xx, load; `missed`, the requests
    that count as missing, `missing_paths`, how many distinct paths these have, and `missing`, the
    first of these paths, null where there is none.
    """
    found_static = pl.col("static") & (pl.col("found") > 0)
    part = ~pl.col("static") & (pl.col("referred") > 0)
    files = pl.when(found_static).then(pl.col("requests").clip(upper_bound=PAGE_VIEWS)).otherwise(0)
    clients = (
        rows.with_columns(files.alias("files"), part.alias("part"))
        .group_by("client_key")
        .agg(
            pl.first("profile_key", "client"),
            pl.sum("requests", "status_5xx", "files", "part"),
            pl.sum("missing").alias("missed"),
        )
    )
    missing = (
        rows.filter(pl.col("missing") > 0)
        .select("client_key", normal_path("path").alias("path"))
        .unique()
        .sort("client_key", "path")
        .group_by("client_key", maintain_order=True)
        .agg(pl.len().alias("missing_paths"), pl.col("path").head(MAX_MISSING).alias("missing"))
    )
    parts = pl.col("files") + pl.col("part").clip(upper_bound=PAGE_PARTS)
    return (
        clients.with_columns((pl.col("requests") - parts).alias("load"))
        .drop("files", "part")
        .join(missing, on="client_key", how="left")
        .with_columns(pl.col("missing_paths").fill_null(0))
    )


def normal_path(path: str) -> pl.Expr:
    """Return a path as scanners are counted by: lower case, `//` as `/`, cut to 256 characters."""
    return pl.col(path).str.replace_all("/{2,}", "/").str.to_lowercase().str.head(MAX_PATH)


def with_load(clients: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return profile_key and `entries`: the clients of the highest load, with their paths."""
    order = ("profile_key", "load", "requests", "client")
    top = (
        clients.sort(order, descending=True)
        .group_by("profile_key", maintain_order=True)
        .head(MAX_CLIENTS)
        .with_row_index("place")
    )
    paths = rows.select("client_key", "requests", "path").join(
        top.select("client_key", "place"), on="client_key"
    )
    entry = ("requests", "path")
    in_places = largest(paths, "place", entry, MAX_TOP_PATHS, entry)
    return (
        top.with_columns(in_places["entries"].alias("top_paths"))
        .group_by("profile_key", maintain_order=True)
        .agg(pl.struct("load", "requests", "client", "status_5xx", "top_paths").alias("entries"))
    )


def with_404s(clients: pl.DataFrame) -> pl.DataFrame:
    """Return profile_key and `entries`: the clients of the most missing paths."""
    share = (pl.col("missed") / pl.col("requests")).alias("share")
    return largest(
        clients.filter(pl.col("missing_paths") > 0).with_columns(share),
        "profile_key",
        ("missing_paths", "share", "client"),
        MAX_CLIENTS_WITH_404S,
        ("missing_paths", "missed", "client", "requests", "missing"),
    )


def shared_paths(clients: pl.DataFrame) -> pl.DataFrame:
    """Return profile_key and `entries`: the paths that ordinary clients miss.

    Each comes with the number of these clients, and the hashes of some.
    """
    ordinary = (pl.col("missing_paths") <= VOTE_PATHS) | (
        pl.col("missed") <= VOTE_SHARE * pl.col("requests")
    )
    votes = clients.filter(ordinary & (pl.col("missing_paths") > 0))
    names = votes["client"].to_list()
    hashes = {name: _hash(name) for name in set(names)}
    paths = (
        votes.with_columns(pl.Series("voter", [hashes[name] for name in names], pl.Int64))
        .select("profile_key", "voter", pl.col("missing").alias("path"))
        .explode("path")
        .sort("voter")
        .group_by("profile_key", "path", maintain_order=True)
        .agg(pl.len().alias("clients"), pl.col("voter").head(MAX_VOTERS).alias("voters"))
    )
    entry = ("path", "clients", "voters")
    return largest(paths, "profile_key", ("clients", "path"), MAX_SHARED, entry)


def _hash(client: str | None) -> int:
    """Return 64 bits with a sign; Polars' own hash differs between its versions."""
    digest = blake2b((client or "").encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
