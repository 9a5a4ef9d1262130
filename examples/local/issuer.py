"""An OpenID Connect issuer on loopback, for people and tests who have none: HTTPS, discovery, one key, and tokens."""

import contextlib
import datetime as dt
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import RSAAlgorithm

KEY_ID = "demo"
TOKEN_SECONDS = 3600
READ_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """A running issuer.

    Attributes:
        url: Its address, which its tokens name.
        authority: A file with the certificate that vouches for the server's, for `SSL_CERT_FILE`.
    """

    url: str
    authority: Path
    _key: rsa.RSAPrivateKey = field(repr=False)

    def token(self, user_id: str, audience: str, *, seconds: int = TOKEN_SECONDS) -> str:
        """Sign a token for a user."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": audience, "sub": user_id, "iat": now, "exp": now + seconds}
        return jwt.encode(claims, self._key, "RS256", headers={"kid": KEY_ID})


@contextlib.contextmanager
def issuer(work: Path) -> Iterator[Issuer]:
    """Run an issuer until the end of the block.

    Args:
        work: A folder for its certificates.
    """
    authority, certificate = work / "authority.pem", work / "server.pem"
    certify(authority, certificate)
    key = rsa.generate_private_key(65537, 2048)
    documents: dict[str, object] = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answers, documents)) as server:
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake is the answering thread's: a client that refuses the certificate must not end the server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        url = f"https://127.0.0.1:{server.server_address[1]}"
        published = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KEY_ID, "use": "sig"}
        documents["/.well-known/openid-configuration"] = {"issuer": url, "jwks_uri": f"{url}/keys"}
        documents["/keys"] = {"keys": [published]}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield Issuer(url=url, authority=authority, _key=key)
        finally:
            server.shutdown()
            thread.join(5)


class _Answers(BaseHTTPRequestHandler):
    def __init__(self, documents: dict[str, object], *arguments: Any) -> None:  # noqa: ANN401 - the server's own
        self._documents = documents
        super().__init__(*arguments)

    def setup(self) -> None:
        self.request.settimeout(READ_SECONDS)
        super().setup()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that does not trust us, or that has waited long enough
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        """Answer with a document."""
        if self.path not in self._documents:
            self.send_error(404)
            return
        body = json.dumps(self._documents[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object, **_named: object) -> None:
        """Print nothing."""


def certify(authority: Path, server: Path) -> None:
    """Write an authority's certificate, and one of a server on loopback with its key; both are good for a day.

    Args:
        authority: The file of the authority's certificate, for `SSL_CERT_FILE` of who is to believe the server.
        server: The file of the server's certificate and private key.
    """
    ca, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    now = dt.datetime.now(dt.UTC)

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().issuer_name(name).subject_name(subject).public_key(public)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=1))

    may = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    root = builder(name, ca.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    root = root.add_extension(may, critical=True)
    root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca.public_key()), critical=False)
    leaf = builder(x509.Name([]), key.public_key())
    loopback = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    leaf = leaf.add_extension(x509.SubjectAlternativeName(loopback), critical=True)
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())
    leaf = leaf.add_extension(issued_by, critical=False)
    pem = serialization.Encoding.PEM
    authority.write_bytes(root.sign(ca, hashes.SHA256()).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server.write_bytes(private + leaf.sign(ca, hashes.SHA256()).public_bytes(pem))
