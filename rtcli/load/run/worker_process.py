"""A worker process: `python -m rtcli.load.run.worker_process FD`, with the channel on that descriptor.

Its messages are described in `messages`. The process ends when the channel does: a worker never outlives
its run.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys

import httpcore  # noqa: F401 - httpx does so with its first client: the run would begin late by that
import uvloop

from rtcli.load.accounts.doubts import find_doubts
from rtcli.load.accounts.missed import count_missed
from rtcli.load.audit.evidence import make_worker_account
from rtcli.load.audit.judgement.judge import Judge
from rtcli.load.audit.ledger_exchange import Ledger, export_ledger, import_ledgers
from rtcli.load.core.failures import Failures
from rtcli.load.net.source_addresses import raise_descriptor_limit
from rtcli.load.run.channel import ChannelClosedError, WorkerChannel, worker_channel
from rtcli.load.run.messages import (
    Audited,
    Close,
    Configure,
    Failed,
    FinishAudit,
    FromWorker,
    OpenLatch,
    Ready,
    Settled,
    Start,
    Stop,
    ToWorker,
)
from rtcli.load.run.worker import Worker


async def serve(channel: WorkerChannel[FromWorker, ToWorker]) -> None:
    """Handle the coordinator's messages until `Close`. Raises ChannelClosedError when it is gone."""
    configure = await channel.receive()
    if not isinstance(configure, Configure):
        return
    channel.send(Ready())
    start = await channel.receive()
    if not isinstance(start, Start):  # the run was over before it began
        return
    spec = configure.spec()
    try:
        worker = Worker(spec, start.base, channel.send)
    except Exception as error:  # noqa: BLE001 - an adapter may raise anything
        Failures(lambda failure: channel.send(Failed(failure)), worker=spec.worker).record(error)
        await channel.finish()
        return
    running = asyncio.create_task(_run(worker, channel))
    try:
        while not isinstance(message := await channel.receive(), Close):
            try:
                _handle(worker, channel, message)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                worker.context.failures.record(error)
                await channel.finish()
        await worker.close()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _run(worker: Worker, channel: WorkerChannel[FromWorker, ToWorker]) -> None:
    try:
        await worker.run()
        context = worker.context
        channel.send(Settled(export_ledger(context.audit), dict(context.problems), context.sends.export()))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        worker.context.failures.record(error)
        await channel.finish()


def _handle(worker: Worker, channel: WorkerChannel[FromWorker, ToWorker], message: ToWorker) -> None:
    match message:
        case Stop():
            worker.stop()
        case OpenLatch(latch):
            worker.context.latches.open(latch)
        case FinishAudit(ledgers, missing):
            channel.send(_finish_audit(worker, ledgers, missing))


def _finish_audit(worker: Worker, ledgers: list[Ledger], missing: list[int]) -> Audited:
    context = worker.context
    rules = context.scenario.audit
    import_ledgers(context.audit, ledgers)
    patience = round(rules.late_after * 1e6)
    judge = Judge(
        context.audit, context.now(), patience=patience, self_echo=rules.self_echo, unknown=frozenset(missing)
    )
    account = make_worker_account(
        context.audit,
        judge.judge(),
        keep=rules.evidence,
        bin_of=context.bins.at,
        rooms=context.scenario.measured_rooms,
    )
    missed = count_missed(context.audit, context.attendance.stretches)
    doubts = find_doubts(context.audit.logs.values(), patience=patience)
    return Audited(account, context.attendance.export(missed), doubts)


def main() -> None:
    """Serve the channel on the descriptor that is the only argument."""
    # What the whole group of processes gets is for the main one; we end when the channel does.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="loadtest worker: %(message)s")
    raise_descriptor_limit()
    # A full collection visits the objects of every user: with 5 000 users that is a pause of 0.2 s, which
    # would count as the server's. A worker lives as long as its run, so collecting young objects is enough.
    gc.freeze()
    gc.set_threshold(20_000, 50, 100_000)
    end = socket.socket(fileno=int(sys.argv[1]))

    async def talk() -> None:
        try:
            await serve(await worker_channel(end))
        except ChannelClosedError:
            return

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(talk())


if __name__ == "__main__":
    main()
