"""What the C library keeps of memory that was freed."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
# What is larger, in bytes, is mapped by itself, and is the system's again once it is freed.
LARGE: Final = 1024 * 1024
# What is kept of smaller ones, for each of the library's heaps.
KEPT: Final = 8 * 1024 * 1024


def give_back_large() -> None:
    """Have large values given back to the system when they are freed.

    glibc raises its bounds with each large block that it frees, up to 32 MiB: from then on such
    blocks lie in its heaps, one or two a thread, with holes between them that it keeps for good.
    Elsewhere nothing is changed.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_TRIM_THRESHOLD, KEPT)
