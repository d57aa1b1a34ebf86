"""Fetching files from addresses that the operator allows.

What the client names decides where this service connects to, so (OWASP: server-side request forgery) an address must
begin with one that the operator listed; a name is resolved once, every address it resolves to must be a public one, and
the connection goes to one of those, not to whatever the name resolves to a moment later; redirects are followed one by
one under the same rules.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .problems import Problem

CHUNK = 1 << 18
MAX_REDIRECTS = 5
MAX_URL = 2000
WEB = {"http": 80, "https": 443}

Resolve = Callable[[str, int], Sequence[str]]
_REDIRECTS = (301, 302, 303, 307, 308)


class NotAllowed(Exception):
    """The operator did not allow this address, or it leads to an internal one."""


class FetchFailed(Exception):
    """The other side did not give the file."""


def resolve_name(host: str, port: int) -> list[str]:
    """IP addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Fetcher:
    """Opens addresses of files.

    Parameters
    ----------
    allowed
        Beginnings of addresses, ``https://models.example.com/`` or ``s3://bucket/``; empty for none.
    private
        Whether ``http`` and ``https`` may lead to private, loopback and link-local addresses.
    timeout
        Seconds to wait for the other side, each time.
    resolve
        Finds the IP addresses of a name.
    """

    def __init__(
        self, allowed: Sequence[str], *, private: bool = False, timeout: float = 30.0, resolve: Resolve = resolve_name
    ) -> None:
        self._allowed = [_split(address) for address in allowed]
        self._private = private
        self._timeout = timeout
        self._resolve = resolve

    @property
    def enabled(self) -> bool:
        """Whether any address is allowed."""
        return bool(self._allowed)

    def open(self, url: str) -> tuple[str, Iterator[bytes]]:
        """Name of the file at `url`, and its bytes as they come.

        Raises
        ------
        NotAllowed, FetchFailed
            Also from the iterator.
        """
        parts = self._check(url)
        name = urllib.parse.unquote(parts.path).rpartition("/")[2]
        if parts.scheme in WEB:
            return name, self._web(url)
        return name, _other(url)

    def _check(self, url: str) -> urllib.parse.SplitResult:
        parts = _split(url)
        for allowed in self._allowed:
            same = (parts.scheme, parts.netloc.lower()) == (allowed.scheme, allowed.netloc.lower())
            folder = allowed.path if allowed.path.endswith("/") else allowed.path + "/"
            if same and (parts.path == allowed.path or parts.path.startswith(folder)):
                return parts
        raise NotAllowed("the operator does not allow this address")

    def _web(self, url: str) -> Iterator[bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            parts = self._check(url)
            connection = self._connect(parts)
            try:
                response = self._request(connection, parts)
                if response.status in _REDIRECTS:
                    url = urllib.parse.urljoin(url, response.getheader("Location") or "")
                    continue
                if response.status != 200:
                    raise FetchFailed(f"the other server answered {response.status}")
                yield from self._read(response)
                return
            finally:
                connection.close()
        raise FetchFailed(f"there are more than {MAX_REDIRECTS} redirects")

    def _request(self, connection: http.client.HTTPConnection, parts: urllib.parse.SplitResult) -> Any:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request(
                "GET", target or "/", headers={"User-Agent": "safepickle", "Accept-Encoding": "identity"}
            )
            return connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchFailed(f"the other server cannot be read: {type(error).__name__}") from error

    def _read(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        if response.getheader("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed("the other server sends the file compressed")
        expected, received = response.length, 0
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise FetchFailed(f"the file broke off: {type(error).__name__}") from error
            if not chunk:
                break
            received += len(chunk)
            yield chunk
        if expected is not None and received != expected:
            raise FetchFailed("the file broke off")

    def _connect(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        """A connection to an address that was looked at, under the name that was asked for."""
        host, port = parts.hostname or "", parts.port or WEB[parts.scheme]
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise FetchFailed(f"the name {host} cannot be resolved") from error
        if not addresses:
            raise FetchFailed(f"the name {host} has no address")
        if not self._private and not all(map(is_public, addresses)):
            raise NotAllowed("the address leads into an internal network")
        try:
            connected = socket.create_connection((addresses[0], port), self._timeout)
            if parts.scheme == "https":
                connected = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
        except (OSError, ValueError) as error:
            raise FetchFailed(f"{host} cannot be reached: {type(error).__name__}") from error
        connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        connection.default_port = WEB[parts.scheme]
        connection.sock = connected
        return connection


def is_public(address: str) -> bool:
    """Whether an IP address is one of the whole internet, also the IPv4 address inside an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _split(url: str) -> urllib.parse.SplitResult:
    """The parts of an address that has no way to mean two things."""
    if not 0 < len(url) <= MAX_URL or not url.isascii() or not url.isprintable() or set(url) & set(' \\<>"{}|^`'):
        raise NotAllowed("the address is too long or has characters that belong to none")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotAllowed("this is no address") from None
    segments = urllib.parse.unquote(parts.path).replace("\\", "/").split("/")
    if not parts.scheme or "::" in url or parts.fragment or "@" in parts.netloc or {"..", "."} & set(segments):
        raise NotAllowed("the address has a user, a chain, a fragment or dots for folders, or no scheme")
    if "%" in urllib.parse.unquote(parts.path) or "\x00" in urllib.parse.unquote(parts.path):
        raise NotAllowed("the address is encoded twice")
    if parts.scheme in WEB and (not parts.hostname or port == 0):
        raise NotAllowed("the address names no server")
    return parts


def _other(url: str) -> Iterator[bytes]:
    """A file of any other kind, through fsspec, which knows the way from the service's own environment."""
    try:
        import fsspec
    except ImportError:
        raise FetchFailed(
            "fsspec is not installed; install safepickle-ml[remote] and the driver of this address"
        ) from None
    try:
        with fsspec.open(url, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    # A driver raises errors of its own kinds.
    except Exception as error:
        raise FetchFailed(f"the file cannot be read: {type(error).__name__}") from error


def as_problem(error: NotAllowed | FetchFailed) -> Problem:
    """What the client is told: nothing of what lies behind the address."""
    if isinstance(error, NotAllowed):
        return Problem(403, "address-not-allowed", str(error))
    return Problem(502, "not-fetched", str(error))
