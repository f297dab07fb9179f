"""The docs name what is there, and show what the code returns."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from batch.files.detect import detect
from batch.files.log_files import chunks, log_file
from batch.files.workers import Workers
from stack.cli import SECTIONS
from streaming.contracts import frames
from streaming.detection.engine import evaluate
from streaming.detection.incidents import Incident, merge
from streaming.detection.limits import Limits, Rules
from streaming.detection.rows import incident_row, traffic_profiles_of
from streaming.logs.access import parse_access
from streaming.windows.traffic_profile import traffic_profiles
from tests.test_imports import MAY_IMPORT, OURS, ROOT

pytestmark = pytest.mark.unit

PAGES: Final = (
    ROOT / "README.md",
    ROOT / "flume" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
FOLDERS: Final = (*OURS, "flume", "tests", "docs")
COMMANDS: Final = {name for section in SECTIONS.values() for name in section}

LINK: Final = re.compile(r"\[([^\]\[]*)\]\(([^)\s]+)\)")
FILE: Final = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*")
MODULE: Final = re.compile(rf"python -m ((?:{'|'.join(FOLDERS)})(?:\.\w+)*)")
COMMAND: Final = re.compile(r"(?:^|[ `/])loglake ([a-z][a-z-]*)")
CODE: Final = re.compile(r"`[^`\n]+`|^    .*$", re.MULTILINE)
NAME: Final = re.compile(r"`(\w+)`")
FENCED: Final = re.compile(r"```json\n(.*?)```", re.DOTALL)

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield text, file and anchor of each link that stays in the repository."""
    for text, target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield text, (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = [
        f"{path}#{anchor}"
        for _, path, anchor in links(page)
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]
    assert not wrong


@every_page
def test_a_link_with_the_name_of_something_leads_to_its_file(page: Path) -> None:
    wrong = [
        (name[1], path.name)
        for text, path, _ in links(page)
        if path.suffix == ".py" and (name := NAME.fullmatch(text))
        if not re.search(rf"^(?:def |class )?{name[1]}\b", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert not wrong


@every_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = {name.rstrip(".") for name in FILE.findall(page.read_text(encoding="utf-8"))}
    assert not {name for name in named if not (ROOT / name).exists()}


@every_page
def test_every_module_that_is_run_exists(page: Path) -> None:
    paths = {name: ROOT.joinpath(*name.split(".")) for name in MODULE.findall(page.read_text())}
    found = {
        name
        for name, path in paths.items()
        if path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    }
    assert paths.keys() == found


@every_page
def test_every_command_exists(page: Path) -> None:
    code = CODE.findall(page.read_text(encoding="utf-8"))
    assert {name for text in code for name in COMMAND.findall(text)} <= COMMANDS


def test_the_table_of_folders_is_what_imports_are_held_to() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z/]+)/` \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    table = {
        folder.replace("/", "."): {
            name if name in FOLDERS else f"streaming.{name}" for name in NAME.findall(cell)
        }
        for folder, cell in rows
    }
    assert table == {"flume": set()} | {folder: set(some) for folder, some in MAY_IMPORT.items()}


class Example:
    """The four blocks of docs/a-line-of-log.md, and the lines that the scanner sent."""

    def __init__(self) -> None:
        page = (ROOT / "docs" / "a-line-of-log.md").read_text(encoding="utf-8")
        blocks = FENCED.findall(page)
        self.line = "".join(blocks[0].splitlines())
        self.row, self.profile, self.incident = map(json.loads, blocks[1:])
        own = json.loads(self.line)
        self.lines = []
        for number, path in enumerate(self.profile["clients_with_404s"][0]["missing"]):
            other = {
                "msec": own["msec"] + number / 2,
                "request_uri": path,
                "request_id": f"{number:032x}",
            }
            is_own = own["request_uri"].startswith(path)
            self.lines.append(self.line if is_own else json.dumps({**own, **other}))

    def profiles(self) -> pl.DataFrame:
        """Return the profiles of all lines."""
        profiles = traffic_profiles(parsed(self.lines))
        return profiles.filter(pl.col("server_address") == self.profile["server_address"])


def parsed(lines: list[str]) -> pl.DataFrame:
    records = pl.DataFrame({"value": [line.encode() for line in lines]}).with_columns(
        pl.lit(datetime(2026, 1, 31, 14, 4, tzinfo=UTC)).alias("ingested_at")
    )
    absent = {name: pl.lit(None, kind) for name, kind in frames.RECORD.items()}
    whole = records.with_columns(**{n: e for n, e in absent.items() if n not in records.columns})
    return parse_access(whole.select(*frames.RECORD), history_days=30)


def shown(frame: pl.DataFrame, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the only row of a frame as JSON, in the columns of an example."""
    (line,) = frame.select(*columns).write_ndjson().splitlines()
    return dict(json.loads(line))


def test_the_row_is_that_of_the_line() -> None:
    example = Example()
    assert shown(parsed([example.line]), example.row) == example.row


def test_the_profile_is_that_of_the_lines() -> None:
    example = Example()
    assert shown(example.profiles(), example.profile) == example.profile


def test_the_incident_is_that_of_the_profile() -> None:
    example = Example()
    profiles = list(traffic_profiles_of(example.profiles()))
    found = merge(evaluate(profiles, Limits(), Rules()), profiles[-1].second + 10)
    assert stored(found, example.incident) == example.incident


def test_the_incident_is_that_of_a_file_with_the_lines(tmp_path: Path) -> None:
    example = Example()
    path = tmp_path / "access.log"
    path.write_text("\n".join(example.lines) + "\n", encoding="utf-8")
    with Workers(1) as workers:
        lines = chunks(log_file(path))
        found = detect(lines, {}, Rules(), lambda _profiles, _run: Limits(), workers)
    assert stored(found.incidents, example.incident) == example.incident


def stored(incidents: list[Incident], columns: dict[str, Any]) -> dict[str, Any]:
    """Return the only incident as a row of its table, in the columns of an example."""
    (row,) = [incident_row(incident) for incident in incidents]
    return shown(pl.DataFrame([row], frames.TABLES["incidents"]), columns)
