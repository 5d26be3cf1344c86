"""What may wait for one client: its own budget, or its share of the process' while many are busy."""

from __future__ import annotations

from rtcli_server.connections.send_budget import SendBudget

MIB = 1_048_576


def with_busy(count: int, *, process_bytes: int) -> SendBudget:
    budget = SendBudget(MIB, process_bytes)
    budget.busy.update(range(count))
    return budget


def test_a_client_alone_has_its_own_budget() -> None:
    assert with_busy(0, process_bytes=256 * MIB).limit_bytes == MIB
    assert with_busy(1, process_bytes=256 * MIB).limit_bytes == MIB


def test_many_busy_clients_share_half_of_the_process_budget() -> None:
    for count in (128, 200, 512, 1_000):
        assert count * with_busy(count, process_bytes=256 * MIB).limit_bytes <= 128 * MIB


def test_nobody_is_full_before_it_is_busy() -> None:
    budget = with_busy(1_000_000, process_bytes=MIB)
    assert budget.limit_bytes == budget.high_bytes


def test_one_that_has_drained_gives_its_share_back() -> None:
    budget = with_busy(256, process_bytes=256 * MIB)
    assert budget.limit_bytes == MIB // 2
    for client in range(128):
        budget.busy.discard(client)
    assert budget.limit_bytes == MIB


def test_pieces_fit_between_the_marks() -> None:
    budget = SendBudget(65_536, MIB)  # the smallest that the settings allow
    assert budget.low_bytes < budget.piece_bytes < budget.high_bytes
    assert budget.high_bytes + budget.piece_bytes < budget.limit_bytes
