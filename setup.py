"""Builds the compiled core: the same .py files, translated by Cython, for those who have a compiler.

Without Cython or a compiler the package installs and gives the same answers, slower. ``SAFEPICKLE_PURE=1``
asks for that on purpose. Everything else about the project is in pyproject.toml.
"""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMPILED = {
    "safepickle.bytecode.carried": "safepickle/bytecode/carried.py",
    "safepickle.bytecode.describe": "safepickle/bytecode/describe.py",
    "safepickle.bytecode.literals": "safepickle/bytecode/literals.py",
    "safepickle.bytecode.machine": "safepickle/bytecode/machine.py",
    "safepickle.containers.pickle_walk": "safepickle/containers/pickle_walk.py",
    "safepickle.inference": "safepickle/inference.py",
    "safepickle.matrix": "safepickle/matrix.py",
    "safepickle.record": "safepickle/record.py",
}
# Bounds checks stay on, as the input is hostile (they cost 1-2 %), but in matrix.py, which sees no input.
DIRECTIVES = {"language_level": "3", "boundscheck": True, "embedsignature": False}
# Without debug information the extensions are a sixth of the size.
FLAGS = [] if sys.platform == "win32" else ["-O3", "-g0"]


class OptionalBuildExt(build_ext):
    """``Extension(optional=True)`` alone does not survive a missing compiler; this does."""

    def build_extension(self, ext: Extension) -> None:
        try:
            from Cython.Build import cythonize

            (translated,) = cythonize([ext], build_dir="build/cython", compiler_directives=DIRECTIVES)
            ext.sources = translated.sources
            super().build_extension(ext)
        except (Exception, SystemExit) as error:
            print(f"safepickle: {ext.name} stays uncompiled, which is slower: {error}", file=sys.stderr)


def extensions() -> list[Extension]:
    if os.environ.get("SAFEPICKLE_PURE", "") not in ("", "0"):
        return []
    return [
        Extension(name, [source], extra_compile_args=FLAGS, extra_link_args=[], optional=True)
        for name, source in COMPILED.items()
    ]


setup(ext_modules=extensions(), cmdclass={"build_ext": OptionalBuildExt})
