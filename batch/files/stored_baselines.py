"""Baselines of a lake, read from Delta's own files."""

from pathlib import Path

import polars as pl
from deltalake.exceptions import DeltaError

from streaming.contracts import names
from streaming.detection.limits import Limits, Rules


def stored_limits(path: str, rules: Rules) -> Limits:
    """Return the newest baselines of the table at `path`, or of the lake there.

    Raises `FileNotFoundError` when there is no such table, or no version in it.
    """
    inside = Path(path, names.BASELINES)
    try:
        table = pl.scan_delta(str(inside) if inside.is_dir() else path)
        version = pl.col("version")
        last = table.select(version.max()).collect().item()
        newest = table.filter(version.eq_missing(last)).collect()
        limits = Limits(newest.iter_rows(named=True), rules.time_zone)
    except (DeltaError, OSError, KeyError, pl.exceptions.PolarsError) as error:
        raise FileNotFoundError(
            f"no baselines at {path}; name the Delta table `{names.BASELINES}`, or the lake that "
            "holds it"
        ) from error
    if newest.is_empty():
        raise FileNotFoundError(f"the baselines at {path} are empty; run `loglake baselines`")
    return limits
