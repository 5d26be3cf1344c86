"""The deployment under test: its address, and whether it may be loaded."""

from __future__ import annotations

from collections.abc import Collection
from random import SystemRandom

from rtcli.client.endpoint import Endpoint
from rtcli.errors import CliError, Exit
from rtcli.load.audit.token import MAX_RUN
from rtcli.load.core.context import Credentials, WorkerSpec
from rtcli.load.net.source_addresses import resolve
from rtcli.load.scenario.model import Scenario


def check_allowed(endpoint: Endpoint, allowed: Collection[str]) -> None:
    """Raise CliError (2) for a host that is neither this machine nor named by `--allow-remote`."""
    if not endpoint.is_loopback and endpoint.host not in allowed:
        raise CliError(
            f"{endpoint.host} is not this machine: load is only sent where that is said to be wanted",
            hint=f"if you may load it: --allow-remote {endpoint.host}",
        )


async def make_spec(
    scenario: Scenario,
    endpoint: Endpoint,
    credentials: Credentials,
    *,
    workers: int,
    unix_start: float,
    insecure: bool = False,
) -> WorkerSpec:
    """Make the workers' spec; looks up the host. Raises CliError (3)."""
    try:
        address, family = await resolve(endpoint.host, endpoint.port)
    except OSError:
        raise CliError(
            f"{endpoint.host}: no such host", hint="is its name right?", exit_code=Exit.CANNOT_CONNECT
        ) from None
    run = SystemRandom().randint(1, MAX_RUN)  # not from the seed: runs must not mix
    return WorkerSpec(
        scenario, endpoint, address, family, credentials, run, unix_start, workers=workers, insecure=insecure
    )
