"""The keys that tokens are verified with. Each is bound to one algorithm.

The algorithm depends on the configuration alone, never on the token (RFC 8725, sections 2.1 and 3.1): a
secret verifies HS256 and nothing else, a public key the algorithm of its type. Mistakes in keys are found
here, when the server starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm
from typing_extensions import override

from rtcli.protocol.messages.strict_json import parse_unique
from rtcli.protocol.tokens import MIN_SECRET_BYTES

MIN_RSA_BITS = 2048  # RFC 7518, section 3.3
MAX_JWKS_KEYS = 100

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class KeyConfigError(ValueError):
    """A key that must not be used. The text says why, and contains no byte of the key."""


class Secret(bytes):
    """A checked shared secret: it is long enough, and no PEM, SSH or JWK key."""

    __slots__ = ()


class PreparedHMAC(HMACAlgorithm):
    """HS256 for secrets that were checked when they were configured.

    PyJWT checks the secret again for each token, which takes as long as the rest of verifying it.
    """

    def __init__(self) -> None:
        super().__init__(HMACAlgorithm.SHA256)

    @override
    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, Secret) else super().prepare_key(key)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the only algorithm that it may verify. `kid` is set for a key from a JWKS."""

    algorithm: str
    key: bytes | PublicKey = field(repr=False)
    kid: str | None = None


def secret_key(secret: str) -> VerificationKey:
    """Make the HS256 key for a shared secret. Raises KeyConfigError."""
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) < MIN_SECRET_BYTES:
        raise KeyConfigError(f"a secret must have at least {MIN_SECRET_BYTES} bytes, this one has {len(raw)}")
    try:
        PreparedHMAC().prepare_key(raw)
    except jwt.InvalidKeyError:
        raise KeyConfigError("a PEM, SSH or JWK key is not a shared secret") from None
    return VerificationKey("HS256", Secret(raw))


def public_key(pem: str) -> VerificationKey:
    """Read a public key in PEM: RSA (RS256), EC P-256 (ES256) or Ed25519 (EdDSA). Raises KeyConfigError."""
    if "PRIVATE KEY" in pem:
        raise KeyConfigError("this is a private key; the server needs only the public one")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise KeyConfigError("not a public key in PEM") from None
    return VerificationKey(_algorithm_of(key), key)  # type: ignore[arg-type]  # _algorithm_of refuses others


def _algorithm_of(key: object) -> str:
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise KeyConfigError(f"an RSA key must have at least {MIN_RSA_BITS} bits")
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    raise KeyConfigError("only RSA, EC P-256 and Ed25519 keys are supported")


def parse_jwks(body: bytes) -> tuple[VerificationKey, ...]:
    """Read a JWK Set (RFC 7517, section 5); skip keys that are not for verifying signatures of tokens.

    Symmetric keys are skipped too: what is published is no secret. Raises KeyConfigError when the body is not
    a JWK Set, or contains no usable key.
    """
    try:
        document = parse_unique(body.decode("utf-8-sig"))
    except ValueError:
        raise KeyConfigError("not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise KeyConfigError("not a JWK Set")
    if len(entries) > MAX_JWKS_KEYS:
        raise KeyConfigError(f"more than {MAX_JWKS_KEYS} keys")
    keys = tuple(key for key in map(_jwk, entries) if key is not None)
    if not keys:
        raise KeyConfigError("no key that can be used")
    return keys


def _jwk(entry: object) -> VerificationKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        return None
    try:
        parsed = jwt.PyJWK.from_dict(entry)
        algorithm = _algorithm_of(parsed.key)
    except (jwt.PyJWTError, KeyConfigError, ValueError, TypeError):
        return None
    # RFC 8725, 3.1: "Each key MUST be used with exactly one algorithm".
    return VerificationKey(algorithm, parsed.key, kid) if parsed.algorithm_name == algorithm else None
