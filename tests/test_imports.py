"""Data flows one way, and imports show it: which folder may import which."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent

CORE: Final = (
    "streaming.contracts",
    "streaming.logs",
    "streaming.windows",
    "streaming.detection",
)

MAY_IMPORT: Final[Mapping[str, tuple[str, ...]]] = {
    "streaming.contracts": (),
    "streaming.logs": ("streaming.contracts",),
    "streaming.windows": ("streaming.contracts",),
    "streaming.detection": ("streaming.contracts", "streaming.windows"),
    "streaming.spark": CORE,
    "streaming.live": (*CORE, "streaming.spark"),
    "batch": ("streaming",),
    "orchestration": ("streaming.contracts",),
    "grafana": ("streaming.contracts",),
    "stack": ("streaming", "batch", "orchestration", "grafana"),
}
"""Folders of the table in docs/architecture.md; each may import itself."""

SPARK: Final = ("pyspark", "py4j", "delta")
SERVICES: Final = ("influxdb_client", "kafka", "supervisor", "dagster")

BANNED: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(CORE, (*SPARK, *SERVICES)),
    "streaming.spark": SERVICES,
    "batch.files": (*SPARK, *SERVICES),
    "batch.learning": SERVICES,
    "orchestration": SPARK,
    "grafana": SPARK,
}
"""Libraries that a folder does without."""

OURS: Final = ("streaming", "batch", "orchestration", "grafana", "stack")


def modules(folder: str) -> Iterator[Path]:
    yield from sorted((ROOT / folder.replace(".", "/")).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from streaming.spark import schemas` names a module; one deeper does no harm.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}.")


def imports(folder: str) -> Iterator[tuple[str, str]]:
    for path in modules(folder):
        for name in imported(path):
            yield str(path.relative_to(ROOT)), name


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_lies_below_it(folder: str) -> None:
    allowed = (folder, *MAY_IMPORT[folder])
    wrong = [
        (path, name)
        for path, name in imports(folder)
        if any(within(name, ours) for ours in OURS)
        and not any(within(name, some) for some in allowed)
    ]
    assert not wrong


@pytest.mark.parametrize("folder", BANNED)
def test_a_folder_does_without_a_library(folder: str) -> None:
    wrong = [
        (path, name)
        for path, name in imports(folder)
        if any(within(name, library) for library in BANNED[folder])
    ]
    assert not wrong


def test_no_two_files_of_streaming_and_batch_have_one_name() -> None:
    names = [path.name for folder in ("streaming", "batch") for path in modules(folder)]
    twice = {name for name, count in Counter(names).items() if count > 1} - {"__init__.py"}
    assert not twice


def test_every_file_fits_in_a_head() -> None:
    longest = 300
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in OURS
        for path in modules(folder)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > longest
    }
    assert not long
