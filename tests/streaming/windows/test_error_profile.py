"""What an error profile holds: every column against the oracle, in parts of any size."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.contracts import frames, names
from streaming.windows.error_profile import error_profiles, merged, messages_of, profiles_of
from tests.fixtures.lines import error_logs
from tests.streaming.windows import oracle

pytestmark = pytest.mark.unit

START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)

Row = dict[str, Any]

ROW: Final = {
    "event_time": st.integers(0, 39).map(lambda second: START + timedelta(seconds=second)),
    "server_address": st.sampled_from(["web1", "web2", "web3"]),
    "severity": st.sampled_from(names.SEVERITIES),
    "category": st.sampled_from(["auth", "limit_req", "other", None]),
    "pattern_id": st.sampled_from(["a", "b", "c", None]),
    "pattern": st.sampled_from(["open() * failed", "x" * 600, "", None]),
    "message": st.sampled_from(["open() /a failed", "open() /b failed", "y" * 600, None]),
}
LINES: Final = st.lists(st.fixed_dictionaries(ROW), min_size=1, max_size=80)

SEVERITIES = [
    pytest.param("debug", 0, id="debug"),
    pytest.param("info", 0, id="info"),
    pytest.param("notice", 0, id="notice"),
    pytest.param("warn", 1, id="warn"),
    pytest.param("error", 1, id="error"),
    pytest.param("emerg", 1, id="emerg"),
]


@pytest.mark.parametrize(("severity", "profiles"), SEVERITIES)
def test_notices_and_below_are_no_trouble(severity: str, profiles: int) -> None:
    line = {"event_time": START, "server_address": "web1", "severity": severity}
    assert len(error_profiles(error_logs([line]), fleet=False)) == profiles


def messages(rng: random.Random, patterns: int) -> Iterator[Row]:
    """Messages of so many patterns in two categories and two windows, most of them in ties."""
    for i in range(2 * patterns):
        yield {
            "event_time": START + timedelta(milliseconds=rng.randrange(20_000)),
            "server_address": rng.choice(("web1", "web2")),
            "severity": rng.choice(("warn", "error", "crit")),
            "category": rng.choice(("upstream_timeout", "tls")),
            "pattern_id": f"{i % patterns:x}",
            "pattern": f"pattern {i % patterns}",
            "message": f"message {i}",
        }


@pytest.mark.parametrize("patterns", [3, 1000])
@pytest.mark.parametrize("fleet", [True, False], ids=["fleet", "servers"])
def test_every_column_is_that_of_the_oracle(patterns: int, fleet: bool) -> None:
    rows = list(messages(random.Random(1), patterns))
    profiles = error_profiles(error_logs(rows), fleet=fleet)
    assert profiles.schema == pl.Schema(frames.ERROR_PROFILES)
    assert profiles.to_dicts() == oracle.error_profiles(rows, fleet=fleet)


@settings(max_examples=25, deadline=None)
@given(LINES, st.lists(st.integers(0, 80), max_size=4), st.booleans())
def test_parts_in_any_order_make_the_same_profiles(
    rows: list[Row], cuts: list[int], fleet: bool
) -> None:
    edges = [0, *sorted(cuts), len(rows)]
    parts = [messages_of(error_logs(rows[first:last])) for first, last in pairwise(edges)]
    profiles = profiles_of(merged(parts[::-1]), fleet=fleet)
    assert profiles.to_dicts() == oracle.error_profiles(rows, fleet=fleet)


def test_no_messages_make_no_profiles() -> None:
    profiles = error_profiles(error_logs([]))
    assert (profiles.schema, len(profiles)) == (pl.Schema(frames.ERROR_PROFILES), 0)
