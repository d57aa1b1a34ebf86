"""Says what a pickle-based model file would do when it is loaded, without loading it.

The names below are imported when they are first used, so that ``import safepickle`` costs nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .bytecode.trace import FileTrace
    from .errors import BundleError, SafePickleError, UnreadableFile
    from .findings import Finding
    from .limits import DEFAULT_LIMITS, Limits
    from .scan import FileReport, Scanner, trace_path

__all__ = [
    "DEFAULT_LIMITS",
    "BundleError",
    "FileReport",
    "FileTrace",
    "Finding",
    "Limits",
    "SafePickleError",
    "Scanner",
    "UnreadableFile",
    "__version__",
    "trace_path",
]

_HOME = {
    "DEFAULT_LIMITS": "limits",
    "BundleError": "errors",
    "FileReport": "scan",
    "FileTrace": "bytecode.trace",
    "Finding": "findings",
    "Limits": "limits",
    "SafePickleError": "errors",
    "Scanner": "scan",
    "UnreadableFile": "errors",
    "trace_path": "scan",
}


def __getattr__(name: str) -> object:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
