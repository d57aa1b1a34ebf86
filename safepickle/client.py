"""A client of the SafePickle service, with nothing but the standard library.

>>> client = Client("https://scan.example.com", key="sp_...")  # doctest: +SKIP
>>> client.scan("model.pkl")["verdict"]  # doctest: +SKIP
'malicious'
"""

from __future__ import annotations

import http.client
import io
import json
import os
import tarfile
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

CHUNK = 1 << 18
RETRIES = 4
LONGEST_WAIT = 30.0

Json = dict[str, Any]


class ServiceError(Exception):
    """The service answered with a problem.

    `status` is its HTTP status (0 when no answer came), `kind` the end of the problem's type, such as ``busy``, and
    `problem` the whole document.
    """

    def __init__(self, status: int, problem: Json) -> None:
        self.status = status
        self.problem = problem
        self.kind = str(problem.get("type", "")).rpartition(":")[2]
        super().__init__(f"{status} {self.kind}: {problem.get('detail', 'no answer')}")


class BatchBrokenOff(Exception):
    """A batch ended before all of its files were scanned; files without a result are not scanned."""


class Client:
    """Talks to one service; every method makes a connection of its own, so threads may share a client.

    Answers that say "later" (429, 503 and lost connections where nothing was sent twice by that) are tried again
    after the time that the service names.

    Parameters
    ----------
    url
        Of the service, such as ``https://scan.example.com``.
    key
        API key; empty where the service allows anonymous scans.
    timeout
        Seconds to wait for the other side, each time.
    retries
        How often an answer that says "later" is tried again.

    Raises
    ------
    ServiceError
        From every method.
    ValueError
        When the address is none of http or https.
    """

    def __init__(self, url: str, key: str = "", *, timeout: float = 120.0, retries: int = RETRIES) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a service; write https://HOST")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._retries = retries

    # Scanning

    def scan(self, path: str | os.PathLike[str], *, name: str | None = None, idempotency_key: str = "") -> Json:
        """Scan a file on this machine; return the answer of the service, with ``verdict`` and ``findings``."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return self._scan(file, size, name or os.path.basename(os.fspath(path)), idempotency_key)

    def scan_bytes(self, data: bytes, name: str = "", *, idempotency_key: str = "") -> Json:
        """Scan a file that lies in memory."""
        return self._scan(io.BytesIO(data), len(data), name, idempotency_key)

    def scan_url(self, url: str, *, idempotency_key: str = "") -> Json:
        """Let the service fetch and scan a file from an address that its operator allows."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._json("POST", "/v1/scan:url", {"url": url}, headers=headers)

    def batch(self, paths: Sequence[str | os.PathLike[str]]) -> Iterator[Json]:
        """Scan many files in one request; yield a line for each in the order in which they are done.

        A line has ``index`` (in `paths`), ``path``, ``status`` and, if that is 200, ``scan``, otherwise ``problem``.

        Raises
        ------
        BatchBrokenOff
            After the last line, when the service did not read all files.
        """
        connection = self._connect()
        try:
            headers = {**self._headers(), "Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
            try:
                connection.request("POST", self._base + "/v1/scans:batch", _tar(paths), headers, encode_chunked=True)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise _lost(error) from error
            if response.status != 200:
                raise _problem(response)
            last: Json = {}
            try:
                for line in response:
                    last = json.loads(line)
                    if "index" in last:
                        yield last
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise BatchBrokenOff(f"the answer broke off: {error!r}") from error
            if last.get("done") is not True or last.get("files") != len(paths):
                raise BatchBrokenOff(str(last.get("problem", {}).get("detail", "the answer has no end")))
        finally:
            connection.close()

    # What is stored

    def get_scan(self, scan_id: str) -> Json:
        """One stored scan, with its labels."""
        return self._json("GET", f"/v1/scans/{urllib.parse.quote(scan_id, safe='')}")

    def scans(self, **filters: str) -> Iterator[Json]:
        """Stored scans, the latest first: ``verdict``, ``sha256``, ``name``, ``container``, ``model_version``,
        ``since``, ``until``."""
        return self._pages("/v1/scans", filters)

    def labels(self, **filters: str) -> Iterator[Json]:
        """Labels, the latest first: ``sha256``, ``author``, ``label``, ``model_version``, ``since``, ``until``."""
        return self._pages("/v1/labels", filters)

    def drift(self, **filters: str) -> Iterator[Json]:
        """Drift alarms, the latest first: ``since``, ``until``."""
        return self._pages("/v1/drift", filters)

    # What analysts do

    def label(self, label: str, reason: str, *, scan_id: str = "", sha256: str = "", evidence: str = "") -> Json:
        """Say that a file is ``malicious``, ``benign`` or ``unsure``, or take back what you said (``retracted``)."""
        body = {"label": label, "reason": reason, "scan_id": scan_id, "sha256": sha256, "evidence": evidence}
        return self._json("POST", "/v1/feedback", {name: value for name, value in body.items() if value})

    def queue(self, limit: int = 20) -> list[Json]:
        """Which files to label first, and why."""
        items: list[Json] = self._json("GET", f"/v1/queue?limit={limit}")["items"]
        return items

    # Models

    def model(self) -> Json:
        """The model in use."""
        return self._json("GET", "/v1/model")

    def models(self) -> Json:
        """All versions in the registry, and the history of its aliases."""
        return self._json("GET", "/v1/models")

    def promote(self, version: int, reason: str, *, force: bool = False) -> Json:
        """Make a version champion, if the gate cleared it or by force."""
        return self._json("POST", f"/v1/models/{version:d}:promote", {"reason": reason, "force": force})

    def rollback(self, version: int, reason: str) -> Json:
        """Go back from this champion to the one before."""
        return self._json("POST", f"/v1/models/{version:d}:rollback", {"reason": reason})

    # How it is done

    def _scan(self, file: io.BufferedIOBase, size: int, name: str, idempotency_key: str) -> Json:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        query = urllib.parse.urlencode({"name": name.encode("utf-8", "replace")})
        return self._ask("POST", f"/v1/scan?{query}", headers, file)

    def _json(self, method: str, path: str, body: Json | None = None, headers: dict[str, str] | None = None) -> Json:
        sent = dict(headers or {})
        if body is None:
            return self._ask(method, path, sent, None)
        sent["Content-Type"] = "application/json"
        return self._ask(method, path, sent, io.BytesIO(json.dumps(body).encode()))

    def _pages(self, path: str, filters: dict[str, str]) -> Iterator[Json]:
        query = dict(filters)
        while True:
            page = self._json("GET", f"{path}?{urllib.parse.urlencode(query)}")
            yield from page["items"]
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    def _ask(self, method: str, path: str, headers: dict[str, str], body: io.BufferedIOBase | None) -> Json:
        for attempt in range(self._retries + 1):
            if body is not None:
                body.seek(0)
            try:
                return self._ask_once(method, path, headers, body)
            except ServiceError as error:
                if error.status not in (429, 503) or attempt == self._retries:
                    raise
                wait = error.problem.get("retry_after") or min(2.0**attempt, LONGEST_WAIT)
            time.sleep(wait)
        raise AssertionError("unreachable")

    def _ask_once(self, method: str, path: str, headers: dict[str, str], body: io.BufferedIOBase | None) -> Json:
        connection = self._connect()
        try:
            connection.request(method, self._base + path, body, {**self._headers(), **headers})
            response = connection.getresponse()
            if response.status not in (200, 201):
                raise _problem(response)
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _lost(error) from error
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise ServiceError(0, {"detail": "the answer is not of this service"})
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout, blocksize=CHUNK)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}


def _tar(paths: Sequence[str | os.PathLike[str]]) -> Iterator[bytes]:
    """A tar archive of these files, in pieces."""
    for path in paths:
        with open(path, "rb") as file:
            left = os.fstat(file.fileno()).st_size
            member = tarfile.TarInfo(os.path.basename(os.fspath(path)))
            member.size = left
            yield member.tobuf(tarfile.PAX_FORMAT)
            padding = -left % tarfile.BLOCKSIZE
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise OSError(f"{os.fspath(path)!r} became shorter while it was read")
                left -= len(data)
                yield data
            if padding:
                yield bytes(padding)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _problem(response: http.client.HTTPResponse) -> ServiceError:
    try:
        problem = json.loads(response.read(1 << 20))
    except (OSError, ValueError, http.client.HTTPException):
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": f"the answer is {response.status} {response.reason}"}
    wait = response.getheader("Retry-After", "")
    if wait.isdecimal():
        problem["retry_after"] = min(float(wait), LONGEST_WAIT)
    return ServiceError(response.status, problem)


def _lost(error: Exception) -> ServiceError:
    return ServiceError(0, {"detail": f"no answer: {error!r}"})
