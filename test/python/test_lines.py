"""Where outputs begin in memory."""

import numpy as np

from trec import lines


def test_large_arrays_begin_at_a_line():
    kinds = (((3, 5), np.float32), ((1 << 16, 2), np.uint8), ((1000, 100), np.float16), ((0, 7), np.float32))
    for shape, dtype in kinds:
        array = lines.empty(shape, dtype)
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable
        assert array.nbytes < lines.ALIGNED_BYTES or array.ctypes.data % lines.LINE_BYTES == 0
