"""Memory kept from step to step, in large pages.

A training step allocates and frees hundreds of megabytes in large pieces. By default the C library gets each piece from the
system and returns it, and the system hands out zeroed pages of 4 kB, which takes a good part of a step's time.
"""

import ctypes
import os
from functools import cache

# Names of mallopt(3) and madvise(2), glibc's and Linux's.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MADV_HUGEPAGE = 14
_PAGE = 2 << 20
_LARGEST = 1 << 30  # bytes of a piece that is still kept
_RESERVED = 4  # pieces of that size for which addresses are reserved


@cache
def keep_pages() -> bool:
    """Have the C library keep the memory that a step frees for the next one, in large pages; returns whether that worked.

    Best called in a process's first thread: from then on there is one arena, as others cannot hold large pieces. Resident memory
    then stays at its peak. ``ULMFIT_KEEP_PAGES=0`` turns this off; only glibc supports it.
    """
    if os.environ.get("ULMFIT_KEEP_PAGES") == "0":
        return False
    try:
        libc = ctypes.CDLL(None)
        settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGEST), (_M_TRIM_THRESHOLD, -1))
        kept = all([libc.mallopt(name, value) for name, value in settings])
        if kept:
            _reserve(libc)
    except (AttributeError, OSError):
        return False
    return kept


def _reserve(libc: ctypes.CDLL) -> None:
    """Grow the heap once, which costs nothing while it is untouched, and ask for large pages there."""
    libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes, libc.madvise.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    before = libc.sbrk(0)
    pieces = [libc.malloc(ctypes.c_size_t(_LARGEST - (1 << 20))) for _ in range(_RESERVED)]
    for piece in pieces:
        libc.free(piece)
    start, end = -(-before // _PAGE) * _PAGE, libc.sbrk(0) // _PAGE * _PAGE
    if end > start:
        libc.madvise(start, end - start, _MADV_HUGEPAGE)
