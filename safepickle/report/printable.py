"""Strings of hostile files, made fit for a terminal.

A member or a callable may be named so that printing it moves the cursor, hides the verdict or runs backwards.
"""

from __future__ import annotations

LONGEST = 200


def printable(text: str, longest: int = LONGEST) -> str:
    """`text` with every character that is not plainly printed escaped, and cut after `longest` characters.

    Escaped are controls, ANSI sequences with them, invisible and bidirectional format characters, line
    separators and lone surrogates (undecodable bytes of file names).
    """
    cut = f"… ({len(text):,} characters)" if len(text) > longest else ""
    text = text[:longest]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return text + cut


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
