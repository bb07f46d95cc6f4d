"""Freed memory kept for the next step, where the C library would hand it back.

A step allocates what the step before it freed. glibc returns large blocks to the kernel as soon as
they are free, and each that comes back is zeroed page by page: about 9,000 page faults in a step of
MiniLM on CoLA at batch size 16, where 1,000 are left so.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# Of malloc.h. The threshold of mmap may not be higher than this on 64 bits.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_SETTINGS = (
    (_ARENA_MAX, 1),  # the arenas of other threads are handed back whatever the thresholds say
    (_MMAP_THRESHOLD, 32 << 20),
    (_TRIM_THRESHOLD, 1 << 30),
    (_TOP_PAD, 64 << 20),
)


@cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory; return whether its C library can.

    Settings that the environment makes (MALLOC_…_, GLIBC_TUNABLES) are for glibc's own start and
    are replaced. It holds until the process ends, and changes no result.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) for name, value in _SETTINGS)
