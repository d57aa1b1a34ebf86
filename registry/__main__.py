"""``python -m registry``: look at the store, promote, roll back, verify, export.

Exit codes: 0 done, 1 refused or failed verification, 2 usage error.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import RegistryError
from .ledger import Ledger
from .manifest import Version
from .store import STORE_VARIABLE, Registry

Command = Callable[[Registry, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments, argparse.Namespace(store=None, json=False))
    if options.command == "promote" and options.force and options.reason is None:
        parser.error("--force needs a --reason; it goes into the history")
    command: Command = options.run
    try:
        registry = Registry(Path(options.store)) if options.store else Registry.from_environment()
        if not registry.root.is_dir():
            raise RegistryError(f"there is no registry in {registry.root}; name one with --store or {STORE_VARIABLE}")
        return command(registry, options)
    except RegistryError as error:
        print(f"registry: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output left, as `head` does; Python must not meet the closed pipe again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--store", default=argparse.SUPPRESS, metavar="PATH", help="folder of the store")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    parser = argparse.ArgumentParser(
        prog="python -m registry",
        description="The model registry: versions, champion and challenger, promotion and rollback.",
        epilog=f"The store is --store, or {STORE_VARIABLE}, or registry/store. N is a number, champion or challenger. "
        "Exit codes: 0 done, 1 refused or failed verification, 2 usage.",
        parents=[common],
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(run=run)
        return command

    def add_reason(command: argparse.ArgumentParser) -> None:
        command.add_argument("--reason", help="why, for the history")
        command.add_argument("--actor", help="who, for the history (default: the user)")

    add("list", _list, "list all versions")
    add("show", _show, "show one version: lineage, metrics, gate decision, files").add_argument("version", metavar="N")
    promote = add("promote", _promote, "make a version champion, if the gate cleared it")
    promote.add_argument("version", metavar="N")
    promote.add_argument("--force", action="store_true", help="promote although the gate did not clear it")
    add_reason(promote)
    add_reason(add("rollback", _rollback, "return to the champion before the present one"))
    verify = add("verify", _verify, "check every file of a version, or of all, against what was registered")
    verify.add_argument("version", metavar="N|all", nargs="?", default="all")
    add("history", _history, "show every move of champion and challenger")
    export = add("export", _export, "copy a verified version's bundle to a folder")
    export.add_argument("version", metavar="N")
    export.add_argument("folder", metavar="DIR", type=Path)
    add("sign", _sign, "sign the whole store with the configured key, after checking it")
    return parser


def _list(registry: Registry, options: argparse.Namespace) -> int:
    state = registry.aliases()
    versions: list[Version] = []
    damaged: dict[int, str] = {}
    for number in sorted(state.versions):
        try:
            versions.append(registry.get(number))
        except RegistryError as error:
            damaged[number] = str(error)
    if options.json:
        _print_json([_summary(version, state) for version in versions])
    else:
        rows = [
            (
                summary["version"],
                summary["alias"] or "-",
                summary["created"],
                summary["bundle_hash"][:12],
                summary["dataset_hash"][:12],
                summary["git_commit"][:12] or "-",
                summary["parent"] or "-",
                summary["gate"],
            )
            for summary in (_summary(version, state) for version in versions)
        ]
        _print_table(("version", "alias", "created", "bundle", "dataset", "commit", "parent", "gate"), rows)
    for message in damaged.values():
        print(f"registry: {message}", file=sys.stderr)
    return 1 if damaged else 0


def _show(registry: Registry, options: argparse.Namespace) -> int:
    version = registry.get(options.version)
    state = registry.aliases()
    decision = state.decisions.get(version.number)
    summary = _summary(version, state)
    if options.json:
        _print_json({**version.manifest, **summary, "decision": None if decision is None else decision.to_json()})
        return 0
    for name, value in summary.items():
        print(f"{name:<13} {_cell(value)}")
    for name in ("schema", "params", "metrics"):
        print(f"{name:<13} {_cell(json.dumps(version.manifest[name], ensure_ascii=False, sort_keys=True))}")
    print()
    files = version.manifest["files"]
    _print_table(("file", "bytes", "sha256"), [(name, file["bytes"], file["sha256"]) for name, file in files.items()])
    if decision is not None:
        print()
        rows = [
            ("ok" if check.passed else check.otherwise, check.name, check.measured, check.goal)
            for check in decision.checks
        ]
        _print_table(("gate", "check", "measured", "wanted"), rows)
    return 0


def _promote(registry: Registry, options: argparse.Namespace) -> int:
    reason = options.reason if options.reason is not None else "cleared by the gate"
    version = registry.promote(options.version, reason, _actor(options), force=options.force)
    return _say_champion(version, options)


def _rollback(registry: Registry, options: argparse.Namespace) -> int:
    reason = options.reason if options.reason is not None else "rolled back by hand"
    return _say_champion(registry.rollback(reason, _actor(options)), options)


def _verify(registry: Registry, options: argparse.Namespace) -> int:
    names: Iterable[int | str] = [options.version]
    strays: tuple[str, ...] = ()
    if options.version == "all":
        names = sorted(registry.aliases().versions)
        strays = registry.strays()
    results: list[dict[str, Any]] = []
    for name in names:
        try:
            version = registry.verify(name)
            results.append({"version": version.number, "verified": True, "files": len(version.manifest["files"])})
        except RegistryError as error:
            results.append({"version": name, "verified": False, "error": str(error)})
    if options.json:
        _print_json({"versions": results, "unregistered": list(strays)})
    for result in results:
        if not result["verified"]:
            print(f"registry: {result['error']}", file=sys.stderr)
        elif not options.json:
            print(f"version {result['version']}: {result['files']} files are what was registered")
    for name in strays:
        print(f"registry: versions/{_cell(name)} was never registered and is not used", file=sys.stderr)
    return 0 if all(result["verified"] for result in results) else 1


def _history(registry: Registry, options: argparse.Namespace) -> int:
    changes = [change.to_json() for change in registry.aliases().history]
    if options.json:
        _print_json(changes)
        return 0
    names = ("when", "alias", "action", "from", "to", "gate", "who", "why")
    rows = [tuple("-" if change[name] in (None, "") else change[name] for name in names) for change in changes]
    _print_table(names, rows)
    return 0


def _export(registry: Registry, options: argparse.Namespace) -> int:
    version = registry.export(options.version, options.folder)
    if options.json:
        _print_json({"version": version.number, "bundle_hash": version.bundle_hash, "folder": str(options.folder)})
    else:
        print(f"version {version.number} ({version.bundle_hash[:12]}) copied to {options.folder}")
    return 0


def _sign(registry: Registry, options: argparse.Namespace) -> int:
    numbers = registry.sign()
    if options.json:
        _print_json({"signed": list(numbers)})
    else:
        print(f"{len(numbers)} versions and the aliases are signed")
    return 0


def _actor(options: argparse.Namespace) -> str:
    if options.actor is not None:
        return str(options.actor)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _summary(version: Version, state: Ledger) -> dict[str, Any]:
    alias = (
        "champion" if state.champion == version.number else "challenger" if state.challenger == version.number else None
    )
    decision = state.decisions.get(version.number)
    return {
        "version": version.number,
        "alias": alias,
        "created": version.manifest["created"],
        "bundle_hash": version.bundle_hash,
        "dataset_hash": version.dataset_hash,
        "git_commit": version.manifest["git_commit"],
        "parent": version.manifest["parent"],
        "gate": "none" if decision is None else decision.outcome,
    }


def _say_champion(version: Version, options: argparse.Namespace) -> int:
    if options.json:
        _print_json({"champion": version.number, "bundle_hash": version.bundle_hash})
    else:
        print(f"version {version.number} ({version.bundle_hash[:12]}) is champion")
    return 0


def _print_json(value: Mapping[str, Any] | list[Any]) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    cells = [tuple(heads), *(tuple(_cell(value) for value in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    """One line of printable text: a reason or a name must not steer the terminal."""
    text = "-" if value is None else " ".join(str(value).split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


if __name__ == "__main__":
    sys.exit(main())
