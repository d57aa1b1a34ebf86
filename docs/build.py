"""Writes docs/cli.md, the reference of the command line, from the parsers themselves.

``--check`` changes nothing and fails when the page is out of date.
"""

import argparse
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("cli.md")
ROOT = PAGE.parent.parent

INTRODUCTION = """# Command line

<!-- written by docs/build.py; change the parsers in safepickle/cli.py instead -->

`pip install safepickle-ml` puts one command on the path. It reads files and never loads one.
"""


def main() -> int:
    """Write the page, or check it; the exit code is 1 when a check finds it out of date."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="fail if the page is out of date")
    check = arguments.parse_args().check
    page = _page()
    if check and (not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page):
        print(f"{PAGE.relative_to(ROOT)} is out of date: run `make docs`", file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(page, encoding="utf-8")
    return 0


def _page() -> str:
    sys.path.insert(0, str(ROOT))
    from safepickle.cli import make_parser

    parser = make_parser()
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    parts = [INTRODUCTION, _section("safepickle", parser), f"{parser.epilog}\n"]
    for command in commands:
        parts += [_section(f"safepickle {name}", choice) for name, choice in command.choices.items()]
    return "\n".join(parts)


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
