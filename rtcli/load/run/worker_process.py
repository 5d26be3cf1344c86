"""A worker process: `python -m rtcli.load.run.worker_process FD`, with the channel on that descriptor.

main → worker: the WorkerSpec; ("start", base); then "stop", ("open", door), ("judge", ledgers), "close"
worker → main: "ready"; Ticks; ("barrier", name, users), ("signal", name); ("settled", ledger); WorkerAccount

The process ends when the channel does: a worker never outlives its run.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from typing import Any

import uvloop

from rtcli.load.audit.evidence import report
from rtcli.load.audit.judge import Judge
from rtcli.load.audit.ledger_exchange import Ledger, export_ledger, import_ledgers
from rtcli.load.core.context import WorkerSpec
from rtcli.load.net.source_addresses import raise_descriptor_limit
from rtcli.load.run.channel import Channel, ChannelClosedError
from rtcli.load.run.worker import Worker


async def serve(channel: Channel) -> None:
    """Do what the main process says until it closes the channel."""
    spec: WorkerSpec = await channel.receive()
    channel.post("ready")
    order = await channel.receive()
    if order[0] != "start":  # the run was over before it began
        return
    worker = Worker(spec, order[1], channel.post)
    running = asyncio.create_task(_run(worker, channel))
    try:
        while (order := await channel.receive()) != "close":
            _obey(worker, channel, order)
        await worker.close()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _run(worker: Worker, channel: Channel) -> None:
    try:
        await worker.run()
    except Exception as error:
        logging.getLogger("rtcli.loadtest").exception("a worker failed")
        channel.post(("failed", f"{type(error).__name__}: {error}"))
        raise
    channel.post(("settled", export_ledger(worker.context.audit), dict(worker.context.problems)))


def _obey(worker: Worker, channel: Channel, order: Any) -> None:  # noqa: ANN401 - see the module
    if order == "stop":
        worker.stop()
    elif order[0] == "open":
        worker.context.latch(order[1]).set()
    elif order[0] == "judge":
        channel.post(("account", _judge(worker, order[1])))


def _judge(worker: Worker, ledgers: list[Ledger]) -> Any:  # noqa: ANN401 - a WorkerAccount
    context = worker.context
    rules = context.scenario.audit
    import_ledgers(context.audit, ledgers)
    judge = Judge(
        context.audit, context.now(), patience=round(rules.late_after * 1e6), self_echo=rules.self_echo
    )
    return report(context.audit, judge.judge(), keep=rules.evidence)


def main() -> None:
    """Talk over the descriptor that is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the main process
    logging.basicConfig(level=logging.WARNING, format="loadtest worker: %(message)s")
    raise_descriptor_limit()
    # A full collection walks over every user: with 5 000 of them that is a pause of 0.2 s, which would be
    # taken for the server's. A worker lives as long as its run, so the young generations have to do.
    gc.freeze()
    gc.set_threshold(20_000, 50, 100_000)
    end = socket.socket(fileno=int(sys.argv[1]))

    async def talk() -> None:
        try:
            await serve(await Channel.open(end))
        except ChannelClosedError:
            return

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(talk())


if __name__ == "__main__":
    main()
