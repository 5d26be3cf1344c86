"""Signatures are those of the Standard Webhooks specification."""

from __future__ import annotations

import pytest

from rtcli_server.hooks.signing import decode_key, signature_headers

# The example of the specification's libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_specification() -> None:
    body = b'{"test": 2432232314}'
    headers = signature_headers([decode_key(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_each_key_signs() -> None:
    headers = signature_headers([b"new", b"old"], "m", 1, b"{}")
    new, old = headers["webhook-signature"].split(" ")
    assert new != old
    assert signature_headers([b"old"], "m", 1, b"{}")["webhook-signature"] == old


def test_what_is_no_key() -> None:
    with pytest.raises(ValueError, match="base64"):
        decode_key("whsec_!!!!")
