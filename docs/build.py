"""Writes docs/cli.md from the parsers of the command line, and docs/rules.md from the table of rules.

``--check`` changes nothing and fails when a page is out of date.
"""

import argparse
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent

INTRODUCTION = """# Command line

<!-- written by docs/build.py; change the parsers in safepickle/cli.py instead -->

`pip install safepickle-ml` puts one command on the path. It reads files and never loads one.
"""


RULES_INTRODUCTION = """# Rules

<!-- written by docs/build.py; change safepickle/findings/rules.py instead -->

What a finding can be. The ids are stable, and stand in the JSON, SARIF and HTML reports. A finding says what a file
*would* do, and its severity how sure that is: something that runs code is called (critical), a library hands an
argument on to it (high), a serialised object is loaded, something is not known (medium, low), something is merely odd
(info). What benign models do every day is no finding, and what looks hostile and is harmless is `info`. The verdict
is made by the detectors, not by counting findings.
"""


def main() -> int:
    """Write the pages, or check them; the exit code is 1 when a check finds one out of date."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="fail if a page is out of date")
    check = arguments.parse_args().check
    sys.path.insert(0, str(ROOT))
    code = 0
    for name, make in (("cli.md", _command_line), ("rules.md", _rules)):
        page, text = FOLDER / name, make()
        if not check:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            print(f"{page.relative_to(ROOT)} is out of date: run `make docs`", file=sys.stderr)
            code = 1
    return code


def _command_line() -> str:
    from safepickle.arguments import make_parser

    parser = make_parser()
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    parts = [INTRODUCTION, _section("safepickle", parser), f"{parser.epilog}\n"]
    for command in commands:
        parts += [_section(f"safepickle {name}", choice) for name, choice in command.choices.items()]
    return "\n".join(parts)


def _rules() -> str:
    from safepickle.findings.rules import RULES, TECHNIQUES, WEAKNESSES

    parts = [RULES_INTRODUCTION]
    for rule in RULES.values():
        cwe = ", ".join(f"[CWE-{number}](https://cwe.mitre.org/data/definitions/{number}.html)" for number in rule.cwe)
        atlas = ", ".join(f"[{name}](https://atlas.mitre.org/techniques/{name})" for name in rule.atlas)
        parts.append(f"## {rule.id}\n\n{rule.meaning}\n")
        parts.append(f"Severity: {rule.severities}. {rule.advice}  \n{'; '.join(filter(None, (cwe, atlas)))}\n")
    parts.append("## What the numbers mean\n")
    parts += [f"- CWE-{number}: {title}" for number, title in WEAKNESSES.items()]
    parts += [f"- {name}: {title}" for name, title in TECHNIQUES.items()]
    return "\n".join(parts) + "\n"


def _section(title: str, parser: argparse.ArgumentParser) -> str:
    """Not argparse's own help text: its layout differs between versions of Python."""
    rows = [f"| {_written(action)} | {action.help} |" for action in _told(parser)]
    return "\n".join([f"## {title}\n", f"{parser.description}\n", "| | |", "|---|---|", *rows, ""])


def _told(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    plain = [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
    return sorted(plain, key=lambda action: bool(action.option_strings))


def _written(action: argparse.Action) -> str:
    takes_value = action.nargs != 0
    value = "\\|".join(map(str, action.choices)) if action.choices else str(action.metavar or "")
    names = ", ".join(action.option_strings)
    return f"`{f'{names} {value}'.strip() if takes_value else names}`"


if __name__ == "__main__":
    sys.exit(main())
