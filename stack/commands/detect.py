"""`loglake detect`: incidents in any log files, without a stack."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from stack.file_progress import FileProgress
from stack.incident_table import incident_line, incident_table, plain_incident, wide_console
from stack.plain_text import plain
from streaming.contracts.settings import Settings

if TYPE_CHECKING:
    from batch.files.detect import Learn
    from batch.files.follow import Follower, News
    from batch.files.log_files import Chunk, LogFile
    from batch.files.tail import Tail
    from batch.files.workers import Workers
    from streaming.detection.incidents import Incident
    from streaming.detection.limits import Rules

PACKED: Final = 10
"""Bytes of log lines in one byte of gzip, about."""

INTERRUPTED: Final = 130
"""Exit status of a program that Ctrl-C ended, as shells have it."""


class InputError(click.ClickException):
    """The files, the baselines or an option cannot be used."""

    exit_code = 2


def _networks(_ctx: click.Context, _parameter: click.Parameter, clients: Iterable[str]) -> Any:
    for client in clients:
        try:
            ip_network(client, strict=False)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return clients


@click.command("detect")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--baselines",
    default="learn",
    show_default=True,
    metavar="learn|none|PATH",
    help="Learn what is normal from these files, use static thresholds only, or read the "
    "baselines of a lake.",
)
@click.option("--server", help="Server of lines that name none; default: the file's name.")
@click.option(
    "--allow",
    multiple=True,
    metavar="CLIENT",
    callback=_networks,
    help="Address or network that is never evaluated; may be given several times.",
)
@click.option(
    "--follow",
    "-f",
    is_flag=True,
    help="Go on with lines that are appended, also after a rotation, until Ctrl-C.",
)
@click.option("--exit-code", is_flag=True, help="End with status 1 when there are incidents.")
@click.pass_obj
def detect_command(
    settings: Settings,
    files: tuple[Path, ...],
    as_json: bool,
    baselines: str,
    server: str | None,
    allow: tuple[str, ...],
    follow: bool,
    exit_code: bool,
) -> None:
    """Find incidents in access and error logs, in any order.

    A line may be JSON, combined, common or nginx's error log; a file may be compressed with gzip.
    The exit status is 0, 2 when something cannot be read, and with --exit-code 1 for incidents.
    """
    with _sentences():
        # Polars takes a while to import, and `--help` does without it.
        from batch.files.follow import Follower
        from batch.files.log_files import log_file
        from batch.files.tail import Tail
        from streaming.detection.limits import rules_of

        allowed = frozenset(settings.allowed_clients + allow)
        rules = rules_of(settings, allowed_clients=allowed)
        # One that two patterns of a shell matched is read once.
        once = {path.resolve(): path for path in reversed(files)}
        sources = [log_file(path, server) for path in reversed(once.values())]
        tails = [Tail(source) for source in sources] if follow else []
        follower = Follower(rules, settings.error_log_time_zones)
        known = _detect(settings, sources, tails, rules, baselines, follower)
        _show(known.values(), as_json)
        if follow:
            _follow(follower, tails, known, as_json)
    if exit_code and known:
        raise click.exceptions.Exit(1)


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn what is wrong with the input into a sentence and its exit status."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        raise InputError(plain(str(error))) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None


def _detect(
    settings: Settings,
    files: "list[LogFile]",
    tails: "list[Tail]",
    rules: "Rules",
    baselines: str,
    follower: "Follower",
) -> "dict[str, Incident]":
    """Return the incidents in the files by their ids; with `tails` these are read to their ends."""
    from batch.files.detect import detect
    from batch.files.log_files import chunks

    steps = 2 + 2 * (baselines == "learn") + any(file.errors for file in files)
    size = sum(file.path.stat().st_size for file in files)
    with _workers(files) as workers, FileProgress(size, steps) as progress:
        if tails:
            parts = (_advancing(tail.read(), progress.advance) for tail in tails)
        else:
            parts = (chunks(file, progress.advance) for file in files)
        found = detect(
            chain.from_iterable(parts),
            settings.error_log_time_zones,
            rules,
            _learn(baselines, rules, progress.tell),
            workers,
            progress.tell,
            follower.begin if tails else lambda *_: None,
        )
    if found.lines and found.rejected == found.lines:
        raise ValueError(
            f"none of the {found.lines:,} lines is in a known format: JSON, combined, common, "
            "or nginx's error log"
        )
    if found.rejected:
        click.echo(f"{found.rejected:,} of {found.lines:,} lines are in no known format", err=True)
    return {incident.incident_id: incident for incident in found.incidents}


def _workers(files: "list[LogFile]") -> "Workers":
    """Return a process for each core that gets a chunk."""
    from batch.files.log_files import CHUNK_BYTES
    from batch.files.workers import Workers, cores

    size = sum(file.path.stat().st_size * (PACKED if file.packed else 1) for file in files)
    return Workers(min(cores(), size // CHUNK_BYTES + 1))


def _advancing(parts: "Iterable[Chunk]", advance: Callable[[int], None]) -> "Iterator[Chunk]":
    for chunk in parts:
        yield chunk
        advance(len(chunk.lines) + 1)


def _follow(
    follower: "Follower", tails: "list[Tail]", known: "dict[str, Incident]", as_json: bool
) -> None:
    """Tell each incident when it opens, when it is over, and if it holds no more, until Ctrl-C."""
    from batch.files.follow import follow

    def tell(news: "News") -> None:
        for incident_id in news.retracted:
            if incident_id in known:
                _say(known.pop(incident_id), as_json, holds=False)
        for incident in news.changed:
            before = known.get(incident.incident_id)
            known[incident.incident_id] = incident
            if before is None or (before.closed_at is None) != (incident.closed_at is None):
                _say(incident, as_json)

    with suppress(KeyboardInterrupt):
        follow(follower, tails, tell)


def _say(incident: "Incident", as_json: bool, *, holds: bool = True) -> None:
    row = plain_incident(incident)
    if as_json:
        click.echo(json.dumps(row if holds else {**row, "retracted": True}))
    else:
        click.echo(incident_line(row) + ("" if holds else "; further lines took it back"))


def _learn(baselines: str, rules: "Rules", tell: Callable[[str], None]) -> "Learn":
    from batch.learning.learn import learn
    from streaming.detection.limits import Limits

    if baselines == "none":
        return lambda _profiles, _run: Limits(time_zone=rules.time_zone)
    if baselines == "learn":
        return lambda profiles, run: learn(profiles, rules, tell=tell, run=run).limits(rules)
    from batch.files.stored_baselines import stored_limits

    limits = stored_limits(baselines, rules)
    return lambda _profiles, _run: limits


def _show(incidents: "Iterable[Incident]", as_json: bool) -> None:
    rows = sorted(
        map(plain_incident, incidents), key=lambda row: (-row["peak_score"], row["opened_at"])
    )
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    else:
        wide_console().print(incident_table(rows) if rows else "No incidents.")
