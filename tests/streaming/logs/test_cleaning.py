"""What is kept of a text that a client sent."""

import polars as pl
import pytest

from streaming.logs.cleaning import clean

pytestmark = pytest.mark.unit

CASES = {
    "short": ("abc", "abc"),
    "as long as it may be": ("abcdefgh", "abcdefgh"),
    "plain and too long": ("abcdefghi", "abcdefgh"),
    "too long, in characters of two bytes": ("äöüäöüäöü", "äöüäöüäö"),
    "too long, with what nobody sees behind it": ("abcdefgh\x00", "abcdefgh"),
    "too long by what nobody sees": ("ab\x00c\u202edefgh", "abcdefgh"),
    "cut after it was cleaned": ("ab\x00cdefghi", "abcdefgh"),
    "a dash and more than may be": ("-abcdefgh", "-abcdefg"),
    "a dash and another character": ("-é", "-é"),
    "two dashes": ("--", "--"),
    "a dash": ("-", None),
    "a dash and what nobody sees": ("\x00-\x1f", None),
    "one character": ("a", "a"),
    "a blank": (" ", " "),
    "empty": ("", None),
    "nothing that is seen": ("\x00\x1f", None),
    "a line feed at the end": ("abc\n", "abc"),
    "a dash and a line feed": ("-\n", None),
    "line separators": ("a\u2028b\u2029c\x85d", "abcd"),
    "bidirectional controls": ("a\u061cb\u200e\u200fc\u202a\u202ed\u2066\u2069", "abcd"),
    "a byte order mark": ("\ufeffa", "a"),
    "delete": ("a\x7fb", "ab"),
    "the edges of what is seen": (" ~\u00a0\u2027\u202f", " ~\u00a0\u2027\u202f"),
    "missing": (None, None),
}


@pytest.mark.parametrize("name", CASES)
def test_clean_keeps_so_many_visible_characters(name: str) -> None:
    text, expected = CASES[name]
    texts = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    assert texts.select(clean(pl.col("text"), 8)).item() == expected


def test_texts_side_by_side_do_not_disturb_each_other() -> None:
    texts = pl.DataFrame({"text": [text for text, _ in CASES.values()]})
    kept = texts.select(clean(pl.col("text"), 8))["text"]
    assert kept.to_list() == [expected for _, expected in CASES.values()]
