"""Strings of hostile files on a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from safepickle.report.printable import printable


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Zl", "Zp", "L", "N", "P", "S"])))
def test_what_comes_out_is_printable_whatever_goes_in(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=200))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert printable("x" * 5000, 10) == "xxxxxxxxxx… (5,000 characters)"


def test_controls_and_direction_marks_are_shown_by_their_codes() -> None:
    assert printable("a\x1b[31m\u202eb\udce9") == "a\\x1b[31m\\u202eb\\udce9"
