"""What a model on a GPU has to give, in numpy and bit for bit: FBGEMM's numbers on GPUs.

Codes become half floats by one rounding, `f16(q * scale + bias)`, and are summed in float32 in the order of the bag:
`acc + v`, or `fma(v, w, acc)` with a weight. A mean is `acc * (1.0f / length)`; outputs are rounded to nearest, ties to
even. -1 adds nothing but counts in the length.
"""

from typing import Optional

import numpy as np

from trec.quantize import dequantize_rows, unpack_codes
from trec.spec import ARRAY, BITS, HASH_TABLE, HEADER_BYTES, SEQUENCE, ModelSpec, TableSpec, row_bytes
from trec.testing.cuda.models import Batch, Case, Tensors
from trec.testing.reference import fma


def _dequantized(table: TableSpec, rows: np.ndarray) -> np.ndarray:
    dim = table.embedding_dim
    if not table.dtype.startswith("int"):
        return dequantize_rows(rows, table.dtype, dim)
    scale, bias = (rows[:, begin : begin + 2].copy().view(np.float16).astype(np.float64) for begin in (0, 2))
    codes = unpack_codes(rows[:, HEADER_BYTES : row_bytes(dim, table.dtype, 1)], BITS[table.dtype], dim)
    # Exact in float64, so that this is the one rounding.
    return (codes.astype(np.float64) * scale + bias).astype(np.float16).astype(np.float32)


def _rows_of_ids(table: TableSpec, ids: np.ndarray, entries: Optional[np.ndarray]) -> np.ndarray:
    """The row of each id, -1 for none."""
    count = table.num_embeddings or 0
    if table.remap is None or entries is None:
        return np.where(ids == -1, -1, np.where((ids < 0) | (ids >= count), 0, ids))
    if table.remap.kind == ARRAY:
        good = np.where((ids < 0) | (ids >= len(entries)), 0, ids)
        return np.where(ids == -1, -1, entries[good])
    is_hash = table.remap.kind == HASH_TABLE
    known = {int(identifier): int(row) for identifier, row in entries if identifier != -1 or not is_hash}
    if is_hash:
        limit = table.remap.num_ids or 0
        good = np.where((ids == -1) | ((ids >= 0) & (ids < limit)), ids, 0)
        return np.array([-1 if i == -1 else known.get(int(i), -1) for i in good], np.int64)
    return np.array([known.get(int(i), len(entries) - 1) for i in ids], np.int64)


def _narrow(values: np.ndarray, dtype: str) -> np.ndarray:
    """bfloat16 as its bits."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FFF), rounded)


def _pool(
    table: TableSpec, values: np.ndarray, bags: tuple[np.ndarray, np.ndarray], weights: Optional[np.ndarray]
) -> np.ndarray:
    """`bags`: the row of each id of the feature, and the length of each bag; `weights` by id."""
    rows, lengths = bags
    first = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)]) if len(lengths) else lengths
    acc = np.zeros((len(lengths), table.embedding_dim), np.float32)
    for position in range(int(lengths.max(initial=0))):
        at = first + position
        here = np.flatnonzero(lengths > position)
        here = here[rows[at[here]] >= 0]
        added = values[rows[at[here]]]
        if weights is None:
            acc[here] += added
        else:
            spread = np.broadcast_to(weights[at[here], None], added.shape)
            acc[here] = fma(added, spread, acc[here])
    if table.pooling == "mean":
        with np.errstate(divide="ignore"):
            factor = np.where(lengths > 0, np.float32(1) / lengths.astype(np.float32), np.float32(0)).astype(np.float32)
        acc = acc * factor[:, None]
    return acc


def _positions(spec: ModelSpec, tensors: Tensors, feature: str, lengths: np.ndarray) -> Optional[np.ndarray]:
    for weights in spec.position_weights:
        if weights.feature == feature:
            order = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            return tensors.parameters[weights.name][order]
    return None


def _outputs(spec: ModelSpec, tensors: Tensors, batch: Batch) -> dict[str, np.ndarray]:
    """In float32, by key: pooled, or a row for each id."""
    tables = {table.name: table for table in spec.tables}
    lengths = batch.lengths.astype(np.int64).reshape(len(batch.keys), batch.size)
    ends = np.cumsum(lengths.sum(axis=1))
    result = {}
    for output in spec.outputs:
        table, slot = tables[output.table], batch.keys.index(output.feature)
        ids = slice(int(ends[slot] - lengths[slot].sum()), int(ends[slot]))
        entries = tensors.parameters[table.remap.name] if table.remap else None
        rows = _rows_of_ids(table, batch.values[ids].astype(np.int64), entries)
        values = _dequantized(table, tensors.rows[table.name])
        if spec.kind == SEQUENCE:
            result[output.key] = np.where(rows[:, None] >= 0, values[rows], np.float32(0)) + np.float32(0)
            continue
        weights = _positions(spec, tensors, output.feature, lengths[slot])
        if weights is None and batch.weights is not None:
            weights = batch.weights[ids]
        result[output.key] = _pool(table, values, (rows, lengths[slot]), weights)
    return result


def expected(case: Case, tensors: Tensors, batches: list[Batch]) -> dict[str, np.ndarray]:
    """By output key, or by group; bfloat16 as bits."""
    parts = [_outputs(spec, tensors, batch) for spec, batch in zip(case.collections(), batches)]
    dtype = case.spec.output_dtype
    if len(parts) == 1 and not hasattr(case.spec, "groups"):
        return {key: _narrow(np.ascontiguousarray(value), dtype) for key, value in parts[0].items()}
    by_key = {key: value for part in parts for key, value in part.items()}
    return {
        group: _narrow(np.concatenate([by_key[key] for key in keys], axis=1), dtype)
        for group, keys in case.spec.groups.items()
    }
