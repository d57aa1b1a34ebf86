"""Python processes of ours, started from a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from .settings import REPOSITORY

# The search path is set before anything of ours is imported: -c would put the working folder first.
_BOOT = (
    "import importlib, json, sys; path, module, function, arguments = map(json.loads, sys.argv[1:]); "
    "sys.path[:] = path; sys.exit(getattr(importlib.import_module(module), function)(*arguments))"
)


def start(
    module: str,
    function: str,
    arguments: Sequence[object],
    environment: Mapping[str, str],
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process that calls a function and exits with what it returns.

    Parameters
    ----------
    module, function
        What to call.
    arguments
        JSON values.
    environment
        The whole environment of the process.
    descriptors
        File descriptors that it inherits.
    """
    path = [str(REPOSITORY), *(os.path.abspath(entry) for entry in sys.path if entry)]
    call = [json.dumps(value) for value in (path, module, function, list(arguments))]
    return subprocess.Popen(
        [sys.executable, "-c", _BOOT, *call],
        pass_fds=tuple(descriptors),
        stdin=subprocess.DEVNULL,
        env=dict(environment),
    )


def runs(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
