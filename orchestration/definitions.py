"""The code location: everything under `defs`, its resources and how fresh things must be."""

from pathlib import Path

import dagster as dg

from orchestration.freshness import with_freshness
from orchestration.resources import Loglake


@dg.definitions
def defs() -> dg.Definitions:
    """Load all topics and apply the freshness policies in one place."""
    found = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(
        with_freshness(found),
        # A process per step would cost seconds each, and nothing here needs one.
        dg.Definitions(resources={"loglake": Loglake()}, executor=dg.in_process_executor),
    )
