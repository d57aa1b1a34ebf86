"""What a file contains, found by content: the regions in which a loader may meet a pickle."""

from .contents import Buffer, Contents, Region
from .registry import READERS, Reader, open_file

__all__ = ["READERS", "Buffer", "Contents", "Reader", "Region", "open_file"]
