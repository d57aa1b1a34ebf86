"""Fetching files from elsewhere: what is refused, and what is read from a real server."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.remote import Fetcher, FetchFailed, NotAllowed, is_public, resolve_name
from tests.serving.models import BENIGN


class Files(http.server.BaseHTTPRequestHandler):
    """Answers by path: a file, redirects, and what goes wrong."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/files/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/files/model.pkl":
            self.send_response(200)
            self.send_header("Content-Length", str(len(BENIGN)))
            self.end_headers()
            self.wfile.write(BENIGN)
        elif self.path == "/files/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            self.close_connection = True
        elif self.path == "/files/packed":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Port of a server on the loopback address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(fetcher: Fetcher, url: str) -> bytes:
    return b"".join(fetcher.open(url)[1])


def test_a_file_of_an_allowed_server_is_read_through_redirects(port: int) -> None:
    base = f"http://127.0.0.1:{port}/files"
    fetcher = Fetcher([base], private=True)
    name, chunks = fetcher.open(f"{base}/model.pkl")
    assert (name, b"".join(chunks)) == ("model.pkl", BENIGN)
    assert fetch(fetcher, f"{base}/to?/files/to?model.pkl") == BENIGN


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/files/x", "/elsewhere", "file:///etc/passwd", "//[::1]/files/", "/files/../x"]
)
def test_a_redirect_to_where_it_is_not_allowed_is_not_followed(port: int, target: str) -> None:
    base = f"http://127.0.0.1:{port}/files/"
    with pytest.raises(NotAllowed):
        fetch(Fetcher([base], private=True), f"{base}to?{target}")


def test_endless_redirects_and_broken_answers_are_failures(port: int) -> None:
    base = f"http://127.0.0.1:{port}/files/"
    fetcher = Fetcher([base], private=True)
    for path in ("missing", "short", "packed", "to?" * 8 + "model.pkl"):
        with pytest.raises(FetchFailed):
            fetch(fetcher, base + path)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        closed_url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(FetchFailed):
            fetch(Fetcher([closed_url], private=True), closed_url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "[::]",
    ],
)  # fmt: skip
def test_a_loopback_address_is_refused_however_it_is_written(port: int, host: str) -> None:
    url = f"http://{host}:{port}/files/model.pkl"
    with pytest.raises((NotAllowed, FetchFailed)):
        fetch(Fetcher([f"http://{host}:{port}/"]), url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("10.0.0.1", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("0.0.0.0", False), ("nonsense", False),
    ],
)  # fmt: skip
def test_internal_addresses_are_told_from_public_ones(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_name_is_resolved_once_and_what_it_means_later_does_not_count(port: int) -> None:
    asked: list[str] = []

    def rebinding(host: str, number: int) -> list[str]:
        asked.append(host)
        return ["203.0.113.7"] if len(asked) == 1 else ["127.0.0.1"]

    with pytest.raises((NotAllowed, FetchFailed)):
        fetch(Fetcher(["http://rebinding.test/"], timeout=0.2, resolve=rebinding), f"http://rebinding.test:{port}/x")
    # One public and one internal address: refused as a whole.
    both = Fetcher([f"http://both.test:{port}/"], resolve=lambda *_: ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(NotAllowed):
        fetch(both, f"http://both.test:{port}/x")
    # The connection goes to the address that was looked at, not to the name.
    there = Fetcher([f"http://nowhere.invalid:{port}/"], private=True, resolve=lambda *_: ["127.0.0.1"])
    assert fetch(there, f"http://nowhere.invalid:{port}/files/model.pkl") == BENIGN
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the resolver
        resolve_name("nowhere.invalid", 80)


@pytest.mark.parametrize(
    "url",
    [
        "http://good.test.evil.test/files/x", "http://good.test@evil.test/files/x", "http://user@good.test/files/x",
        "https://good.test/files/x", "http://good.test/files/../secret", "http://good.test/files/%2e%2e/secret",
        "http://good.test/files/%252e%252e/secret", "http://good.test/filesecret", "http://good.test:81/files/x",
        "simplecache::http://good.test/files/x", "file:///etc/passwd", "/etc/passwd", "http:///files/x", "",
        "http://good.test/files/a b", "http://good.test/files/\n", "http://good.test\\@evil.test/files/",
        "http://good.test/files/x#y", "http://good.test/files/" + "x" * 3000, "zip://x::s3://b/y", "s3://bucketeer/x",
    ],
)  # fmt: skip
def test_an_address_that_was_not_allowed_is_refused_before_anything_is_asked(url: str) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise AssertionError("it was resolved")

    fetcher = Fetcher(["http://good.test/files", "s3://bucket/"], resolve=fail)
    with pytest.raises(NotAllowed):
        fetch(fetcher, url)


def test_other_kinds_of_addresses_go_through_fsspec_within_what_is_allowed(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "model.pkl").write_bytes(BENIGN)
    (tmp_path / "secret").write_bytes(b"secret")
    fetcher = Fetcher([f"file://{tmp_path}/in/"])
    assert fetch(fetcher, f"file://{tmp_path}/in/model.pkl") == BENIGN
    with pytest.raises(FetchFailed):
        fetch(fetcher, f"file://{tmp_path}/in/missing")
    for path in ("secret", "in/../secret", "in/%2e%2e/secret"):
        with pytest.raises(NotAllowed):
            fetch(fetcher, f"file://{tmp_path}/{path}")
