"""Commands for operators: ``python -m serving COMMAND``; ``-h`` lists them."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from . import auth
from .database.engine import Database, DatabaseUnavailable
from .database.migrate import upgrade
from .roles import ROLES
from .settings import Settings, SettingsError

Command = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0, 1 for a finding or failure, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options, Settings.from_environment())
    except SettingsError as error:
        return _fail(str(error), 2)
    except DatabaseUnavailable as error:
        return _fail(f"the database cannot be used: {error}", 1)
    except (ValueError, OSError) as error:
        return _fail(str(error), 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    keys = commands.add_parser("keys", help="API keys").add_subparsers(required=True, metavar="COMMAND")
    add = keys.add_parser("add", help="make a key and print it, this once")
    add.add_argument("--role", choices=ROLES, required=True)
    add.add_argument("--name", required=True, help="who will use it")
    add.add_argument("--expires", default="", metavar="MOMENT", help="when it ends (ISO 8601); default: never")
    add.set_defaults(command=_add_key)
    rotate = keys.add_parser("rotate", help="make a key that takes the place of another, and print it, this once")
    rotate.add_argument("id", type=int)
    rotate.add_argument("--grace", type=float, default=3600.0, help="seconds for which the old one still works")
    rotate.set_defaults(command=_rotate_key)
    listing = keys.add_parser("list", help="list all keys, one JSON object a line")
    listing.set_defaults(command=_list_keys)
    revoke = keys.add_parser("revoke", help="end a key")
    revoke.add_argument("id", type=int)
    revoke.set_defaults(command=_revoke_key)

    export = commands.add_parser("export-labels", help="write the labels as a dataset")
    export.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    export.set_defaults(command=_export_labels)

    audited = commands.add_parser("label-audit", help="whose labels stand out, one JSON object a person")
    audited.set_defaults(command=_audit_labels)

    shadow = commands.add_parser("shadow-report", help="what a challenger says of live scans, beside the champion")
    shadow.add_argument("version", type=int, help="its number in the registry")
    shadow.set_defaults(command=_shadow_report)

    signals = commands.add_parser("retrain-signals", help="labels and drift alarms since a moment")
    signals.add_argument("--since", type=_moment, required=True, help="ISO 8601 with an offset")
    signals.set_defaults(command=_retrain_signals)

    migrate = commands.add_parser("migrate", help="bring the database to this version's tables")
    migrate.set_defaults(command=_migrate)

    backup = commands.add_parser("backup", help="write the whole database into one file, while the service runs")
    backup.add_argument("file", type=Path)
    backup.set_defaults(command=_back_up)
    restore = commands.add_parser("restore", help="read a backup into an empty database, of either kind")
    restore.add_argument("file", type=Path)
    restore.set_defaults(command=_restore)

    learner = commands.add_parser("learner", help="the online learner").add_subparsers(required=True, metavar="COMMAND")
    run = learner.add_parser("run", help="be the learner, until interrupted")
    run.set_defaults(command=_run_learner)
    check = learner.add_parser("check", help="compare the checkpoint with a replay of the whole log")
    check.set_defaults(command=_check_learner)
    return parser


def _moment(text: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the moment needs an offset from UTC")
    return moment


def _open(settings: Settings) -> Database:
    return Database(settings.database_url, settings.database_timeout)


def _add_key(options: argparse.Namespace, settings: Settings) -> int:
    upgrade(settings.database_url, settings.database_timeout)
    with _open(settings).write() as connection:
        expires = auth.parse_expiry(options.expires)
        number, key = auth.add_key(connection, options.role, options.name, settings.key_pepper, expires_at=expires)
    _print(json.dumps({"id": number, "role": options.role, "name": options.name, "key": key}))
    return 0


def _rotate_key(options: argparse.Namespace, settings: Settings) -> int:
    with _open(settings).write() as connection:
        grace = datetime.timedelta(seconds=options.grace)
        number, key = auth.rotate_key(connection, options.id, settings.key_pepper, grace)
    _print(json.dumps({"id": number, "key": key}))
    return 0


def _list_keys(options: argparse.Namespace, settings: Settings) -> int:
    with _open(settings).read() as connection:
        for row in auth.list_keys(connection):
            _print(json.dumps(row))
    return 0


def _revoke_key(options: argparse.Namespace, settings: Settings) -> int:
    with _open(settings).write() as connection:
        if not auth.revoke_key(connection, options.id):
            return _fail(f"there is no key {options.id} that works", 1)
    return 0


def _export_labels(options: argparse.Namespace, settings: Settings) -> int:
    from .export import export_labels
    from .labels import LabelPolicy

    with _open(settings).read() as connection:
        policy = LabelPolicy(settings.label_clearances, settings.label_majority)
        done = export_labels(connection, options.out, policy)
    _print(json.dumps(dataclasses.asdict(done)))
    return 0


def _audit_labels(options: argparse.Namespace, settings: Settings) -> int:
    from detectors.label_audit import audit

    from .database.sources import audited_labels

    with _open(settings).read() as connection:
        found = audit(audited_labels(connection))
    for source in found:
        _print(json.dumps(dataclasses.asdict(source)))
    return 1 if any(source.suspicions for source in found) else 0


def _shadow_report(options: argparse.Namespace, settings: Settings) -> int:
    from .shadow import report

    with _open(settings).read() as connection:
        _print(json.dumps(dataclasses.asdict(report(connection, options.version))))
    return 0


def _retrain_signals(options: argparse.Namespace, settings: Settings) -> int:
    from .database.sources import signals_since

    with _open(settings).read() as connection:
        _print(json.dumps(signals_since(connection, options.since)))
    return 0


def _migrate(options: argparse.Namespace, settings: Settings) -> int:
    upgrade(settings.database_url, settings.database_timeout)
    return 0


def _back_up(options: argparse.Namespace, settings: Settings) -> int:
    from .backup import back_up

    _print(json.dumps({"rows": back_up(_open(settings), options.file)}))
    return 0


def _restore(options: argparse.Namespace, settings: Settings) -> int:
    from .backup import restore

    upgrade(settings.database_url, settings.database_timeout)
    _print(json.dumps({"rows": restore(_open(settings), options.file)}))
    return 0


def _run_learner(options: argparse.Namespace, settings: Settings) -> int:
    from .learner import run
    from .learner_job import new_holder

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(settings, stop, new_holder())
    return 0


def _check_learner(options: argparse.Namespace, settings: Settings) -> int:
    from .learner import check

    with _open(settings).read() as connection:
        if not check(connection):
            return _fail("the checkpoint differs from a replay of the log", 1)
    _print("the checkpoint equals a replay of the log")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"python -m serving: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
