"""One job from standard input, its result on standard output: a fresh process for each measurement."""

import gc
import sys

import msgspec
import uvloop

from benchmarks.client.closed import run_closed, run_streams
from benchmarks.client.jobs import Closed, Idle, Job, Paced, Result, Source
from benchmarks.client.paced import run_idle, run_paced, run_source


async def run(job: Job) -> Result:
    """Do `job`; leave nothing connected."""
    if isinstance(job, Closed):
        result, members = await run_closed(job)
    elif isinstance(job, Paced):
        result, members = await run_paced(job)
    elif isinstance(job, Idle):
        result, members = await run_idle(job)
    elif isinstance(job, Source):
        result, members = await run_source(job)
    else:
        result, members = await run_streams(job)
    for member in members:
        member.abort()
    return result


def main() -> None:
    """Read one job, print one result. The collector is off: the client makes no cycles and must not pause."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(job))))


if __name__ == "__main__":
    main()
