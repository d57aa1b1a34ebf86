"""JSON that is read without the module json means what it means to the module json."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.json_text import parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.text(" \t\r\n", max_size=3), st.booleans())
def test_whatever_json_writes_is_read_as_it_was(value: object, blanks: str, indented: bool) -> None:
    assert parse(blanks + json.dumps(value, indent=2 if indented else None) + blanks) == value


@settings(max_examples=300, deadline=None)
@given(st.text('{}[]",:0123456789.eE+-truefalsn \\u', max_size=12))
def test_what_json_refuses_is_refused(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"\S"):
            parse(text)
    else:
        assert parse(text) == value


@pytest.mark.parametrize("text", ["", " ", "NaN", "[Infinity]", "-Infinity", "1 2", "{}x", "\ufeff{}", '"\x01"'])
def test_numbers_that_are_none_and_leftovers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse(text)


def test_objects_are_made_by_the_given_function() -> None:
    assert parse('{"a": {"b": 1, "b": 2}}', tuple) == (("a", (("b", 1), ("b", 2))),)


def test_a_scan_imports_neither_json_nor_re() -> None:
    code = (
        "import sys; from safepickle.scan import Scanner; Scanner().scan_bytes(b'cos\\nsystem\\n.');"
        "print(sorted({'json', 're', 'enum', 'dataclasses', 'typing'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
