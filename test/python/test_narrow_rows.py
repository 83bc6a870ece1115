"""Rows of a few columns, of every number of them: what is packed and spread, and where a row of the output ends."""

import numpy as np
import pytest
from test_parity import supported_levels

import trec
from trec.exporter import write_model
from trec.spec import ModelSpec, TableSpec
from trec.testing import reference

ROWS = 30
DIMS = (*range(1, 40), 60, 63, 64, 65, 100)
# Of these the last byte has fewer codes than there is room for.
ODD = (1, 2, 3, 5, 6, 7, 9, 11, 13, 15, 17, 21, 23, 29, 31, 35, 63)


def make(directory, level, dtype, alignment, dims):
    tables = [TableSpec(f"t{dim}", ROWS, dim, dtype, [f"f{dim}"], "sum", row_alignment=alignment) for dim in dims]
    spec = ModelSpec(tables)
    write_model(spec, None, directory)
    so = trec.compile(directory / "model.mlir", directory / "model.so", cpu=level)
    random = np.random.default_rng(1)
    rows = {t.name: random.integers(0, 60, (ROWS, t.row_bytes)).astype(np.uint8) for t in tables}
    return spec, rows, trec.load(so, rows, bounds_check="warning")


def check(spec, rows, model):
    """All bits, and nothing before or behind the output."""
    random = np.random.default_rng(2)
    # Steps of four rows, some of which have an id without a row, and what is left over.
    lengths = random.integers(0, 11, (len(spec.tables), 9))
    ids = random.integers(0, ROWS, lengths.sum())
    ids[random.random(ids.size) < 0.05] = -1
    ids[random.random(ids.size) < 0.02] = ROWS
    width = sum(table.embedding_dim for table in spec.tables)
    around = np.full(9 * width + 32, -7.0, np.float32)
    output = around[16:-16].reshape(9, width)
    model.run_into(output, ids, lengths.ravel())
    assert (around[:16] == -7).all() and (around[-16:] == -7).all()
    expected = reference.forward(spec, rows, ids, lengths.ravel())
    assert reference.different_elements(output, expected) == 0


@pytest.mark.parametrize("level", supported_levels())
@pytest.mark.parametrize("dtype, alignment", [("int2", 1), ("int4", 1), ("int2", 16), ("int4", 16), ("int8", 1), ("fp16", 2)])
def test_every_number_of_columns(tmp_path, level, dtype, alignment):
    check(*make(tmp_path, level, dtype, alignment, DIMS))


@pytest.mark.parametrize("level", supported_levels())
@pytest.mark.parametrize("dtype", ["int2", "int4"])
@pytest.mark.parametrize("dim", ODD)
def test_nothing_is_written_behind_a_row(tmp_path, level, dtype, dim):
    check(*make(tmp_path, level, dtype, 16, (dim,)))
