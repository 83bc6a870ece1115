"""The meaning of a model, written in numpy as FBGEMM's CPU kernels compute it: bit for bit, and slowly.

All in float32, ids of a bag in order; -1 is skipped but counts in the length that MEAN divides by.
"""

from typing import Optional

import numpy as np

from trec.quantize import dequantize_rows, unpack_codes
from trec.spec import BITS, HEADER_BYTES, ModelSpec, TableSpec, row_bytes


def fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a * b + c in float32 with one rounding.

    The product is exact in float64. Its sum with c is rounded to odd there, which makes the second rounding harmless.
    """
    product = a.astype(np.float64) * b.astype(np.float64)
    addend = c.astype(np.float64)
    total = product + addend
    rest = total - product
    error = (product - (total - rest)) + (addend - rest)
    bits = np.ascontiguousarray(total).view(np.int64)
    inexact = np.isfinite(total) & (error != 0) & (bits & 1 == 0)
    step = np.where((error > 0) == (total > 0), 1, -1)
    return np.where(inexact, (bits + step).view(np.float64), total).astype(np.float32)


def _pool_row(acc: np.ndarray, row: np.ndarray, table: TableSpec, weight: Optional[np.float32]) -> np.ndarray:
    dim = table.embedding_dim
    if not table.dtype.startswith("int"):
        values = dequantize_rows(row[None], table.dtype, dim)[0]
        return acc + values if weight is None else fma(np.full(dim, weight), values, acc)
    scale, bias = row[:HEADER_BYTES].copy().view(np.float16).astype(np.float32)
    if weight is not None:
        scale, bias = scale * weight, bias * weight
    packed = row[None, HEADER_BYTES : row_bytes(dim, table.dtype, 1)]
    codes = unpack_codes(packed, BITS[table.dtype], dim)[0].astype(np.float32)
    return fma(codes, np.full(dim, scale), acc + bias)


def _pool_bag(table: TableSpec, rows: np.ndarray, ids: np.ndarray, weights: Optional[np.ndarray]) -> np.ndarray:
    acc = np.zeros(table.embedding_dim, np.float32)
    for position, identifier in enumerate(ids):
        if identifier == -1:
            continue
        row = rows[identifier if 0 <= identifier < len(rows) else 0]
        acc = _pool_row(acc, row, table, None if weights is None else weights[position])
    if table.pooling == "mean" and len(ids):
        acc = acc * (np.float32(1) / np.float32(len(ids)))
    return acc


def forward(
    spec: ModelSpec,
    rows: dict[str, np.ndarray],
    values: np.ndarray,
    lengths: np.ndarray,
    weights: Optional[np.ndarray] = None,
) -> np.ndarray:
    """`[B, total_dim]` for ids in the order of `spec.features`; bad ids take row 0. bfloat16 comes as uint16 bits."""
    tables = {table.name: table for table in spec.tables}
    batch = len(lengths) // len(spec.features)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    columns = []
    with np.errstate(all="ignore"):
        for output in spec.outputs:
            first = spec.features.index(output.feature) * batch
            table = tables[output.table]
            block = np.empty((batch, table.embedding_dim), np.float32)
            for sample in range(batch):
                bag = slice(offsets[first + sample], offsets[first + sample + 1])
                block[sample] = _pool_bag(
                    table, rows[table.name], values[bag], None if weights is None else weights[bag]
                )
            columns.append(block)
        return _narrow(np.concatenate(columns, axis=1), spec.output_dtype)


def _narrow(values: np.ndarray, dtype: str) -> np.ndarray:
    """bfloat16 as its bits: rounded half up in magnitude, not to even."""
    if dtype == "bfloat16":
        return ((values.view(np.uint32).astype(np.uint64) + 0x8000) >> 16).astype(np.uint16)
    return values.astype(dtype)


def _widen(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.uint32) << 16).view(np.float32) if values.dtype == np.uint16 else values


def different_elements(got: np.ndarray, expected: np.ndarray) -> int:
    """Elements whose bits differ; any NaN equals any other. uint16 stands for bfloat16."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return max(got.size, expected.size, 1)
    bits = np.dtype(f"i{got.dtype.itemsize}")
    both_nan = np.isnan(_widen(got)) & np.isnan(_widen(expected))
    return int(((np.ascontiguousarray(got).view(bits) != np.ascontiguousarray(expected).view(bits)) & ~both_nan).sum())
