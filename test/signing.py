"""Signs tokens with real keys, as wrongly as an attacker likes, without the library that is to verify them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASHES: dict[str, hashes.HashAlgorithm] = {
    "1": hashes.SHA1(),  # noqa: S303 - what must be refused
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
Json = Mapping[str, Any]


def encode(data: bytes) -> str:
    """Write bytes as a token does."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text(value: object) -> bytes:
    """Write JSON as a token does; what is bytes already stays, be it JSON or not."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def compact(header: object, payload: object, sign: Callable[[bytes], bytes]) -> str:
    """Put a token together."""
    signed = f"{encode(text(header))}.{encode(text(payload))}"
    return f"{signed}.{encode(sign(signed.encode()))}"


def unsigned(_message: bytes) -> bytes:
    """Sign nothing."""
    return b""


def hmac_by(secret: bytes) -> Callable[[bytes], bytes]:
    """Sign with a secret, HS256."""
    return lambda message: hmac.digest(secret, message, hashlib.sha256)


@dataclass(frozen=True)
class Key:
    """A private key, and what an issuer publishes of it.

    Attributes:
        kid: Its name.
        private: The key.
        more: What the published form says besides, such as `alg` and `use`.
    """

    kid: str | None
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    more: Json = field(default_factory=dict)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half as a JWK."""
        found: dict[str, Any] = {"kid": self.kid} if self.kid else {}
        if isinstance(self.private, rsa.RSAPrivateKey):
            rsa_numbers = self.private.public_key().public_numbers()
            found |= {"kty": "RSA", "n": _number(rsa_numbers.n), "e": _number(rsa_numbers.e)}
        elif isinstance(self.private, ec.EllipticCurvePrivateKey):
            numbers, size = self.private.public_key().public_numbers(), _size(self.private)
            curve = next(name for name, each in CURVES.items() if each.name == self.private.curve.name)
            found |= {"kty": "EC", "crv": curve, "x": _number(numbers.x, size), "y": _number(numbers.y, size)}
        else:
            found |= {"kty": "OKP", "crv": "Ed25519", "x": encode(self.private.public_key().public_bytes_raw())}
        return found | dict(self.more)

    @property
    def pem(self) -> bytes:
        """The public half as most programs write it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form)

    def signer(self, algorithm: str, *, der: bool = False) -> Callable[[bytes], bytes]:
        """Give what signs by an algorithm, whether that suits the key or not.

        Args:
            algorithm: Such as `RS256`.
            der: For EC keys: write the signature as certificates have it, not as tokens do.
        """
        private, digest = self.private, HASHES.get(algorithm[2:], hashes.SHA256())

        def sign(message: bytes) -> bytes:
            if isinstance(private, rsa.RSAPrivateKey):
                if algorithm.startswith("PS"):
                    salted = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
                    return private.sign(message, salted, digest)
                return private.sign(message, padding.PKCS1v15(), digest)
            if isinstance(private, ec.EllipticCurvePrivateKey):
                signature = private.sign(message, ec.ECDSA(digest))
                if der:
                    return signature
                size = _size(private)
                return b"".join(each.to_bytes(size, "big") for each in decode_dss_signature(signature))
            return private.sign(message)

        return sign

    def token(self, payload: object, algorithm: str = "RS256", *, header: Json | None = None) -> str:
        """Sign a payload; the header says algorithm and key unless told otherwise."""
        named = {"kid": self.kid} if self.kid else {}
        return compact({"alg": algorithm, **named, **(header or {})}, payload, self.signer(algorithm))


@cache
def rsa_key(kid: str | None, bits: int = 2048) -> Key:
    """Make an RSA key; the same for the same name, since it takes a while."""
    return Key(kid, rsa.generate_private_key(65537, bits))


def ec_key(kid: str, curve: str) -> Key:
    """Make a key on a curve."""
    return Key(kid, ec.generate_private_key(CURVES[curve]))


def ed25519_key(kid: str) -> Key:
    """Make a key for EdDSA."""
    return Key(kid, ed25519.Ed25519PrivateKey.generate())


def _size(private: ec.EllipticCurvePrivateKey) -> int:
    return (private.curve.key_size + 7) // 8


def _number(number: int, size: int | None = None) -> str:
    return encode(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))
