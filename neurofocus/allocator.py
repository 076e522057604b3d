"""The memory of dead tensors on a CPU: handed back to the kernel, or kept for the next ones."""

import ctypes
import platform

__all__ = ["keep_freed_memory"]

# Constants of <malloc.h>, and the largest value that glibc takes.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 2**31 - 1
_TOP_PAD = 64 * 2**20
_OLD_LIMIT = 32 * 2**20  # what older versions of glibc take for M_MMAP_THRESHOLD


def keep_freed_memory(*, below: int = 2**30) -> bool:
    """Tell glibc to keep the memory of dead tensors, for the whole process, for good.

    By default it hands large blocks back to the kernel, which clears the pages anew for the next layer. The process
    stays as large as it ever was. The same from outside: ``MALLOC_MMAP_THRESHOLD_=1073741824
    MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864``.

    Args:
        below: bytes; larger blocks are handed back as ever, so that kept memory does not fall to pieces.

    Returns:
        False where the C library is another, or does not take the settings: nothing but speed is lost.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(_M_MMAP_THRESHOLD, below) or mallopt(_M_MMAP_THRESHOLD, min(below, _OLD_LIMIT))
    return bool(kept and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_M_TOP_PAD, _TOP_PAD))
