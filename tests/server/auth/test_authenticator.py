"""The token rows of the bad-input tables, each at the authenticator: one text for every cause."""

from __future__ import annotations

import json
import socket
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.tokens import create_token
from rtcli_server.auth.authenticator import Authenticator, InvalidTokenError
from rtcli_server.auth.verification_keys import KeyConfigError
from tests.support.forged_tokens import NOW, SECRET, base64url, forge, sign

OTHER = "another secret of more than 32 bytes!"
RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA_PEM, P256_PEM, ED25519_PEM = (
    key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for key in (RSA, P256, ED25519)
)
CLAIMS: dict[str, Any] = {"sub": "7", "exp": int(NOW + 3600)}
HEADER, PAYLOAD, SIGNATURE = forge().split(".")


def authenticator(**settings: Any) -> Authenticator:  # noqa: ANN401 - the class's own arguments
    return Authenticator(**{"secrets": [SECRET], "clock": lambda: NOW, **settings})


def assert_refused(token: str, auth: Authenticator | None = None) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        (auth or authenticator()).authenticate(token)
    assert str(caught.value) == "Invalid or expired token"
    assert len(token) < 8 or token not in caught.value.reason
    return caught.value.reason


def test_a_good_token() -> None:
    token = create_token(SECRET, sub="7", now=NOW, name="Ann", scope="publish")
    principal = authenticator().authenticate(token)
    assert (principal.user_id, principal.name, principal.expires_at) == ("7", "Ann", NOW + 3600)


def test_each_algorithm_with_its_own_key() -> None:
    auth = authenticator(public_keys=[RSA_PEM, P256_PEM, ED25519_PEM])
    for key, algorithm in ((SECRET, "HS256"), (RSA, "RS256"), (P256, "ES256"), (ED25519, "EdDSA")):
        assert auth.authenticate(jwt.encode(CLAIMS, key, algorithm)).user_id == "7"


def test_secrets_rotate() -> None:
    """The old secret verifies until it is removed; each one verifies by itself."""
    both = authenticator(secrets=[OTHER, SECRET])
    for secret in (SECRET, OTHER):
        assert (
            both.authenticate(forge() if secret == SECRET else jwt.encode(CLAIMS, OTHER, "HS256")).user_id
            == "7"
        )
    assert_refused(forge(), authenticator(secrets=[OTHER]))


def test_a_configuration_without_a_key_is_refused() -> None:
    with pytest.raises(KeyConfigError, match="no key"):
        Authenticator(secrets=[])


@pytest.mark.parametrize(
    "token",
    ["", " ", "x", ".", "..", "...", "....."]
    + [".".join(["a"] * count) for count in (1, 2, 4, 6)]
    + [forge() + tail for tail in ("\n", " ", "\x00", "=", "==", ".x", "!!", "é", "\ud800")]
    + [
        " " + forge(),
        forge().replace(".", " ."),
        forge().replace(".", ".."),
        f"{HEADER}=.{PAYLOAD}.{SIGNATURE}",
    ],
)
def test_t2_malformed(token: str) -> None:
    assert assert_refused(token) in ("malformed", "DecodeError")


@pytest.mark.parametrize(
    "header",
    [{"alg": name} for name in ("none", "nOnE", "", None, ["HS256"], "RS256", "HS512", "HS384", "ES256", 5)]
    + [{}],
)
@pytest.mark.parametrize("signature", ["real", "empty"])
def test_t3_algorithms_come_from_the_configuration(header: dict[str, object], signature: str) -> None:
    token = forge(header)
    assert_refused(token if signature == "real" else token.rpartition(".")[0] + ".")


def test_t4_a_public_key_as_secret_verifies_nothing() -> None:
    auth = Authenticator(public_keys=[RSA_PEM], clock=lambda: NOW)
    for secret in (RSA_PEM, RSA_PEM.strip(), json.dumps({"kty": "RSA"})):
        assert_refused(sign({"alg": "HS256"}, CLAIMS, secret=secret), auth)
        with pytest.raises(KeyConfigError):
            Authenticator(secrets=[secret])


@pytest.mark.parametrize(
    "exp",
    [
        b"",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e400",
        b'"tomorrow"',
        b"[]",
        b"true",
        b"null",
        b"-1",
        b"0",
        b'"1800003600"',
        b"1000000000000000000",
        b"1" * 400,
        b"1" * 3000,
        b"1799999995",
        b"1e-400",
    ],
)
def test_t5_expiries(exp: bytes) -> None:
    payload = b'{"sub":"7"%s}' % (b',"exp":' + exp if exp else b"")
    assert_refused(sign({"alg": "HS256"}, payload))


def test_t5_the_edges_of_exp() -> None:
    assert authenticator().authenticate(forge(exp=NOW - 4)).user_id == "7"
    assert_refused(forge(exp=NOW - 5))
    assert authenticator(leeway_s=0).authenticate(forge(exp=NOW + 0.5)).expires_at == NOW + 0.5
    assert_refused(forge(exp=NOW), authenticator(leeway_s=0))


def test_t6_times_in_the_future_and_long_lives() -> None:
    assert assert_refused(forge(iat=NOW + 60)) == "iat"
    assert assert_refused(forge(nbf=NOW + 60)) == "nbf"
    assert authenticator().authenticate(forge(iat=NOW + 4, nbf=NOW + 4)).user_id == "7"
    assert authenticator(max_lifetime_s=3600).authenticate(forge()).user_id == "7"
    assert assert_refused(forge(exp=NOW + 3601), authenticator(max_lifetime_s=3600)) == "exp"


@pytest.mark.parametrize("aud", [None, "other", "r", ["other"], [], 5, ["rt", 5], {"rt": 1}, "rt "])
def test_t7_audience(aud: object) -> None:
    claims = {} if aud is None else {"aud": aud}
    assert_refused(forge(**claims), authenticator(audience="rt"))


@pytest.mark.parametrize(
    "iss", [None, "https://issuer.exam", "https://issuer.example/", ["https://issuer.example"], 5]
)
def test_t7_issuer(iss: object) -> None:
    claims = {} if iss is None else {"iss": iss}
    assert_refused(forge(**claims), authenticator(issuer="https://issuer.example"))


def test_t7_audience_and_issuer_when_they_match() -> None:
    auth = authenticator(audience="rt", issuer="me")
    assert auth.authenticate(forge(aud="rt", iss="me")).user_id == "7"
    assert auth.authenticate(forge(aud=["other", "rt"], iss="me")).user_id == "7"
    assert authenticator().authenticate(forge(aud="anything", iss="anybody")).user_id == "7", (
        "checked only when configured"
    )


@pytest.mark.parametrize(
    "sub",
    [None, "", 5, True, ["7"], "x" * 129, "x" * 3900, "\x1b[2J", "a\u202eb", "__proto__", "\U0001f600" * 129],
)
def test_t8_subjects(sub: object) -> None:
    assert_refused(forge(sub=sub))


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ({"kid": "../../../../etc/passwd"}, True),
        ({"kid": "' OR 1=1 --"}, True),
        ({"kid": 5}, False),
        ({"jku": "http://127.0.0.1:1/keys"}, True),
        ({"x5u": "http://127.0.0.1:1/cert"}, True),
        ({"jwk": {"kty": "oct", "k": "eHh4"}}, True),
        ({"crit": ["made-up"], "made-up": 1}, False),
        ({"crit": []}, False),
        ({"b64": False}, False),
        ({"b64": False, "crit": ["b64"]}, False),
    ],
)
def test_t9_headers_cause_no_network_and_no_file_access(
    header: dict[str, object], *, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a token made the server reach out")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    token = forge({"alg": "HS256", **header})
    if accepted:
        assert authenticator().authenticate(token).user_id == "7"
    else:
        assert_refused(token)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        SIGNATURE[:-1],
        SIGNATURE[:-2],
        SIGNATURE + "A",
        SIGNATURE + "=",
        SIGNATURE[:-1] + "!",
        "!!",
        "AAAA",
        sign({"alg": "HS256"}, CLAIMS, secret=OTHER).rpartition(".")[2],
    ],
)
def test_t10_signatures(signature: str) -> None:
    assert_refused(f"{HEADER}.{PAYLOAD}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        "x" * 10_000_000,
        sign({"alg": "HS256"}, b"[" * 100_000),
        sign(b"[" * 100_000, CLAIMS),
        sign({"alg": "HS256"}, b"[" * 2_500),
        sign(b"[" * 2_500, CLAIMS),
        sign({"alg": "HS256"}, b'{"sub":"7","exp":1800003600,"x":%s}' % (b"1" * 2_900)),
        sign({"alg": "HS256"}, b'{"sub":"7","exp":1800003600,"sub":"8"}'),
        sign({"alg": "HS256"}, b'{"sub":"7","exp":1800003600,"x":{"a":1,"a":2}}'),
        sign(b'{"alg":"HS256","alg":"HS256"}', CLAIMS),
        sign(b'{"alg":"none","alg":"HS256"}', CLAIMS),
        sign(b'{"alg":"HS256","x":{"a":1,"a":2}}', CLAIMS),
        sign(b'{"alg":"HS256","x":NaN}', CLAIMS),
        sign({"alg": "HS256"}, b'["sub"]'),
        sign({"alg": "HS256"}, b'"sub"'),
        sign({"alg": "HS256"}, b"\xff\xfe"),
        sign({"alg": "HS256"}, b""),
        sign(b"\xff", CLAIMS),
        sign(["alg"], CLAIMS),
    ],
    ids=range(18),
)
def test_t11_shapes(token: str) -> None:
    if "MTExMTEx" in token and len(token) < 4096:
        # An unused claim with a number that Python can read is accepted.
        assert authenticator().authenticate(token).user_id == "7"
    else:
        assert_refused(token)


def test_t11_the_size_is_checked_before_anything_else() -> None:
    padding = 4096 - len(forge(x=""))
    longest = forge(x="y" * (padding * 3 // 4))
    assert len(longest) <= 4096
    assert authenticator().authenticate(longest).user_id == "7"
    assert assert_refused(forge(x="y" * (padding * 3 // 4 + 4))) == "malformed"


@pytest.mark.parametrize("typ", ["id+jwt", "logout+jwt", "JWE", "", 5, ["JWT"]])
def test_t12_other_kinds_of_token(typ: object) -> None:
    assert assert_refused(forge({"alg": "HS256", "typ": typ})) == "typ"


def test_t13_a_room_that_is_not_granted() -> None:
    principal = authenticator().authenticate(forge(rooms=[{"match": "a*", "can": ["join"]}]))
    assert principal.can_join("abc")
    assert not principal.can_join("b")


def test_the_reason_is_for_logs_and_contains_nothing_of_the_token() -> None:
    expired = forge(exp=NOW - 100)
    assert assert_refused(expired) == "expired"
    assert assert_refused(expired[:-4] + "AAAA") == "signature"
    assert assert_refused(forge({"alg": "RS256"})) == "algorithm"


@given(st.text(max_size=40) | st.builds(".".join, st.lists(st.text(max_size=9), min_size=3, max_size=3)))
def test_any_text_is_refused_in_the_documented_way(text: str) -> None:
    assert_refused(text)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_signed_bytes_are_refused_in_the_documented_way(header: bytes, payload: bytes) -> None:
    assert_refused(sign({"alg": "HS256"}, payload))
    assert_refused(sign(header, CLAIMS))
    assert_refused(f"{base64url(header)}.{base64url(payload)}.AAAA")
