"""``aliases.json``: which versions exist, which is champion and challenger, and how that came about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from safepickle.record import Record

from .errors import RegistryError
from .files import canonical_json, read_bytes
from .gate import Decision
from .signing import KEY_VARIABLE, is_signed, sign

FORMAT = 1
LEDGER = "aliases.json"
ALIASES = ("champion", "challenger")
_KIND = "aliases"


class Entry(Record):
    """A registered version: SHA-256 of its manifest, of its bundle and of its training data, in hex."""

    manifest: str
    bundle: str
    dataset: str


class Change(Record):
    """One move of an alias.

    Parameters
    ----------
    alias
        ``champion`` or ``challenger``.
    action
        ``promote``, ``rollback`` or ``challenge``.
    before, after
        Version that the alias named before and names now; None for none.
    who, when, why
        Actor, time in UTC (ISO 8601), reason.
    gate
        What the gate had said when it happened: ``promote``, ``hold``, ``reject``, ``none`` (no decision) or
        ``stale`` (a decision against another champion); empty where the gate has no say. A ``promote`` with
        anything but ``promote`` here was forced.
    """

    alias: str
    action: str
    before: int | None
    after: int | None
    who: str
    when: str
    why: str
    gate: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the change as JSON values."""
        state = dict(self.__dict__)
        return {"from": state.pop("before"), "to": state.pop("after"), **state}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote. Raises KeyError or TypeError when it is something else."""
        rest = {name: item for name, item in value.items() if name not in ("from", "to")}
        if not all(isinstance(item, str) for item in rest.values()):
            raise TypeError("history")
        return cls(before=value["from"], after=value["to"], **rest)


class Ledger(Record):
    """The registry's state. The aliases are what the history says; the file repeats them for readers."""

    versions: Mapping[int, Entry]
    decisions: Mapping[int, Decision]
    history: tuple[Change, ...]

    @property
    def champion(self) -> int | None:
        """The version in service."""
        return self._current("champion")

    @property
    def challenger(self) -> int | None:
        """The version that waits for the gate."""
        return self._current("challenger")

    def _current(self, alias: str) -> int | None:
        return next((change.after for change in reversed(self.history) if change.alias == alias), None)

    @property
    def champions(self) -> tuple[int, ...]:
        """Champions that a rollback can return to, oldest first, the current one last."""
        return tuple(_champions(self.history))

    def gate_for(self, number: int) -> str:
        """Return what the gate says about promoting a version now, in the words of :class:`Change`."""
        decision = self.decisions.get(number)
        if decision is None:
            return "none"
        return decision.outcome if decision.against == self.champion else "stale"

    def moved(self, alias: str, action: str, after: int | None, who: str, why: str, gate: str = "") -> Ledger:
        """Return the ledger with one more change in its history."""
        when = datetime.now(UTC).isoformat(timespec="microseconds")
        change = Change(alias, action, self._current(alias), after, who, when, why, gate)
        return self.replace(history=(*self.history, change))

    def to_bytes(self, key: bytes | None) -> bytes:
        """Return the file's content, signed when there is a key."""
        value: dict[str, Any] = {
            "format": FORMAT,
            "champion": self.champion,
            "challenger": self.challenger,
            "versions": {str(number): dict(entry.__dict__) for number, entry in self.versions.items()},
            "decisions": {str(number): decision.to_json() for number, decision in self.decisions.items()},
            "history": [change.to_json() for change in self.history],
        }
        if key is not None:
            value["signature"] = sign(key, _KIND, canonical_json(value))
        return canonical_json(value)


def read_ledger(root: Path, key: bytes | None) -> Ledger:
    """Read a store's state; a store that does not exist yet is empty.

    Parameters
    ----------
    root
        Folder of the store.
    key
        Signing key; None accepts any signature, or none.

    Raises
    ------
    RegistryError
        When the file is missing although versions exist, damaged, contradicts itself, or is not signed with the key.
    OSError
        When it cannot be read.
    """
    path = root / LEDGER
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        if any((root / "versions").glob("*")):
            raise RegistryError(f"{path} is missing although {root / 'versions'} is not empty; restore it") from None
        return Ledger({}, {}, ())
    try:
        value = json.loads(data)
        signature = value.pop("signature", None)
        if key is not None and not (
            isinstance(signature, str) and is_signed(key, _KIND, canonical_json(value), signature)
        ):
            raise RegistryError(
                f"{path} is not signed with the key in {KEY_VARIABLE}: it was changed by somebody without the key, or "
                "written before there was one; find out which, then restore it or run `python -m registry sign`"
            )
        return _parse(value)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise RegistryError(f"{path} is damaged ({error}); restore it from a backup") from None


def _parse(value: Mapping[str, Any]) -> Ledger:
    if value["format"] != FORMAT:
        raise ValueError(f"format {value['format']!r}, this program reads {FORMAT}")
    ledger = Ledger(
        {int(number): Entry(**entry) for number, entry in value["versions"].items()},
        {int(number): Decision.from_json(decision) for number, decision in value["decisions"].items()},
        tuple(Change.from_json(change) for change in value["history"]),
    )
    current: dict[str, int | None] = dict.fromkeys(ALIASES)
    for change in ledger.history:
        if change.before != current[change.alias] or not (change.after is None or change.after in ledger.versions):
            raise ValueError(f"the change of {change.when} does not follow from the one before")
        current[change.alias] = change.after
    _champions(ledger.history)
    if any(value[alias] != current[alias] for alias in ALIASES):
        raise ValueError("the aliases are not what the history says")
    return ledger


def _champions(history: tuple[Change, ...]) -> list[int]:
    stack: list[int] = []
    for change in history:
        if change.alias != "champion":
            continue
        if change.action == "rollback":
            stack.pop()
            if stack[-1:] != [change.after]:
                raise ValueError(f"the rollback of {change.when} does not return to the champion before")
        elif change.after is not None and stack[-1:] != [change.after]:
            stack.append(change.after)
    return stack
