"""Safetensors: tensors and texts about them; some libraries build objects from configurations in these texts."""

from __future__ import annotations

from .escapes import resolved
from .hydra_config import MARK, HydraConfig
from .json_program import add, fits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_ESCAPE = b"\\u00"
"""How JSON may write any part of the mark."""


def read(source: Source, place: Place, survey: Survey) -> None:
    """Tell what the configurations build; one that cannot be read leaves the file incomplete."""
    end = min(8 + int.from_bytes(source.read(0, 8), "little"), source.size)
    if source.find(MARK, 8, end) < 0 and source.find(_ESCAPE, 8, end) < 0:
        return
    header = source.read(8, end - 8)
    try:
        read_all = fits(header) and _read(header, place, survey)
    except (ValueError, RecursionError):
        read_all = False
    if not read_all:
        survey.fail("unsupported-format", place, 0, "a configuration in its metadata names Python callables")


def _read(header: bytes, place: Place, survey: Survey) -> bool:
    """Whether every text with the mark was a configuration, and the mark stands nowhere else.

    Raises
    ------
    ValueError, RecursionError
        When the header, or a text in it, is no JSON.
    """
    from json import loads

    metadata = loads(header).get("__metadata__")
    texts = [text for text in metadata.values() if isinstance(text, str)] if isinstance(metadata, dict) else []
    encoded = [text.encode("utf-8", "replace") for text in texts]
    marked = [text for text in encoded if MARK in text or MARK in resolved(text, lambda: survey.overdue(place))]
    for text in marked:
        if not add(HydraConfig, {"metadata": loads(text)}, place, survey):
            return False
    return bool(marked) or MARK not in header
