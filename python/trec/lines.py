"""Arrays that begin at a cache line, as torch's tensors do: no store of a vector then touches two."""

import math
from typing import Any

import numpy as np

LINE_BYTES = 64
# Smaller outputs stay in the caches, and aligning them would cost more than it gains.
ALIGNED_BYTES = 1 << 16


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As np.empty; large arrays are aligned."""
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    if count * dtype.itemsize < ALIGNED_BYTES:
        return np.empty(shape, dtype)
    room = np.empty(count + LINE_BYTES // dtype.itemsize, dtype)
    first = -room.ctypes.data % LINE_BYTES // dtype.itemsize
    return room[first : first + count].reshape(shape)
