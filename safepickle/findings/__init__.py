"""Evidence: what a file would do, call by call, in words."""

from .finding import SEVERITIES, Finding, place_text
from .search import find
from .wording import flattened

__all__ = ["SEVERITIES", "Finding", "find", "flattened", "place_text"]
