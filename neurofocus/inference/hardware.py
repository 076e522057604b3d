"""What the machine can do, found out before it is asked to."""

from pathlib import Path

import torch

from neurofocus.errors import ConfigError

__all__ = ["check_bfloat16", "check_packed", "cpu_flags"]

_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16 = ("avx512_bf16", "amx_bf16")


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
