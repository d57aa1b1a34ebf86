"""What the ``safepickle`` command can be told."""

from __future__ import annotations

import argparse
import os

from . import __version__

MAX_JOBS = 256


class _Formatter(argparse.HelpFormatter):
    """Knows the width of the terminal without :mod:`shutil`, which argparse would import for every command line."""

    def __init__(self, prog: str) -> None:
        try:
            columns = int(os.environ.get("COLUMNS", "")) or os.get_terminal_size(1).columns
        except (ValueError, OSError):
            columns = 80
        super().__init__(prog, width=(columns or 80) - 2)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; the reference in the documentation is made from it."""
    parser = argparse.ArgumentParser(
        prog="safepickle",
        description="Says what a pickle-based model file would do when it is loaded, without loading it.",
        epilog="Exit codes: 0 all benign, 1 something at or over --fail-on, 2 usage error, "
        "3 something incomplete and nothing worse.",
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"safepickle {__version__}")
    commands = parser.add_subparsers(prog="safepickle", dest="command", required=True, metavar="COMMAND")
    _add_scan(commands)
    trace = _command(
        commands,
        "trace",
        help="print what was read from a file, as JSON",
        description="Prints the Trace of a file as JSON: its streams, what they import and call, what is odd.",
    )
    trace.add_argument("file", metavar="FILE", help="the file to read")
    trace.add_argument(
        "--literals", action="store_true", help="keep strings and bytes of the file, not just their kind"
    )
    _add_explain(commands)
    _add_disasm(commands)
    _add_capability(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, description: str
) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=help, description=description, formatter_class=_Formatter)


def _add_scan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    scan = _command(
        commands,
        "scan",
        help="judge files and folders",
        description="Judges files, and folders with all that is in them, by what loading would do.",
    )
    scan.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for standard input")
    scan.add_argument(
        "--format",
        choices=("text", "json", "jsonl", "sarif", "html"),
        default="text",
        help="of the report (default: text)",
    )
    scan.add_argument("--output", metavar="FILE", help="write the report to FILE, which appears when it is whole")
    scan.add_argument(
        "--fail-on",
        choices=("suspicious", "malicious"),
        default="suspicious",
        help="the mildest verdict for which the exit code is 1 (default: suspicious)",
    )
    scan.add_argument("--jobs", type=_jobs, default=1, metavar="N", help="processes to scan with; 0 means one a core")
    scan.add_argument("--hash", action="store_true", help="give each file's SHA-256 too")
    _add_judging(scan)


def _add_judging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="DIR", help="judge by the bundle in DIR, not by the one that came with safepickle"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        type=_callable_name,
        metavar="MODULE.NAME",
        help="a callable that your own models may use; may be given more than once",
    )


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    explain = _command(
        commands,
        "explain",
        help="write out what loading a file would do, as Python",
        description="Writes out what loading a file would do, in order, as Python would write it, with the offset of "
        "each statement, what it leads to, and why the verdict is what it is. Statements alike are shown once and "
        "counted.",
    )
    explain.add_argument("file", metavar="FILE", help="the file to explain")
    explain.add_argument("--lines", type=_number, default=100, metavar="N", help="lines of each stream (default: 100)")
    explain.add_argument("--json", action="store_true", help="as JSON, for programs")
    _add_judging(explain)


def _add_disasm(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    disasm = _command(
        commands,
        "disasm",
        help="list the opcodes of a file's streams",
        description="Lists the opcodes of every pickle stream of a file, damaged ones too: offset, items on the stack "
        "afterwards, name, argument, where a memo entry was put, and findings beside the opcodes that they are about.",
    )
    disasm.add_argument("file", metavar="FILE", help="the file to take apart")
    disasm.add_argument("--member", default="", metavar="TEXT", help="only streams whose place has TEXT in it")
    disasm.add_argument(
        "--from", dest="first", type=_number, default=0, metavar="N", help="begin at byte N (0x... is hexadecimal)"
    )
    disasm.add_argument("--to", dest="last", type=_number, metavar="N", help="end before byte N")
    disasm.add_argument("--limit", type=_number, metavar="N", help="opcodes listed at the most")
    disasm.add_argument("--json", action="store_true", help="one JSON object a line: each stream, then its opcodes")
    _add_judging(disasm)


def _add_capability(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    capability = _command(
        commands,
        "capability",
        help="say what calling something could do",
        description="Says what calling something by that name could do: which sinks it reaches and on what way, in "
        "which versions of its package, and how usual it is in benign models. The exit code is 3 if nothing is known.",
    )
    capability.add_argument(
        "name", metavar="MODULE.NAME", type=_callable_name, help="the callable, such as torch.hub.load"
    )
    capability.add_argument("--json", action="store_true", help="as JSON")
    capability.add_argument(
        "--model",
        metavar="DIR",
        help="count benign models in the bundle in DIR, not in the one that came with safepickle",
    )


def _number(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def _jobs(text: str) -> int:
    try:
        jobs = int(text)
    except ValueError:
        jobs = -1
    if not 0 <= jobs <= MAX_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes (0 to {MAX_JOBS})")
    return jobs or os.cpu_count() or 1


def _callable_name(text: str) -> str:
    module, dot, name = text.rpartition(".")
    if not dot or not all(part.isidentifier() for part in (*module.split("."), name)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a callable's full name, such as numpy.core.multiarray.scalar"
        )
    return text
