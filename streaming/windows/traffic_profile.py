"""Access lines → one row per 10-second window and server: all that the detector looks at.

Every column is an exact function of the set of lines, whatever their order, so that a profile made
by the stream equals the profile made from history. Nested lists are cut to the entries that matter
most, with ties broken by name, so that a row stays small under any number of clients and URLs.
"""

from collections.abc import Callable
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.detection.model import FIRST_LATENCY, LATENCY_BUCKETS, PER_DOUBLING
from streaming.spark import schemas
from streaming.spark.live_metrics import window_second

MAX_CLIENTS: Final = 100
MAX_CLIENTS_WITH_404S: Final = 200
MAX_ROUTES: Final = 200
MAX_MISSING: Final = 64
MAX_SHARED: Final = 100
MAX_TOP_PATHS: Final = 5
MAX_PATH: Final = 256
"""Most clients by load, clients by missing paths, routes, missing paths of one client, missing
paths with several voters, paths kept as evidence of one client, characters of a path."""

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

_STATIC: Final = (
    r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot"
    r"|mp[34]|webm|ogg|wasm)$"
)
_SOUGHT: Final = (
    r"(?i)/(?:\.(?:env|git|svn|aws|ssh|htpasswd)(?:[/.]|$)|wp-config\.|HNAP1|.*/eval-stdin\.php"
    r"|(?:php-?my-?admin[^/]*|(?:(?:my|sql|db|mysql)-?)?admin\d*|pma\d*|mysql\d*|web-?(?:sql|db)\d*"
    r"|sqlite(?:-?manager)?[-.\d]*)/(?:index\.php|main\.php|(?:scripts/)?setup\.php))"
)
"""What scanners look for and no page links to: secrets left behind, and entries of database
front ends, of which an operator knows his own. From the scans in the logs of docs/detection.md."""

_MISSING: Final = (400, 403, 404, 405, 410, 444)
_CLASSES: Final = (1, 2, 3, 4, 5)


def traffic_profiles(
    access_logs: DataFrame,
    *,
    fleet: bool = True,
    keep: Callable[[DataFrame], DataFrame] = lambda rows: rows,
) -> DataFrame:
    """Aggregate `schemas.ACCESS_LOGS` into `schemas.TRAFFIC_PROFILES`.

    With `fleet` there is one more row per window for all servers together, named `names.FLEET`.
    `keep` may make the rows that are read three times once: a quarter of the work.
    """
    lines = _lines(access_logs, fleet)
    requests = keep(_requests(lines))
    clients = _clients(requests)
    keys = ["window_start", "server_address"]
    profiles = (
        _totals(clients)
        .join(_routes(requests), keys, "left")
        .join(_shared(clients), keys, "left")
        .join(_latencies(lines), keys, "left")
    )
    dated = profiles.withColumn("event_date", F.to_date("window_start"))
    return dated.select(*schemas.TRAFFIC_PROFILES.names)


def window_start(time: Column) -> Column:
    """Return the start of the 10-second window that holds `time`."""
    return F.timestamp_seconds(window_second(time))


def normal_path(path: Column) -> Column:
    """Return a path as scanners are counted by: lower case, `//` as `/`, cut to 256 characters."""
    return F.substring(F.lower(F.regexp_replace(path, "/{2,}", "/")), 1, MAX_PATH)


def _lines(access_logs: DataFrame, fleet: bool) -> DataFrame:
    status = F.col("http_response_status_code")
    path = F.coalesce(F.substring("url_path", 1, MAX_PATH), F.lit(""))
    static = path.rlike(_STATIC)
    found = status.between(200, 399)
    servers = (
        F.explode(F.array("server_address", F.lit(names.FLEET)))
        if fleet
        else F.col("server_address")
    )
    return access_logs.select(
        window_start(F.col("event_time")).alias("window_start"),
        servers.alias("server_address"),
        F.col("client_address").alias("client"),
        path.alias("path"),
        F.coalesce("http_route", F.lit("")).alias("route"),
        F.floor(status / 100).alias("class"),
        (status == 499).alias("aborted"),
        static.alias("static"),
        # Some servers answer everything with a page or a redirect; a scan of these has no 404.
        ((status.isin(*_MISSING) & ~static) | (found & path.rlike(_SOUGHT))).alias("missing"),
        found.alias("found"),
        # The common format has neither; every part of a page would count as load.
        (F.col("http_request_referrer").isNotNull() | F.col("user_agent_original").isNull()).alias(
            "referred"
        ),
        F.coalesce("http_response_body_size", F.lit(0)).alias("bytes"),
        F.col("http_server_request_duration").alias("latency"),
    )


def _requests(lines: DataFrame) -> DataFrame:
    """One row per window, server, client and path.

    A text among the aggregates would make Spark sort the lines, so the route is a key: a function
    of the path, but for paths cut at `MAX_PATH`, which have a row per route.
    """
    keys = ["window_start", "server_address", "client", "path", "route"]
    return lines.groupBy(*keys).agg(
        F.first("static").alias("static"),
        F.bool_or("found").alias("found"),
        F.bool_or(F.col("found") & F.col("referred")).alias("referred"),
        F.count_if("missing").alias("missing"),
        F.count_if("aborted").alias("aborted"),
        *[F.count_if(F.col("class") == n).alias(f"status_{n}xx") for n in _CLASSES],
        F.count(F.lit(1)).alias("requests"),
        F.sum("bytes").alias("bytes"),
        # A sum of doubles depends on its order; of microseconds it does not.
        F.sum(F.round(F.col("latency") * 1e6).cast("bigint")).alias("latency_us"),
        F.count("latency").alias("timed"),
    )


def _clients(requests: DataFrame) -> DataFrame:
    """One row per window, server and client."""
    keys = ["window_start", "server_address", "client"]
    found_static = F.col("found") & F.col("static")
    files = F.sum(F.when(found_static, F.least("requests", F.lit(PAGE_VIEWS))).otherwise(0))
    part = F.count_if(F.col("found") & ~F.col("static") & F.col("referred"))
    top = F.struct("requests", "path")
    clients = requests.groupBy(*keys).agg(
        F.sum("requests").alias("requests"),
        (files + F.least(part, F.lit(PAGE_PARTS))).alias("parts"),
        F.sum("missing").alias("missed"),
        F.sum("aborted").alias("aborted"),
        *[F.sum(f"status_{n}xx").alias(f"status_{n}xx") for n in _CLASSES],
        F.sum("bytes").alias("bytes"),
        F.sum("latency_us").alias("latency_us"),
        F.sum("timed").alias("timed"),
        F.max_by(top, top, MAX_TOP_PATHS).alias("top_paths"),
    )
    # Most clients miss nothing; a set for each of them would be half of the work on a crowd.
    sought = F.sort_array(F.collect_set(normal_path(F.col("path")))).alias("missing")
    missing = requests.where(F.col("missing") > 0).groupBy(*keys).agg(sought)
    nothing = F.array().cast("array<string>")
    return clients.join(missing.hint("shuffle_hash"), keys, "left").withColumns(
        {
            "load": F.col("requests") - F.col("parts"),
            "missing_paths": F.coalesce(F.size("missing"), F.lit(0)).cast("bigint"),
            "missing": F.coalesce(F.slice("missing", 1, MAX_MISSING), nothing),
        }
    )


def _totals(clients: DataFrame) -> DataFrame:
    heavy = F.struct("load", "requests", "client", "status_5xx", "top_paths")
    client_with_404s = F.struct("missing_paths", "missed", "client", "requests", "missing")
    first = F.struct("load", "requests", "client")
    lone = F.struct("missing_paths", F.col("missed") / F.col("requests"), "client")
    missing = F.when(F.col("missing_paths") > 0, lone)
    return clients.groupBy("window_start", "server_address").agg(
        *[F.sum(c).alias(c) for c in ("requests", "bytes", "latency_us", "timed", "aborted")],
        *[F.sum(f"status_{n}xx").alias(f"status_{n}xx") for n in _CLASSES],
        F.count(F.lit(1)).alias("clients"),
        *[F.sum(c).alias(c) for c in ("load", "missing_paths")],
        F.sum(F.col("load") * F.col("load")).alias("load_squares"),
        F.sum(F.col("missing_paths") * F.col("missing_paths")).alias("missing_squares"),
        F.max_by(heavy, first, MAX_CLIENTS).alias("top_clients"),
        F.coalesce(F.max_by(client_with_404s, missing, MAX_CLIENTS_WITH_404S), F.array()).alias(
            "clients_with_404s"
        ),
    )


def _routes(requests: DataFrame) -> DataFrame:
    """The routes that fail or are asked for most."""
    route = F.struct(
        "route",
        "requests",
        "bytes",
        "latency_us",
        "timed",
        *[f"status_{n}xx" for n in _CLASSES],
    )
    routes = requests.groupBy("window_start", "server_address", "route").agg(
        *[F.sum(c).alias(c) for c in ("requests", "bytes", "latency_us", "timed")],
        *[F.sum(f"status_{n}xx").alias(f"status_{n}xx") for n in _CLASSES],
    )
    return routes.groupBy("window_start", "server_address").agg(
        F.max_by(route, F.struct("status_5xx", "requests", "route"), MAX_ROUTES).alias("routes")
    )


def _shared(clients: DataFrame) -> DataFrame:
    """The paths that ordinary clients miss, with up to `MAX_VOTERS` of these clients as hashes."""
    ordinary = (F.col("missing_paths") <= VOTE_PATHS) | (
        F.col("missed") <= VOTE_SHARE * F.col("requests")
    )
    voter = F.xxhash64("client").alias("voter")
    votes = clients.where(ordinary & (F.col("missing_paths") > 0)).select(
        "window_start", "server_address", voter, F.explode("missing").alias("path")
    )
    paths = votes.groupBy("window_start", "server_address", "path").agg(
        F.count(F.lit(1)).alias("clients"),
        F.sort_array(F.min_by("voter", "voter", MAX_VOTERS)).alias("voters"),
    )
    entry = F.struct("path", "clients", "voters")
    return paths.groupBy("window_start", "server_address").agg(
        F.max_by(entry, F.struct("clients", "path"), MAX_SHARED).alias("shared_paths")
    )


def _latencies(lines: DataFrame) -> DataFrame:
    steps = F.ceil(F.log2(F.greatest("latency", F.lit(1e-9)) / FIRST_LATENCY) * PER_DOUBLING)
    bucket = F.least(F.greatest(steps, F.lit(0)), F.lit(LATENCY_BUCKETS - 1)).cast("int")
    counts = (
        lines.where(F.col("latency").isNotNull())
        .groupBy("window_start", "server_address", bucket.alias("bucket"))
        .count()
    )
    entries = F.map_from_entries(F.collect_list(F.struct("bucket", "count")))
    return (
        counts.groupBy("window_start", "server_address")
        .agg(entries.alias("counts"))
        .select(
            "window_start",
            "server_address",
            F.transform(
                F.sequence(F.lit(0), F.lit(LATENCY_BUCKETS - 1)),
                lambda i: F.coalesce(F.try_element_at("counts", i), F.lit(0)),
            ).alias("latency_counts"),
        )
    )
