"""All settings of the service, read once from the environment."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

PREFIX = "SAFEPICKLE_"
OFF_AT_ZERO = ("rate", "known_answers")
"""Numbers of which 0 means none."""
REPOSITORY = Path(__file__).resolve().parent.parent


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names the variable and what it takes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can set. Each field is the variable ``SAFEPICKLE_<FIELD>`` of the environment.

    Parameters
    ----------
    database_url
        SQLAlchemy address of the database.
    database_timeout
        Seconds to wait for a locked database before answering 503.
    registry
        Folder of the registry's store; the champion is read from it.
    max_body
        Bytes a request body may have.
    memory_body
        Bytes of a file kept in memory; a longer one goes to an unlinked temporary file.
    spool
        Folder for those temporary files; empty means the system's.
    body_timeout
        Seconds without a byte from the client after which the upload is given up (408).
    scan_timeout
        Seconds one scan may take before its process is killed (504).
    scan_memory
        Bytes of private memory one scan process may have.
    scan_processes
        Scan processes of each worker.
    scan_queue
        Scans that may wait for a process in each worker; more are answered 429.
    known_answers
        Contents whose answer by the current model each worker remembers; 0 for none.
    batch_files
        Files that one batch may have.
    url_allow
        Beginnings of addresses from which files are fetched, separated by spaces; empty switches it off.
    url_private
        Whether such addresses may lead to private, loopback and link-local IP addresses.
    retention
        Folder, or address that fsspec knows, where scanned files are kept; empty keeps none.
    retention_days
        Days for which they are kept.
    uploads
        Requests each worker receives at once; more are answered 429.
    workers
        Worker processes of the service.
    poll_interval
        Seconds between two looks at the champion alias.
    stories
        Whether it is kept of flagged files, and of those uploaded in the console, what loading would do as
        pseudo-Python and opcodes; these quote strings of the file.
    session_hours
        Hours after which one has to log in to the console again.
    anonymous_scan
        Whether ``POST /v1/scan`` and ``GET /v1/model`` work without a key.
    admin_key
        Key with the admin role to create when the database has no key yet; empty means make one up and
        print it once.
    key_pepper
        Secret mixed into the stored hashes of keys. Changing it makes all keys invalid.
    open_metrics
        Whether ``GET /metrics`` works without a key; otherwise it takes any.
    rate
        Requests a second that one key may send to each worker, on average; 0 for any number.
    rate_burst
        Requests that one key may send to a worker at once after a pause.
    access_log
        Whether every answered request is logged.
    log_format
        ``json`` for one object a line, or ``text``.
    key_cache
        Seconds for which a checked key is remembered; a revoked key works that long.
    learner
        Whether this service runs the online learner.
    learner_interval
        Seconds between two looks at the event log.
    lease_seconds
        Seconds after which the learner's lease is free for others when its holder died.
    label_clearances
        Persons who must call a file benign that the model's floor calls malicious, before the label stands.
    label_majority
        Persons who settle a contradiction among equals, if they are more than half of them.
    label_quota
        Labels that one key may give in an hour (429).
    """

    database_url: str = "sqlite:///data/serving.db"
    database_timeout: float = 5.0
    registry: str = str(REPOSITORY / "registry" / "store")
    max_body: int = 2_000_000_000
    memory_body: int = 1 << 20
    spool: str = ""
    body_timeout: float = 30.0
    scan_timeout: float = 60.0
    scan_memory: int = 2 << 30
    scan_processes: int = 2
    scan_queue: int = 64
    known_answers: int = 1024
    batch_files: int = 100_000
    url_allow: str = ""
    url_private: bool = False
    retention: str = ""
    retention_days: float = 30.0
    uploads: int = 256
    workers: int = 2
    poll_interval: float = 0.5
    stories: bool = True
    session_hours: float = 8.0
    anonymous_scan: bool = False
    admin_key: str = dataclasses.field(default="", repr=False)
    key_pepper: str = dataclasses.field(default="", repr=False)
    open_metrics: bool = False
    rate: float = 0.0
    rate_burst: int = 50
    access_log: bool = False
    log_format: str = "json"
    key_cache: float = 5.0
    learner: bool = True
    learner_interval: float = 0.5
    lease_seconds: float = 10.0
    label_clearances: int = 2
    label_majority: int = 3
    label_quota: int = 300

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; a variable that is not set keeps its default.

        Raises
        ------
        SettingsError
            When a value has the wrong form or is out of range.
        """
        source = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for field in dataclasses.fields(Settings):
            name = PREFIX + field.name.upper()
            if name in source:
                values[field.name] = _parse(name, source[name], type(field.default))
        if values.get("log_format", "json") not in ("json", "text"):
            raise SettingsError(f"{PREFIX}LOG_FORMAT is {values['log_format']!r}; write json or text")
        return Settings(**values)  # type: ignore[arg-type]  # _parse gives each field its own type


def _parse(name: str, text: str, kind: type) -> str | int | float | bool:
    if kind is str:
        return text
    if kind is bool:
        flags = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        if text.strip().lower() not in flags:
            raise SettingsError(f"{name} is {text!r}; write true or false")
        return flags[text.strip().lower()]
    try:
        number = kind(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}; write {'a whole number' if kind is int else 'a number'}") from None
    if number == 0 and name.removeprefix(PREFIX).lower() in OFF_AT_ZERO:
        return 0 if kind is int else 0.0
    if not 0 < number < float("inf"):
        raise SettingsError(f"{name} is {text!r}; it has to be greater than zero and finite")
    return int(number) if kind is int else float(number)
