from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from rtcli_server.auth.verification_keys import KeyConfigError, parse_jwks, public_key, secret_key

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_secret_verifies_hs256_only() -> None:
    key = secret_key("x" * 32)
    assert (key.algorithm, key.key, key.kid) == ("HS256", b"x" * 32, None)
    assert "xxx" not in repr(key)


def test_a_short_secret_is_refused_by_its_bytes() -> None:
    with pytest.raises(KeyConfigError, match="at least 32 bytes, this one has 31"):
        secret_key("x" * 31)
    with pytest.raises(KeyConfigError, match="this one has 0"):
        secret_key("")
    assert secret_key("é" * 16).key == ("é" * 16).encode()


def test_public_material_is_no_secret() -> None:
    """Row T4: with such a secret, everybody with the public key could sign."""
    for text in (
        pem(RSA),
        pem(P256),
        json.dumps({"kty": "RSA", "n": "abcdefghijklmnop", "e": "AQAB"}),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExample",
    ):
        with pytest.raises(KeyConfigError, match="not a shared secret"):
            secret_key(text)


def test_a_public_key_gets_the_algorithm_of_its_type() -> None:
    assert public_key(pem(RSA)).algorithm == "RS256"
    assert public_key(pem(P256)).algorithm == "ES256"
    assert public_key(pem(ED25519)).algorithm == "EdDSA"


def test_public_keys_that_are_refused() -> None:
    private = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(KeyConfigError, match="private key"):
        public_key(private)
    with pytest.raises(KeyConfigError, match="not a public key"):
        public_key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(KeyConfigError, match="not a public key"):
        public_key("x" * 40)
    with pytest.raises(KeyConfigError, match="2048 bits"):
        public_key(pem(rsa.generate_private_key(65537, 1024)))  # noqa: S505 - refused, that is the point
    with pytest.raises(KeyConfigError, match="only RSA, EC P-256 and Ed25519"):
        public_key(pem(ec.generate_private_key(ec.SECP384R1())))
    other = ed448.Ed448PrivateKey.generate().public_key()
    with pytest.raises(KeyConfigError, match="only RSA, EC P-256 and Ed25519"):
        public_key(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def jwks(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def test_a_jwks_gives_the_keys_that_can_verify_and_skips_the_rest() -> None:
    rsa_jwk = {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "r"}
    ec_jwk = {**ECAlgorithm.to_jwk(P256.public_key(), as_dict=True), "kid": "e", "use": "sig"}
    okp_jwk = {**OKPAlgorithm.to_jwk(ED25519.public_key(), as_dict=True), "alg": "EdDSA"}
    skipped = [
        {**rsa_jwk, "use": "enc"},
        {**rsa_jwk, "alg": "RS512"},
        {**rsa_jwk, "alg": 5},
        {**rsa_jwk, "kid": 5},
        {**rsa_jwk, "n": "AQAB"},
        {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()},
        {"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"},
        {"kty": "made-up"},
        {},
        "text",
        None,
    ]
    keys = parse_jwks(jwks(rsa_jwk, *skipped, ec_jwk, okp_jwk))
    assert [(key.kid, key.algorithm) for key in keys] == [("r", "RS256"), ("e", "ES256"), (None, "EdDSA")]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JWK Set"),
        (b'{"keys":{}}', "not a JWK Set"),
        (b'{"keys":[]}', "no key"),
        (jwks({"kty": "oct", "k": "eHh4"}), "no key"),
        (jwks(*[{}] * 101), "more than 100 keys"),
    ],
)
def test_bodies_that_are_no_jwks(body: bytes, why: str) -> None:
    with pytest.raises(KeyConfigError, match=why):
        parse_jwks(body)
