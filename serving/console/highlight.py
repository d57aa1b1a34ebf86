"""Colours for one line of pseudo-Python, as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_KEYWORDS = "import return raise None True False"
# Possessive, and a string may stay open: no line is gone over twice, whatever is in it.
_TOKENS = re.compile(
    r"(?P<string>[bru]?'(?:[^'\\]|\\.)*+'?|[bru]?\"(?:[^\"\\]|\\.)*+\"?)"
    r"|(?P<comment>\#.*)"
    rf"|(?P<keyword>\b(?:{'|'.join(_KEYWORDS.split())})\b)"
    r"|(?P<number>(?<![\w.])-?\d[\w.]*+)"
    r"|(?P<call>(?<![\w.])[^\W\d][\w.]*+(?=\())"
)


def highlighted(text: str) -> Markup:
    """`text` escaped, with strings, numbers, keywords, comments and what is called in elements with a class."""
    parts: list[Markup | str] = []
    at = 0
    for token in _TOKENS.finditer(text):
        parts.append(escape(text[at : token.start()]))
        parts.append(Markup('<span class="t-{}">{}</span>').format(token.lastgroup or "", token.group()))
        at = token.end()
    parts.append(escape(text[at:]))
    return Markup("").join(parts)
