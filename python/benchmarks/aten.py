"""ATen's quantized embedding_bag: one call for each feature, on rows in ATen's own layout.

Its ops sum, give float32, and take INT8 rows with the scale and the bias in float32 behind the codes, or INT4 and INT2
rows with both in float16 behind them.
"""

from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import torch

from benchmarks.batches import IndexSet
from benchmarks.pages import set_pages
from benchmarks.workload import Workload

# More than this is not copied.
MAX_BYTES = 4 << 30
_OPS = {
    "int8": "embedding_bag_byte_rowwise_offsets",
    "int4": "embedding_bag_4bit_rowwise_offsets",
    "int2": "embedding_bag_2bit_rowwise_offsets",
}
_BITS = {"int8": 8, "int4": 4, "int2": 2}
_CHUNK = 1 << 20


def why_not(workload: Workload) -> Optional[str]:
    """Why ATen cannot run a model, if it cannot."""
    model = workload.model
    if model.kind != "bags" or model.pooling != "sum" or model.output != "float32":
        return "it only sums, to float32"
    if any(table.dtype not in _OPS for table in model.tables):
        return "it has ops for int8, int4 and int2 alone"
    if model.table_bytes > MAX_BYTES:
        return f"its copy of the rows would be larger than {MAX_BYTES >> 30} GiB"
    return None


def pack(rows: np.ndarray, dim: int, dtype: str, pages: str) -> torch.Tensor:
    """The same rows in ATen's layout."""
    codes = dim * _BITS[dtype] // 8
    kind = np.float32 if dtype == "int8" else np.float16
    header = 2 * np.dtype(kind).itemsize
    packed = np.empty((len(rows), codes + header), np.uint8)
    set_pages(packed, pages)
    for begin in range(0, len(rows), _CHUNK):
        part = rows[begin : begin + _CHUNK]
        target = packed[begin : begin + len(part)]
        target[:, :codes] = part[:, 4 : 4 + codes]
        scale_bias = np.ascontiguousarray(part[:, :4]).view(np.float16).astype(kind)
        target[:, codes:] = scale_bias.view(np.uint8)
    return torch.from_numpy(packed)


def aten_peer(
    workload: Workload, sets: list[IndexSet]
) -> Optional[tuple[Callable[..., Any], list[tuple[Any, ...]], Callable[[Any, int], list[np.ndarray]]]]:
    """The function, its arguments for each set, and how to read what it returns; None where ATen cannot."""
    if why_not(workload):
        return None
    model = workload.model
    if workload.aten_rows is None:
        workload.aten_rows = [
            pack(rows, table.dim, table.dtype, workload.pages)
            for rows, table in zip(workload.feature_rows, model.feature_tables)
        ]
    packed = workload.aten_rows
    ops = [getattr(torch.ops.quantized, _OPS[table.dtype]) for table in model.feature_tables]

    def run(*calls: Any) -> list[torch.Tensor]:
        return [op(*call) for op, call in zip(ops, calls)]

    arguments = [tuple(_calls(packed, batch)) for batch in sets]
    return run, arguments, lambda results, _: [np.concatenate([r.numpy() for r in results], axis=1)]


def _calls(packed: list[torch.Tensor], batch: IndexSet) -> list[tuple[Any, ...]]:
    size = (len(batch.offsets) - 1) // len(packed)
    calls = []
    for feature, rows in enumerate(packed):
        offsets = batch.offsets[feature * size : (feature + 1) * size + 1]
        begin, end = int(offsets[0]), int(offsets[-1])
        weights = None if batch.weights is None else torch.from_numpy(batch.weights[begin:end])
        ids, bounds = torch.from_numpy(batch.ids[begin:end]), torch.from_numpy(offsets - offsets[0])
        calls.append((rows, ids, bounds, False, 0, False, weights, None, True))
    return calls
