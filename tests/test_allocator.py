"""Memory that is kept, seen from outside: the resident size of a process of its own after tensors have died."""

import os
import platform
import subprocess
import sys

import pytest

from neurofocus import allocator

SCRIPT = """
import os, torch
from neurofocus.allocator import keep_freed_memory
{call}
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
torch.ones(2**18)
before = resident()
tensors = [torch.ones({floats}) for _ in range({number})]
del tensors
print((resident() - before) / 2**20)
"""


def mebibytes_left(call: str, *, size: int, number: int) -> float:
    """Return by how many MiB a process is larger after ``number`` tensors of ``size`` MiB have come and gone."""
    script = SCRIPT.format(call=call, floats=size * 2**18, number=number)
    other = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(other)}
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=plain
    )
    return float(found.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_freed_memory_is_kept_below_a_size() -> None:
    assert mebibytes_left("", size=64, number=2) < 40
    assert mebibytes_left("assert keep_freed_memory()", size=24, number=6) > 100
    small = "assert keep_freed_memory(below=32 * 2**20)"
    assert mebibytes_left(small, size=64, number=2) < 80  # the padding at the top may stay
    assert mebibytes_left(small, size=16, number=8) > 100


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not allocator.keep_freed_memory()
