"""The memory that this process may use: of the machine, or of its control group, version 1 or 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtcli_server.memory_limit import MIN_BUDGET_BYTES, default_budget, memory_limit

MIB = 1024 * 1024
UNLIMITED_V1 = str(2**63 - 4_096)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_it_is_the_machine(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) == memory_limit(tree(tmp_path, {"proc/self/cgroup": "0::/\n"}))
    assert memory_limit(tmp_path) > 16 * MIB


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": f"{64 * MIB}\n"},
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/memory.max": f"{64 * MIB}\n",  # a limit of the group above
        },
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": f"{64 * MIB}\n",
            "sys/fs/cgroup/a/memory.max": f"{128 * MIB}\n",
        },
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{64 * MIB}\n"},  # a container's own
        {
            "proc/self/cgroup": "3:cpu:/x\n2:memory:/docker/1\n",
            "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": f"{64 * MIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
        },
        {
            "proc/self/cgroup": "2:cpuset,memory:/docker/1\n",  # a path of the host, mounted at the top
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{64 * MIB}\n",
        },
        {
            "proc/self/cgroup": "4:memory:/a\n0::/a\n",  # both versions
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{64 * MIB}\n",
        },
    ],
)
def test_the_smallest_limit_of_the_group_and_those_above_counts(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert memory_limit(tree(tmp_path, files)) == 64 * MIB


@pytest.mark.parametrize("text", ["", "nonsense", "0:\n", "1:memory\n", "\xff"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, text: str) -> None:
    machine = memory_limit(tmp_path / "nothing")
    assert memory_limit(tree(tmp_path, {"proc/self/cgroup": text})) == machine


def test_the_default_is_a_quarter_for_all_workers_and_never_very_little() -> None:
    assert default_budget(8_192 * MIB, 1) == 2_048 * MIB
    assert default_budget(8_192 * MIB, 4) == 512 * MIB
    assert default_budget(512 * MIB, 1) == MIN_BUDGET_BYTES == 256 * MIB
