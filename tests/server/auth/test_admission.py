"""Admission: origin, token, capacity, in that order, and what each rejection looks like."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli_server.auth.admission import Admission, AdmissionRequest, Rejection
from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.origins import OriginPolicy
from tests.support.servers.live_server import SECRET, token

OK = "https://ok.example"
FULL = Rejection(503, ErrorCode.RATE_LIMITED, "full", CloseCode.TRY_AGAIN_LATER, 1_000)


class CheckedAdmission:
    """An admission, and the capacity checks that it made."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.full = False
        self.rejections: Counter[str] = Counter()
        self.admission = Admission(
            Authenticator(secrets=[SECRET]),
            OriginPolicy([OK]),
            self.check_capacity,
            self.rejections,
            retry_after_ms=lambda: 500,
        )

    def check_capacity(self, user_id: str, address: str) -> Rejection | None:
        self.asked.append((user_id, address))
        return FULL if self.full else None


@pytest.fixture
def checked() -> CheckedAdmission:
    return CheckedAdmission()


def request(*headers: tuple[str, str], query: str = "", websocket: bool = True) -> AdmissionRequest:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return AdmissionRequest(raw, query, "192.0.2.1", websocket=websocket)


def test_a_good_token_is_admitted(checked: CheckedAdmission) -> None:
    verdict = checked.admission.admit_at_once(request(query=f"token={token('7')}"))
    assert isinstance(verdict, Principal)
    assert verdict.user_id == "7"
    assert checked.asked == [("7", "192.0.2.1")]
    assert not checked.rejections


@pytest.mark.parametrize(
    ("given", "status", "close_code"),
    [
        (request(), 401, 1008),
        (request(query="token=x"), 401, 1008),
        (request(query=f"token={token(ttl_s=-60)}"), 401, 1008),
        (request(("origin", "https://evil.example"), query=f"token={token()}"), 403, None),
        (request(("origin", "https://ok.example.evil.example"), query=f"token={token()}"), 403, None),
        (request(("origin", OK), ("origin", OK)), 403, None),
        (request(("authorization", f"Bearer {token()}"), query=f"token={token('8')}"), 400, None),
        # a bad outright token: the cookie does not step in
        (request(("origin", OK), ("cookie", f"rt_token={token()}"), query="token=x"), 401, 1008),
        (request(("origin", OK), ("cookie", f"rt_token={token()}"), query="token="), 401, 1008),
        (request(("origin", OK), ("cookie", f"rt_token={token()}; rt_token={token('8')}")), 400, None),
        (request(("sec-websocket-protocol", f"bearer.{token()}")), 400, None),
        (request(("cookie", f"rt_token={token()}")), 401, 1008),  # without an Origin it does not count
    ],
)
async def test_rejections(
    checked: CheckedAdmission, given: AdmissionRequest, status: int, close_code: int | None
) -> None:
    for verdict in (checked.admission.admit_at_once(given), await checked.admission.admit(given)):
        assert isinstance(verdict, Rejection)
        assert (verdict.status, verdict.close_code) == (status, close_code)
        assert verdict.closing("t") is None  # no client is asked to come back
    assert checked.asked == []  # capacity is checked last
    assert checked.rejections.total() == 2


def test_a_cookie_counts_with_an_allowed_origin(checked: CheckedAdmission) -> None:
    given = request(("origin", OK), ("cookie", f"a=b; rt_token={token()}"))
    assert isinstance(checked.admission.admit_at_once(given), Principal)


def test_an_outright_token_says_who_it_is_whatever_the_cookie(checked: CheckedAdmission) -> None:
    cookies = ("origin", OK), ("cookie", f"rt_token={token('8')}; rt_token={token('9')}")
    for given in (
        request(*cookies, query=f"token={token('7')}"),
        request(*cookies, ("sec-websocket-protocol", f"rt.v1, bearer.{token('7')}")),
        request(*cookies, ("authorization", f"Bearer {token('7')}"), websocket=False),
    ):
        verdict = checked.admission.admit_at_once(given)
        assert isinstance(verdict, Principal)
        assert verdict.user_id == "7"


def test_a_full_server_says_when_to_come_back(checked: CheckedAdmission) -> None:
    checked.full = True
    verdict = checked.admission.admit_at_once(request(query=f"token={token()}"))
    assert verdict == FULL
    closing = FULL.closing("t")
    assert closing is not None
    data = json.loads(closing)["data"]
    assert data == {"code": 1013, "reason": "rate_limited", "retry_after_ms": 1_000}


def test_a_reason_starts_with_the_code() -> None:
    assert FULL.reason == "rate_limited: full"


def test_the_subprotocol_is_never_the_token() -> None:
    assert request(("sec-websocket-protocol", "bearer.abc, rt.v1")).subprotocol == "rt.v1"
    assert request(("sec-websocket-protocol", "other")).subprotocol is None


def test_the_query_keeps_every_value() -> None:
    assert request(query="room=a&room=b&events=1&x=").query == {
        "room": ["a", "b"],
        "events": ["1"],
        "x": [""],
    }
