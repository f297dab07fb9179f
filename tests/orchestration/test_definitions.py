"""What Dagster shows: it loads alone and quickly, and every asset speaks for itself."""

import subprocess
import sys

import dagster as dg
import pytest

from orchestration.definitions import defs

LOAD = """
import sys, time
import dagster
own = time.process_time()
from orchestration.definitions import defs
defs().get_repository_def().load_all_definitions()
assert not {"pyspark", "py4j", "delta"} & sys.modules.keys(), "Spark is imported"
print((time.process_time() - own) / own)
"""


def test_definitions_load_without_spark_sooner_than_dagster_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1


@pytest.fixture(scope="module")
def specs() -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in defs().resolve_all_asset_specs()}


def test_every_asset_says_what_it_is(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    poor = [
        key.to_user_string()
        for key, spec in specs.items()
        if not (spec.description and spec.group_name != "default" and spec.kinds and spec.owners)
    ]
    assert not poor


def test_lineage_has_no_loose_ends(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    unknown = {dep.asset_key for spec in specs.values() for dep in spec.deps} - specs.keys()
    assert not unknown
    roots = {key.path[0] for key, spec in specs.items() if not list(spec.deps)}
    assert roots == {"nginx"}


@pytest.mark.parametrize("place", ["kafka", "lake", "influxdb"])
def test_every_column_of_what_holds_data_says_what_it_means(
    specs: dict[dg.AssetKey, dg.AssetSpec], place: str
) -> None:
    held = [spec for key, spec in specs.items() if key.path[0] == place]
    assert held
    for spec in held:
        columns = spec.metadata["dagster/column_schema"].columns
        assert columns, spec.key
        assert all(c.description or c.type == "tag" for c in columns), spec.key
