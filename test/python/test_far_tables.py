"""Tables that no machine keeps near, whose rows are fetched far ahead: the bits, and no id is read behind the last."""

import ctypes
import mmap

import numpy as np
import pytest
from test_parity import supported_levels

import trec
from trec.exporter import write_model
from trec.spec import ModelSpec, TableSpec
from trec.testing import reference

# Up to 8 MiB are near on some Intel CPUs; above that AMD's have longer rows of floats leave in groups of 64.
BYTES = (1 << 20, 9 << 20)
# Rows of one line, two, three, four, five and six, of which the last leave in groups on every CPU.
KINDS = (("int8", 32), ("int4", 128), ("int8", 128), ("fp16", 128), ("int8", 256), ("fp16", 192))
# Around the 64 ids that rows are fetched ahead, and more than are fetched before a kernel is called.
COUNTS = (63, 65, 128, 129, 144, 145, 193, 257, 1000)
BATCH = 9


@pytest.fixture(scope="module")
def at_end_of_memory():
    """Gives a copy of an array behind whose last byte nothing can be read."""
    libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    memory = mmap.mmap(-1, 5 * page)
    end = np.frombuffer(memory, np.uint8)[: 4 * page]
    assert libc.mprotect(ctypes.c_void_p(end.ctypes.data + end.size), ctypes.c_size_t(page), 0) == 0

    def place(array):
        placed = end[end.size - array.nbytes :].view(array.dtype)
        placed[:] = array
        return placed

    yield place
    libc.mprotect(ctypes.c_void_p(end.ctypes.data + end.size), ctypes.c_size_t(page), mmap.PROT_READ | mmap.PROT_WRITE)


# Of a few ids in a bag on the average more than are fetched at once: AMD's CPUs call the kernel block by block.
FEW, SAMPLES, LONG = 4, 900, 1500


def compiled(folder, level, dtype, dim, table_bytes):
    """The loaded model of one far table, its spec and its rows."""
    row_bytes = TableSpec("t", 1, dim, dtype, ["f"], "sum", row_alignment=16).row_bytes
    table = TableSpec("t", table_bytes // row_bytes + 1, dim, dtype, ["f"], "sum", row_alignment=16)
    spec = ModelSpec([table])
    write_model(spec, None, folder)
    so = trec.compile(folder / "model.mlir", folder / "model.so", cpu=level)
    rows = {"t": np.random.default_rng(3).integers(0, 60, (table.num_embeddings, row_bytes), np.uint8)}
    return trec.load(so, rows), spec, rows


@pytest.mark.parametrize("level", supported_levels())
@pytest.mark.parametrize("dtype, dim", KINDS)
@pytest.mark.parametrize("table_bytes", BYTES)
@pytest.mark.parametrize("ids_type", [np.int32, np.int64])
def test_no_id_is_read_behind_the_last(tmp_path, at_end_of_memory, level, dtype, dim, table_bytes, ids_type):
    model, spec, rows = compiled(tmp_path, level, dtype, dim, table_bytes)
    random = np.random.default_rng(4)
    for count in COUNTS:
        ids = at_end_of_memory(random.integers(0, len(rows["t"]), count).astype(ids_type))
        cuts = np.sort(random.integers(0, count + 1, BATCH - 1))
        lengths = np.diff(np.concatenate([[0], cuts, [count]]))
        pooled = model.run_into(None, ids, lengths)
        assert reference.different_elements(pooled, reference.forward(spec, rows, ids, lengths)) == 0, count


@pytest.mark.parametrize("dtype, dim", KINDS)
def test_bags_of_a_few_ids_but_for_one(tmp_path, at_end_of_memory, dtype, dim):
    model, spec, rows = compiled(tmp_path, "native", dtype, dim, BYTES[0])
    random = np.random.default_rng(5)
    for long in (None, 0, SAMPLES // 2, SAMPLES - 1):
        lengths = random.integers(0, FEW, SAMPLES)
        if long is not None:
            lengths[long] = LONG
        ids = at_end_of_memory(random.integers(0, len(rows["t"]), lengths.sum()).astype(np.int32))
        pooled = model.run_into(None, ids, lengths)
        assert reference.different_elements(pooled, reference.forward(spec, rows, ids, lengths)) == 0, long
