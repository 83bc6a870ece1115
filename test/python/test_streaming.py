"""Outputs above the caches, which are written around them: the bits of small batches, whose outputs are not."""

import numpy as np
import pytest
from test_parity import supported_levels

import trec
from trec import lines
from trec.exporter import write_model
from trec.spec import ModelSpec, TableSpec
from trec.testing import reference

# All outputs of more than 16 MiB are streamed, on any machine.
BYTES = 17 << 20
DIMS = (16, 32, 128, 80)
PART = 500


def make(directory, level, dtype, output, **options):
    tables = [
        TableSpec(f"t{dim}", 50, dim, dtype, [f"f{dim}"], "sum" if index % 2 else "mean") for index, dim in enumerate(DIMS)
    ]
    spec = ModelSpec(tables, output_dtype=output)
    write_model(spec, None, directory)
    so = trec.compile(directory / "model.mlir", directory / "model.so", cpu=level)
    random = np.random.default_rng(4)
    rows = {t.name: random.integers(0, 60, (50, t.row_bytes)).astype(np.uint8) for t in tables}
    return spec, rows, trec.load(so, rows, **options)


@pytest.mark.parametrize("level", supported_levels())
@pytest.mark.parametrize("dtype, output", [("int8", "float32"), ("int4", "float32"), ("int2", "float16"), ("fp16", "float32")])
@pytest.mark.parametrize("threads", [1, 3])
def test_large_outputs(tmp_path, level, dtype, output, threads):
    spec, rows, model = make(tmp_path, level, dtype, output, threads=threads)
    random = np.random.default_rng(5)
    width = sum(DIMS) * np.dtype(output).itemsize
    samples = BYTES // width + 1
    lengths = random.integers(0, 3, (len(DIMS), samples))
    ids = random.integers(-1, 50, lengths.sum())
    whole = model.run_into(None, ids, lengths.ravel())
    assert whole.nbytes > 16 << 20 and whole.ctypes.data % lines.LINE_BYTES == 0 == width % lines.LINE_BYTES
    ends = np.cumsum(lengths.ravel()).reshape(lengths.shape)
    for first in (*range(0, samples - PART, samples // 7), samples - PART):
        part = slice(first, first + PART)
        picked = [ids[ends[k, first] - lengths[k, first] : ends[k, first + PART - 1]] for k in range(len(DIMS))]
        small = model.run_into(None, np.concatenate(picked), lengths[:, part].ravel())
        assert small.tobytes() == whole[part].tobytes(), first
    expected = reference.forward(spec, rows, np.concatenate(picked), lengths[:, part].ravel())
    assert reference.different_elements(small, expected) == 0


def test_arrays_begin_at_a_line():
    for shape, dtype in (((3, 5), np.float32), ((1 << 16, 2), np.uint8), ((1000, 100), np.float16), ((0, 7), np.float32)):
        array = lines.empty(shape, dtype)
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable
        assert array.nbytes < lines.ALIGNED_BYTES or array.ctypes.data % lines.LINE_BYTES == 0
