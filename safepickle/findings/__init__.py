"""Evidence: what a file would do, call by call, in words."""

from .finding import SEVERITIES, Finding, place_text
from .search import find

__all__ = ["SEVERITIES", "Finding", "find", "place_text"]
