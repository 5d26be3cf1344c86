"""Admission that asks the application, once token, origin and capacity are in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from typing_extensions import override

from rtcli.protocol.codes import CloseCode
from rtcli_server.auth.admission import Admission, AdmissionRequest, Rejection, UndecidedError
from rtcli_server.auth.authenticator import Authenticator, InvalidTokenError
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.origins import OriginPolicy
from rtcli_server.hooks.gate import Denial, HookGate
from rtcli_server.hooks.interface import ConnectRequest


def rejection_of(denial: Denial) -> Rejection:
    """How a connection is answered that the application denied."""
    if denial.retry_after_ms is None:
        return Rejection(403, denial.code, denial.text)
    return Rejection(503, denial.code, denial.text, CloseCode.TRY_AGAIN_LATER, denial.retry_after_ms)


class HookedAdmission(Admission):
    """Admits whom the hook `connect` of the gate admits too, under the name that it gives."""

    def __init__(
        self,
        gate: HookGate,
        authenticator: Authenticator,
        origins: OriginPolicy,
        check_capacity: Callable[[str, str], Rejection | None],
        rejections: Counter[str],
        *,
        retry_after_ms: Callable[[], int],
    ) -> None:
        super().__init__(authenticator, origins, check_capacity, rejections, retry_after_ms=retry_after_ms)
        self._gate = gate

    @override
    def admit_at_once(self, request: AdmissionRequest) -> Principal | Rejection:
        raise UndecidedError

    @override
    async def admit(self, request: AdmissionRequest) -> Principal | Rejection:
        principal = await super().admit(request)
        if isinstance(principal, Rejection):
            return principal
        verdict = await self._gate.connect(
            ConnectRequest(
                user_id=principal.user_id,
                name=principal.name,
                address=request.address,
                transport="websocket" if request.websocket else "sse",
            )
        )
        if isinstance(verdict, Denial):
            rejection = rejection_of(verdict)
            return self._reject(request, rejection, "the application refused it")
        # Others may have come meanwhile, and the token may have been revoked.
        if self._authenticator.is_revoked(principal):
            return self._reject_invalid(request, InvalidTokenError("revoked"))
        return self._check_limits(request, replace(principal, name=verdict))
