"""JSON, text, and base64 pickles within JSON."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from safepickle.containers.escapes import resolved
from safepickle.scan import trace_bytes
from tests.containers.samples import CALLING_0, CALLING_4, PLAIN_4, TEXT, found, kinds, scan, zip_of


def test_base64_pickles_are_found_under_the_path_of_their_keys() -> None:
    encoded = base64.b64encode(CALLING_4).decode()
    document = {"a": 1, "b": [{"x": "y"}, {"c": encoded}], "d": encoded, "e": {'quote"d': "s"}, "f": {"g": [encoded]}}
    for indent in (None, 2):
        contents = scan(json.dumps(document, indent=indent).encode())
        assert (contents.container, contents.complete) == ("json", True)
        assert [region.place for region in contents.regions] == [
            (("base64", "b.c"),),
            (("base64", "d"),),
            (("base64", "f.g"),),
        ]
        assert found(contents) == [CALLING_4] * 3


SPELLINGS = {
    "plain": lambda text: text,
    "no padding": lambda text: text.rstrip("="),
    "escaped characters": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "escaped slashes": lambda text: text.replace("/", "\\/"),
    "line breaks": lambda text: "\\n".join(text[at : at + 20] for at in range(0, len(text), 20)),
    "foreign characters": lambda text: "!".join(text),
    "leading blank": lambda text: "  " + text,
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("data", [CALLING_0, CALLING_4])
def test_base64_is_read_as_leniently_as_loaders_read_it(spell: object, data: bytes) -> None:
    assert callable(spell)
    text = '{"key": "' + spell(base64.b64encode(data).decode()) + '"}'
    assert json.loads(text)
    assert found(scan(text.encode())) == [data]


def test_base64_for_urls_and_of_compressed_pickles_is_read() -> None:
    data = CALLING_4 + bytes(range(256)) * 8
    for encoded in (base64.urlsafe_b64encode(data), base64.b64encode(gzip.compress(data))):
        assert data in found(scan(b'["' + encoded + b'"]'))


def test_words_and_prose_in_json_are_no_pickles() -> None:
    document = {"vocab": ["distribution", "configuration" * 2, "The cat sat on the mat, once more"] * 200}
    contents = scan(json.dumps(document).encode())
    assert (contents.container, contents.complete, contents.regions) == ("json", True, ())


def test_programs_and_text_are_incomplete_as_files_and_not_as_members() -> None:
    for data, container in (
        (TEXT, "text"),
        (b"a: !!python/name:builtins.len\n", "yaml"),
    ):
        contents = scan(data)
        assert (contents.container, contents.complete, kinds(contents)) == (container, False, {"unsupported-format"})
        assert scan(zip_of({"member": data, "b": PLAIN_4})).complete


def test_unbalanced_and_unended_json_is_read_as_far_as_it_goes() -> None:
    encoded = base64.b64encode(CALLING_4)
    assert found(scan(b'{"a": "' + encoded + b'"]]]]}}}, "b": "' + encoded + b'"}')) == [CALLING_4] * 2
    assert found(scan(b'{"a": "' + encoded + b'", "b": "never ends }')) == [CALLING_4]


ENCODED = json.dumps({"a": {":serialized:": base64.b64encode(CALLING_4).decode()}})
OBJECT = '{"_target_": "os.system", "_args_": ["echo inert"]}'
HIDDEN = {
    "an escaped key": OBJECT.replace("_target_", "\\u005ftarget_").encode(),
    "blanks before": (" \n" * 5000 + OBJECT).encode(),
    "blanks behind": (OBJECT + "\t\r" * 5000).encode(),
    "UTF-16": OBJECT.encode("utf-16"),
    "UTF-16 without a mark": OBJECT.encode("utf-16-be"),
    "UTF-32": OBJECT.encode("utf-32"),
    "a byte order mark": OBJECT.encode("utf-8-sig"),
    "a list": f"[NaN, {OBJECT}]".encode(),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_program_in_json_is_read_however_it_is_written(how: str) -> None:
    for data in (HIDDEN[how], zip_of({"a.json": HIDDEN[how], "b": PLAIN_4})):
        trace = trace_bytes(data)
        assert "os.system" in {call.callee.name for stream in trace.walk() for call in stream.calls}
        assert trace.complete


@pytest.mark.parametrize("how", HIDDEN)
def test_data_in_json_are_data_however_they_are_written(how: str) -> None:
    data = HIDDEN[how].replace(b"_\0", b"x\0").replace(b"\0_", b"\0x").replace(b"_", b"x").replace(b"u005f", b"u00fc")
    contents = scan(data)
    assert (contents.container, contents.complete, contents.regions) == ("json", True, ())


@pytest.mark.parametrize("blanks", [(" " * 9000, ""), ("", " " * 9000)])
def test_pickles_in_json_are_found_behind_any_number_of_blanks(blanks: tuple[str, str]) -> None:
    contents = scan(zip_of({"data": (blanks[0] + ENCODED + blanks[1]).encode(), "b": PLAIN_4}))
    assert CALLING_4 in found(contents)


def test_escapes_are_resolved_once_and_quotes_and_backslashes_stay() -> None:
    for text, expected in (
        (b"\\x5f\\u0061\\U00000062", b"_ab"),
        (b"\\\\x5f \\u0022 \\u005c \\x0a \\u00e9 \\u", b"\\\\x5f \\u0022 \\u005c \\x0a \\u00e9 \\u"),
        (b"a\\\n  b\\x5", b"ab\\x5"),
        (b"\\\\\\x41 \\u+041", b"\\\\A \\u+041"),
    ):
        assert resolved(text, lambda: False) == expected
