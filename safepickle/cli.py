"""The ``safepickle`` command.

Exit codes: 0 all benign, 1 something at or over ``--fail-on``, 2 usage error, 3 something incomplete and nothing
worse; 130 after Ctrl-C, 143 when terminated, 141 when nobody reads the output any more.
"""

from __future__ import annotations

import gc
import os
import sys

from .errors import SafePickleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .batch import FileObject
    from .output import Output
    from .scan import Scanner

USAGE_ERROR = 2
INCOMPLETE = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

SCAN_DEFAULTS: dict[str, Any] = {
    "format": "text", "output": None, "fail_on": "suspicious", "jobs": 1, "hash": False, "model": None, "allow": [],
}  # fmt: skip
LINES_AT_ONCE = 1_000
"""Lines of a long listing that are written together."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process's own by default) and return the exit code."""
    if argv is not None:
        return _run(list(argv))
    gc.disable()  # what is imported and loaded now is no garbage, but would be looked through several times
    try:
        return _run(sys.argv[1:])
    finally:
        gc.freeze()  # nor is anything looked for at the end


def _run(argv: list[str]) -> int:
    _survive_any_character()
    arguments = _parsed(argv)
    try:
        run = {"scan": _scan, "trace": _trace, "explain": _explain, "disasm": _disasm, "capability": _capability}[
            arguments.command
        ]
        return run(arguments)
    except SafePickleError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        _complain("interrupted; what was not reported was not scanned")
        return INTERRUPTED
    except OSError as error:
        _forget_stdout()
        return _refuse(f"cannot write the report: {error.strerror or error}")
    except Exception as error:
        # A traceback is no answer, and neither is the exit code 1 that Python gives it: that means "malicious".
        _complain(f"internal error, please report this: {type(error).__name__}: {error}")
        return INCOMPLETE


def _parsed(argv: list[str]) -> argparse.Namespace:
    """The options; those of a scan that has none are known without the import of argparse, which takes its time."""
    if len(argv) > 1 and argv[0] == "scan" and not any(word.startswith("-") for word in argv):
        plain: Any = type(sys.implementation)  # types.SimpleNamespace
        return plain(command="scan", paths=argv[1:], **SCAN_DEFAULTS)  # type: ignore[no-any-return]
    from .arguments import make_parser

    return make_parser().parse_args(argv)


# --- commands ------------------------------------------------------------------------------------


def _scan(arguments: argparse.Namespace) -> int:
    from .output import Output

    scanner = _scanner(arguments)
    output = Output(arguments.output)
    if arguments.output:
        import signal

        # ended in the ordinary way, so that no half report is left behind
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(TERMINATED))
    try:
        code = _write_report(arguments, scanner, output)
        output.commit()
    except BaseException:
        output.discard()
        raise
    return code


def _write_report(arguments: argparse.Namespace, scanner: Scanner, output: Output) -> int:
    from .progress import Progress
    from .report import Summary, make_format
    from .report.colours import wanted

    report = make_format(arguments.format, colour=wanted(output.terminal))
    progress = Progress()
    summary = Summary()
    output.write(report.begin(scanner.model_version))
    try:
        for scanned in _results(arguments, scanner, output):
            summary = summary.plus(scanned)
            text = report.file(scanned)
            if output.terminal:
                progress.clear()
            output.write(text)
            progress.show(summary, scanned["path"])
    finally:
        progress.clear()
    output.write(report.end(summary))
    if summary.files == 0:
        _complain("no file was found, so none was scanned")
        return INCOMPLETE
    return summary.exit_code(arguments.fail_on)


def _results(arguments: argparse.Namespace, scanner: Scanner, output: Output) -> Iterator[FileObject]:
    from .discover import discover

    targets = discover(arguments.paths, output.files())
    if arguments.jobs == 1:
        from .batch import scan_all

        return scan_all(scanner, targets, arguments.hash)
    from .workers import Settings, scan_with_workers

    settings = Settings(model=arguments.model, allow=frozenset(arguments.allow), hash=arguments.hash)
    return scan_with_workers(scanner, targets, settings, arguments.jobs)


def _trace(arguments: argparse.Namespace) -> int:
    import json

    from .limits import DEFAULT_LIMITS
    from .scan import trace_path

    _refuse_special(arguments.file)
    trace = trace_path(arguments.file, DEFAULT_LIMITS)
    shown = trace if arguments.literals else trace.redacted()
    _print_json(json.loads(shown.to_json()))
    return 0 if trace.complete else INCOMPLETE


def _explain(arguments: argparse.Namespace) -> int:
    from .decompile import read_file
    from .report import Summary
    from .report.explain import explain, explained_text

    _refuse_special(arguments.file)
    scanner = _scanner(arguments)
    trace, readings = read_file(arguments.file, scanner.limits)
    story = explain(scanner.report(trace, arguments.file), readings, arguments.lines)
    if arguments.json:
        _print_json(story)
    else:
        output, colour = _standard_output()
        output.write("\n".join(explained_text(story, colour)) + "\n")
    return Summary(**{story["verdict"]: 1}).exit_code("suspicious")


def _disasm(arguments: argparse.Namespace) -> int:
    from .decompile import read_file
    from .report import Summary
    from .report.disasm import Stretch, disassemble, disassembly_json, disassembly_text, limited

    _refuse_special(arguments.file)
    scanner = _scanner(arguments)
    trace, readings = read_file(arguments.file, scanner.limits)
    report = scanner.report(trace, arguments.file)
    stretch = Stretch(arguments.member, arguments.first, 1 << 63 if arguments.last is None else arguments.last)
    pieces = limited(disassemble(report, readings, stretch), arguments.limit)
    output, colour = _standard_output()
    lines = disassembly_json(pieces) if arguments.json else disassembly_text(pieces, arguments.file, colour)
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == LINES_AT_ONCE:
            output.write("\n".join(batch) + "\n")
            batch = []
    output.write("".join(f"{line}\n" for line in batch))
    return Summary(**{report.verdict: 1}).exit_code("suspicious")


def _capability(arguments: argparse.Namespace) -> int:
    from .capabilities.table import lookup
    from .report.capability import capability_json, capability_text
    from .scan import Scanner

    found = lookup(arguments.name)
    prevalence = Scanner(model=arguments.model).prevalence
    if arguments.json:
        _print_json(capability_json(arguments.name, found, prevalence))
    else:
        text = "\n".join(capability_text(arguments.name, found, prevalence))
        _standard_output()[0].write(text + "\n")
    return INCOMPLETE if found is None else 0


def _scanner(arguments: argparse.Namespace) -> Scanner:
    from .scan import Scanner

    scanner = Scanner(model=arguments.model, allow=frozenset(arguments.allow))
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return scanner


def _refuse_special(path: str) -> None:
    from .discover import problem_of
    from .errors import UnreadableFile

    problem = problem_of(path)
    if problem:
        raise UnreadableFile(f"cannot read {path}: {problem}")


# --- talking -------------------------------------------------------------------------------------


def _survive_any_character() -> None:
    """File names may hold what the terminal's encoding cannot say; that must not end a scan."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _standard_output() -> tuple[Output, bool]:
    """Standard output, and whether it is coloured."""
    from .output import Output
    from .report.colours import wanted

    output = Output(None)
    return output, wanted(output.terminal)


def _print_json(document: object) -> None:
    import json

    text = json.dumps(document, indent=2).replace("\x7f", "\\u007f")
    _standard_output()[0].write(text + "\n")


def _complain(message: str) -> None:
    from .report.printable import printable

    if sys.stderr is not None:
        try:
            sys.stderr.write(f"safepickle: {printable(message, 4096)}\n")
        except OSError:
            pass


def _refuse(message: str) -> int:
    _complain(message)
    return USAGE_ERROR


def _forget_stdout() -> None:
    """Let nothing try to flush what nobody will read."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass
