"""HDF5: every attribute and every value that may be an object is looked at; the numbers of datasets are not read.

What loaders do with such a file, by their sources in Python (Keras 3.15, h5py 3.16, PyTables, pandas 3.1):

* Keras builds a model from the texts ``model_config`` and ``training_config`` among the attributes, which are JSON.
  Weights are arrays that it takes by the names in ``layer_names`` and ``weight_names``.
* PyTables unpickles every attribute that is a single text of bytes with a dot at its end, as soon as it opens the
  object that has it, and the rows of a variable-length array of objects. pandas reads files through it.
* h5py unpickles nothing. What its users do is to unpickle what they stored as opaque values, strings or bytes.
* The HDF5 library executes nothing of a file: filters are looked up by number among what is installed. External
  links, external files and virtual datasets make it open other files.

Objects that nothing but a reference leads to, and bytes in free space, are read by no loader on its own.

Source: HDF5 File Format Specification, versions 1.0 to 3.0.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FIRST_OFFSET = 512
"""Where a superblock may stand but at the beginning; and at every double of it."""


def superblock_offset(source: Source) -> int:
    """Where the superblock stands that the HDF5 library takes, or -1."""
    if source.read(0, 8) == SIGNATURE:
        return 0
    offset = _FIRST_OFFSET
    while offset < source.size:
        if source.read(offset, 8) == SIGNATURE:
            return offset
        offset *= 2
    return -1


def sniff(source: Source) -> bool:
    """Signature, at any of the places where it may stand."""
    return superblock_offset(source) >= 0


def read(source: Source, place: Place, survey: Survey) -> str:
    """Walk over groups, attributes and datasets; where any of it is not understood, the file is incomplete."""
    from .hdf5_walk import Walk
    from .keras_config import read_embedded

    inside = (*place, ("hdf5", ""))
    if source.partial:
        survey.fail("unsupported-format", inside, 0, "only its beginning was unpacked")
    elif not Walk(source, superblock_offset(source), inside, survey).run():
        read_embedded(source, inside, survey)
    return "hdf5"
