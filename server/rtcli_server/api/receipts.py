"""What is answered to a publication, or to an event for one connection."""

from __future__ import annotations

from typing import Any

from rtcli_server.api.models import PublishedOut, QueuedOut
from rtcli_server.api.publishing import Publisher, Receipt, StartedDirect
from rtcli_server.auth.claims import Principal
from rtcli_server.problems import ProblemError
from rtcli_server.realtime.audience import Queued


def published_out(receipt: Receipt) -> PublishedOut:
    """The body of the answer to a publication."""
    epoch, offset = receipt.position
    return PublishedOut(
        channel=receipt.channel,
        epoch=epoch,
        offset=offset,
        position=str(receipt.position),
        duplicate=receipt.duplicate,
        queued=queued_out(receipt.queued),
    )


def queued_out(queued: Queued) -> QueuedOut:
    """To how many connections something was queued."""
    return QueuedOut(here=queued.here, deployment=queued.deployment)


def status_of(receipt: Receipt) -> int:
    """The status of the answer to a publication."""
    return 200 if receipt.duplicate else 201


def start_direct(
    publisher: Publisher, caller: Principal, connection_id: str, event: str, data: dict[str, Any]
) -> StartedDirect:
    """Start to send an event to one connection. Raises ProblemError: also 404, when it is not there."""
    started = publisher.start_direct(caller, connection_id, event, data)
    if started is None:
        raise ProblemError(404, detail="There is no such connection")
    return started
