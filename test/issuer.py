"""Real issuers of tokens on loopback: HTTPS, discovery, keys, and everything that goes wrong with them."""

import contextlib
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from examples.local.issuer import certify
from test.signing import Key

DISCOVERY = ".well-known/openid-configuration"
KEYS = "keys"
HUGE_BYTES = 5_000_000
SLOW_SECONDS = 30


@dataclass
class Issuer:
    """One issuer.

    Attributes:
        url: Its address, without a slash at the end, which its tokens name.
        keys: What it publishes, in this order; what is no `Key` is published as it is.
        trouble: What is wrong with each of its documents, `DISCOVERY` and `KEYS`: a name of `_Answers`'s methods.
        fetched: How often each document was asked for.
        claimed: The issuer that its discovery names.
    """

    url: str
    keys: list[Key | Any] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)
    fetched: Counter[str] = field(default_factory=Counter)
    claimed: str | None = None

    def fail(self, trouble: str, *documents: str) -> None:
        """Let something be wrong with documents, or with both."""
        self.trouble = dict.fromkeys(documents or (DISCOVERY, KEYS), trouble)

    def mend(self) -> None:
        """Let all be well again."""
        self.trouble = {}

    def document(self, name: str) -> bytes:
        """Write a document."""
        if name == DISCOVERY:
            return json.dumps({"issuer": self.claimed or self.url, "jwks_uri": f"{self.url}/{KEYS}"}).encode()
        keys = [each.jwk if isinstance(each, Key) else each for each in self.keys]
        return json.dumps({"keys": keys}).encode()


class Issuers:
    """A server with as many issuers as tests like, each below a path of its own.

    Attributes:
        authority: A file with the certificate that signed the server's, for `SSL_CERT_FILE`.
        strangers: A file with a certificate that did not.
    """

    def __init__(self, work: Path) -> None:
        self._certificate = work / "server.pem"
        self.authority = work / "authority.pem"
        self.strangers = work / "strangers.pem"
        certify(self.authority, self._certificate)
        certify(self.strangers, work / "unused.pem")
        self._issuers: dict[str, Issuer] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
        self._server.daemon_threads = True
        self._server.issuers = self._issuers  # type: ignore[attr-defined]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        # The handshake is the answering thread's: a client that refuses the certificate must not end the server.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def base(self) -> str:
        """The address of the server."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def issuer(self, name: str, *keys: object) -> Issuer:
        """Make an issuer."""
        made = self._issuers[name] = Issuer(f"{self.base}/{name}", list(keys))
        return made

    @contextlib.contextmanager
    def running(self) -> Iterator["Issuers"]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # one request a connection: nobody's kept connection outlives a test

    def setup(self) -> None:
        self.request.settimeout(5)
        super().setup()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that does not trust us, or that has waited long enough
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer for the issuer that the path names."""
        issuers: dict[str, Issuer] = self.server.issuers  # type: ignore[attr-defined]
        name, _, document = self.path.removeprefix("/").partition("/")
        issuer = issuers.get(name)
        if issuer is None or document not in {DISCOVERY, KEYS, "moved"}:
            self.send_error(404)
            return
        issuer.fetched[document] += 1
        getattr(self, f"_{issuer.trouble.get(document, 'well')}")(issuer, document.replace("moved", KEYS))

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def _well(self, issuer: Issuer, document: str) -> None:
        self._send(200, issuer.document(document))

    def _down(self, _issuer: Issuer, _document: str) -> None:
        """Hang up without a word."""

    def _error(self, _issuer: Issuer, _document: str) -> None:
        self._send(500, b'{"error": "server_error"}')

    def _gone(self, _issuer: Issuer, _document: str) -> None:
        self._send(404, b"{}")

    def _garbage(self, _issuer: Issuer, _document: str) -> None:
        self._send(200, b"<html>We will be back soon</html>")

    def _list(self, _issuer: Issuer, _document: str) -> None:
        self._send(200, b'[{"keys": []}]')

    def _binary(self, _issuer: Issuer, _document: str) -> None:
        self._send(200, b"\xff\xfe\x00{")

    def _deep(self, _issuer: Issuer, _document: str) -> None:
        self._send(200, b"[" * 100_000)

    def _huge(self, issuer: Issuer, document: str) -> None:
        self._send(200, issuer.document(document) + b" " * HUGE_BYTES)

    def _slow(self, issuer: Issuer, document: str) -> None:
        time.sleep(SLOW_SECONDS)
        self._well(issuer, document)

    def _dripping(self, issuer: Issuer, document: str) -> None:
        """Send a byte now and then, each in time for a client that bounds the wait for one read alone."""
        body = issuer.document(document)
        self.send_response(200)
        self.end_headers()
        ends = time.monotonic() + SLOW_SECONDS
        for byte in body:
            if time.monotonic() > ends:
                return
            self.wfile.write(bytes([byte]))
            time.sleep(0.25)

    def _stalling(self, _issuer: Issuer, _document: str) -> None:
        """Say now and then that an answer will come, each time soon enough for a bound of one read."""
        ends = time.monotonic() + SLOW_SECONDS
        while time.monotonic() < ends:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.25)

    def _moved(self, issuer: Issuer, _document: str) -> None:
        """Send on to a document that is here."""
        self._send(302, b"", Location=f"{issuer.url}/moved")

    def _downgraded(self, issuer: Issuer, document: str) -> None:
        """Send on to a plain address, where whoever is in between writes the keys."""
        self._send(302, b"", Location=f"{issuer.url}/{document}".replace("https://", "http://"))

    def _to_file(self, _issuer: Issuer, _document: str) -> None:
        self._send(302, b"", Location="file:///etc/hostname")

    def _plain(self, issuer: Issuer, document: str) -> None:
        """Name a plain address of the keys."""
        self._send(200, issuer.document(document).replace(b'"jwks_uri": "https:', b'"jwks_uri": "http:'))

    def _of_file(self, issuer: Issuer, _document: str) -> None:
        """Name a file as the address of the keys."""
        self._send(200, json.dumps({"issuer": issuer.url, "jwks_uri": "file:///etc/hostname"}).encode())

    def _looping(self, issuer: Issuer, document: str) -> None:
        self._send(302, b"", Location=f"{issuer.url}/{document}")
