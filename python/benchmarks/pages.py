"""Small or huge pages for memory that is about to be filled."""

import ctypes
import mmap

import numpy as np

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


def set_pages(array: np.ndarray, pages: str) -> None:
    """Gives the array's memory back and asks for pages of one kind when it is touched next.

    What was in it is lost: private memory that nothing backs comes back as zeros.
    """
    address, size = whole_pages(array)
    if not size:
        return
    try:
        _advise(address, size, MADV_HUGEPAGE if pages == "huge" else MADV_NOHUGEPAGE)
    except OSError:
        # A kernel without huge pages knows neither; how many there are is measured below.
        if pages == "huge":
            return
    _advise(address, size, MADV_DONTNEED)


def huge_bytes(array: np.ndarray) -> int:
    """Bytes on huge pages in the mappings that the array is in."""
    begin, end = array.ctypes.data, array.ctypes.data + array.nbytes
    total, inside = 0, False
    with open("/proc/self/smaps", encoding="utf-8") as smaps:
        for line in smaps:
            first = line.split(maxsplit=1)[0]
            if "-" in first and not first.endswith(":"):
                low, high = (int(bound, 16) for bound in first.split("-"))
                inside = low < end and begin < high
            elif inside and first == "AnonHugePages:":
                total += int(line.split()[1]) * 1024
    return min(total, array.nbytes)
