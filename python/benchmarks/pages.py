"""Small or huge pages for memory that is about to be filled."""

import ctypes
import mmap

import numpy as np

from trec import pages

MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 14, 15
_libc = ctypes.CDLL(None, use_errno=True)


def _advise(address: int, size: int, advice: int) -> None:
    if _libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice):
        raise OSError(ctypes.get_errno(), f"madvise({size} bytes, {advice})")


def whole_pages(array: np.ndarray) -> tuple[int, int]:
    """Address and size of the pages that belong to the array alone."""
    page = mmap.PAGESIZE
    begin = -(-array.ctypes.data // page) * page
    return begin, max(0, (array.ctypes.data + array.nbytes) // page * page - begin)


def set_pages(array: np.ndarray, kind: str) -> None:
    """Gives the array's memory back and asks for pages of one kind when it is touched next.

    What was in it is lost: private memory that nothing backs comes back as zeros.
    """
    address, size = whole_pages(array)
    if not size:
        return
    try:
        _advise(address, size, MADV_HUGEPAGE if kind == "huge" else MADV_NOHUGEPAGE)
    except OSError:
        # A kernel without huge pages knows neither; how many there are is measured below.
        if kind == "huge":
            return
    _advise(address, size, MADV_DONTNEED)


def huge_bytes(array: np.ndarray) -> int:
    """Bytes on huge pages in the mappings that the array is in."""
    return pages.huge_bytes(array.ctypes.data, array.nbytes)
