"""What the machine can do, found out before it is asked to."""

import ctypes
import platform
from pathlib import Path

import torch

from neurofocus.errors import ConfigError

__all__ = ["check_bfloat16", "check_packed", "cpu_flags", "keep_freed_memory"]

_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16 = ("avx512_bf16", "amx_bf16")
# Constants of <malloc.h>, and the largest value that glibc takes.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 2**31 - 1
_TOP_PAD = 64 * 2**20


def cpu_flags() -> frozenset[str]:
    """Return the instruction sets that the kernel names in /proc/cpuinfo; empty where there is no such file."""
    if not _CPU_INFO.is_file():
        return frozenset()
    for line in _CPU_INFO.read_text("ascii", errors="replace").splitlines():
        name, _, values = line.partition(":")
        if name.strip() == "flags":
            return frozenset(values.split())
    return frozenset()


def check_bfloat16(device: torch.device) -> None:
    """Refuse bfloat16 where the device would only imitate it, which is slower than float32.

    Raises:
        ConfigError: the CPU has neither avx512_bf16 nor amx_bf16, or the GPU no bfloat16.
    """
    if device.type == "cuda":
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise ConfigError(f"precision bfloat16: {device} has no such arithmetic; use float32")
    elif device.type != "cpu":
        raise ConfigError(f"precision bfloat16: not known to be fast on {device}; use float32, cpu or cuda")
    elif not cpu_flags() & set(_BFLOAT16):
        raise ConfigError(
            f"precision bfloat16: this CPU has neither {' nor '.join(_BFLOAT16)} ({_CPU_INFO}); use float32"
        )


def check_packed() -> None:
    """Refuse packed convolutions where this torch has no oneDNN.

    Raises:
        ConfigError: it was built without.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's
        raise ConfigError("packed true: this torch comes without oneDNN; set packed to false")


def keep_freed_memory() -> None:
    """Tell glibc to keep the memory of dead tensors, for the whole process, for good.

    By default it hands large blocks back to the kernel, which clears the pages anew for the next layer. The process
    stays as large as it ever was. The same from outside: ``MALLOC_MMAP_THRESHOLD_=1073741824
    MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864``.

    Raises:
        ConfigError: the C library is not glibc, or does not take the settings.
    """
    library, version = platform.libc_ver()
    if library != "glibc":
        raise ConfigError(
            f"keeping freed memory: the C library is {library or 'unknown'} {version}, not glibc"
        )
    mallopt = ctypes.CDLL(None).mallopt
    wanted = {_M_MMAP_THRESHOLD: 2**30, _M_TRIM_THRESHOLD: _KEPT_BYTES, _M_TOP_PAD: _TOP_PAD}
    if not all(mallopt(name, value) for name, value in wanted.items()):
        raise ConfigError("keeping freed memory: glibc does not take the settings")
