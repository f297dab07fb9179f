"""What log files say of the past: profiles of every window, made in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl

from batch.files import request_store
from batch.files.log_files import Chunk
from batch.files.request_store import Span, Stored
from batch.files.scan import Scanned, scan
from batch.files.workers import Workers
from batch.learning.profiles import Profiles
from streaming.contracts import names
from streaming.windows import error_profile, traffic_profile
from streaming.windows.requests import Requests

MESSAGES_AT_ONCE: Final = 100_000
"""Rows of counted error messages that are held before they are added up."""

Tell = Callable[[str], None]
FirstLast = tuple[int, int]
"""First and last epoch second of the lines of a server."""


@dataclass
class Past:
    """The lines read and rejected, their profiles, and what these were made of."""

    lines: int = 0
    rejected: int = 0
    profiles: Profiles = field(default_factory=Profiles)
    messages: list[pl.DataFrame] = field(default_factory=list)
    spans: dict[str, FirstLast] = field(default_factory=dict)
    stored: list[Stored] = field(default_factory=list)

    def requests(self, start: int, stop: int) -> Requests:
        """Return the requests of the windows in `[start, stop)`, borders of slots, with some."""
        return request_store.read(request_store.holding(self.stored, start, stop), start, stop)

    def add(self, part: Scanned, stored: Stored | None) -> None:
        """Take in what a chunk held, its requests on disk."""
        self.lines += part.lines
        self.rejected += part.rejected
        for server, (first, last) in part.spans.items():
            low, high = self.spans.get(server, (first, last))
            self.spans[server] = (min(low, first), max(high, last))
        if stored is not None:
            self.stored.append(stored)
        if part.messages is not None:
            self.messages.append(part.messages)
            if sum(map(len, self.messages)) > MESSAGES_AT_ONCE:
                self.messages = [error_profile.merged(self.messages)]


@contextmanager
def read_past(
    chunks: Iterable[Chunk],
    time_zones: Mapping[str, str],
    workers: Workers,
    tell: Tell = lambda _: None,
) -> Iterator[Past]:
    """Read chunks of lines, in any order, and make the profiles of their windows.

    `tell` hears of progress. Requests and profiles lie in temporary files as long as the block
    runs. Raises `OSError` when there is no room for them.
    """
    past = Past()
    with TemporaryDirectory(prefix="loglake-detect-") as directory:
        home = Path(directory)
        numbers = count()
        tasks = (_Scanning(chunk, time_zones, home / str(next(numbers))) for chunk in chunks)
        # Closed before the directory goes: no process may write into it then.
        with closing(workers.map(_scan, tasks)) as parts:
            for part, stored in parts:
                past.add(part, stored)
        tell(f"{past.lines:,} lines read")
        past.profiles = _profiles(past, home, workers, tell)
        yield past


@dataclass(frozen=True)
class _Scanning:
    chunk: Chunk
    time_zones: Mapping[str, str]
    path: Path


def _scan(task: _Scanning) -> tuple[Scanned, Stored | None]:
    """Reduce a chunk and write its requests to disk."""
    part = scan(task.chunk, task.time_zones)
    if part.requests is None:
        return part, None
    return replace(part, requests=None), request_store.write(part.requests, task.path)


def _profiles(past: Past, home: Path, workers: Workers, tell: Tell) -> Profiles:
    together = _together(past.spans.values())
    tasks = (_Making(span, together, home) for span in request_store.spans(past.stored))
    made = list(workers.map(_make, tasks))
    traffic = partial(_read_in_turn, [path for path, _ in made])
    tell(f"{sum(windows for _, windows in made):,} windows of traffic")
    if not past.messages:
        return Profiles(traffic)
    messages = error_profile.merged(past.messages)
    several = messages["server_address"].n_unique() > 1
    errors = error_profile.profiles_of(messages, fleet=several)
    tell(f"{len(errors):,} windows with errors")
    return Profiles(traffic, lambda: [errors])


@dataclass(frozen=True)
class _Making:
    span: Span
    together: list[FirstLast]
    home: Path


def _make(task: _Making) -> tuple[Path, int]:
    """Write the profiles of a span of time; return their file and number."""
    span = task.span
    requests = request_store.read(span.paths, span.start, span.stop)
    profiles = traffic_profile.profiles_of(requests, fleet=bool(task.together))
    second = pl.col("window_start").dt.epoch("s")
    shared = pl.any_horizontal(
        pl.lit(False),
        *(
            (second > first - names.WINDOW_SECONDS) & (second <= last)
            for first, last in task.together
        ),
    )
    profiles = profiles.filter((pl.col("server_address") != names.FLEET) | shared)
    path = task.home / f"profiles-{span.start}.arrow"
    request_store.write_frame(profiles, path)
    return path, len(profiles)


def _read_in_turn(paths: list[Path]) -> Iterator[pl.DataFrame]:
    return (pl.read_ipc(path) for path in paths)


def _together(spans: Iterable[FirstLast]) -> list[FirstLast]:
    """Return the spans of time in which at least two servers have lines.

    The fleet has profiles only there: files of different years are no fleet, and what one server
    does alone is no norm for two.
    """
    known = list(spans)
    shared = sorted(
        (max(a[0], b[0]), min(a[1], b[1]))
        for i, a in enumerate(known)
        for b in known[:i]
        if max(a[0], b[0]) <= min(a[1], b[1])
    )
    joined: list[FirstLast] = []
    for first, last in shared:
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
