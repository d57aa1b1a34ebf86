"""JSON, text, and base64 pickles within JSON."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

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
