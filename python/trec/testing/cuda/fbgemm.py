"""FBGEMM's own operator on the GPU, on the rows and batches of a case: the peer that bits are compared with."""

import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

from trec.spec import SEQUENCE, TableSpec
from trec.testing.cuda.models import Batch, Case, Tensors

_TYPES = {"fp32": "FP32", "fp16": "FP16", "int8": "INT8", "int4": "INT4", "int2": "INT2"}
_OUTPUTS = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}
# Bytes of a row that its kernels take at most.
_WIDEST = {"INT2": 1024, "INT4": 2048, "INT8": 4096, "FP16": 8192, "FP32": 8192}


def add_package(path: Optional[str]) -> None:
    """Puts a packed FBGEMM on sys.path: an archive, which is unpacked for this process, or a folder."""
    if path is None:
        return
    folder = Path(path)
    if folder.is_file():
        folder = Path(tempfile.mkdtemp(prefix="trec-fbgemm-"))
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    sys.path[:0] = [str(child) for child in (folder, *folder.iterdir()) if child.is_dir()]


def is_there() -> Optional[str]:
    """None where FBGEMM can be used, else why not."""
    try:
        import fbgemm_gpu  # noqa: F401
        from fbgemm_gpu import split_table_batched_embeddings_ops_inference  # noqa: F401
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _is_taken(table: TableSpec) -> bool:
    kind = _TYPES.get(table.dtype, "")
    step = {"INT8": 4, "INT4": 8, "INT2": 16, "FP16": 2, "FP32": 1}.get(kind, 1)
    return (
        kind in _WIDEST and table.remap is None and table.row_alignment == 16
        and table.embedding_dim % step == 0 and table.row_bytes <= _WIDEST[kind]
    )  # fmt: skip


def _is_stored(table: TableSpec, output_dtype: str) -> bool:
    """Whether all columns of the output are those that were summed.

    `VecNT<16, PrimitiveType::INT>::store(float *)` in vecn.cuh counts the columns of its sums in float4, so that of
    each 16 columns of float32 only the first four are the sums and the others come from beyond them.
    """
    return (table.dtype, output_dtype) != ("int2", "float32")


def takes(case: Case) -> bool:
    """Whether FBGEMM can do all that the case does."""
    if hasattr(case.spec, "groups") or case.numerics != "fbgemm" or case.spec.position_weights:
        return False
    return all(_is_taken(table) and _is_stored(table, case.spec.output_dtype) for table in case.spec.tables)


class Peer:
    """The tables of one collection, by pooling; None where FBGEMM cannot do what the case does."""

    def __init__(self, case: Case, tensors: Tensors) -> None:
        from fbgemm_gpu.split_embedding_configs import SparseType
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode, EmbeddingLocation, PoolingMode
        from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen

        self.spec = case.spec
        modes = {"sum": PoolingMode.SUM, "mean": PoolingMode.MEAN}
        self._groups: list[tuple[list[Any], Any]] = []
        tables = {table.name: table for table in self.spec.tables}
        for name, mode in modes.items():
            is_sequence = self.spec.kind == SEQUENCE
            used = [table for table in self.spec.tables if (name == "sum" if is_sequence else table.pooling == name)]
            outputs = [item for item in self.spec.outputs if tables[item.table] in used]
            if not outputs:
                continue
            # Without pooling FBGEMM wants one dim: a module for each output.
            parts = [[item] for item in outputs] if is_sequence else [outputs]
            for part in parts:
                own = list(dict.fromkeys(item.table for item in part))
                tbe = IntNBitTableBatchedEmbeddingBagsCodegen(
                    [(t, tables[t].num_embeddings, tables[t].embedding_dim, SparseType[_TYPES[tables[t].dtype]],
                      EmbeddingLocation.DEVICE) for t in own],
                    feature_table_map=[own.index(item.table) for item in part],
                    pooling_mode=PoolingMode.NONE if is_sequence else mode,
                    output_dtype=SparseType[_OUTPUTS[self.spec.output_dtype]],
                    bounds_check_mode=BoundsCheckMode.WARNING, row_alignment=16, device=torch.device("cuda"),
                )  # fmt: skip
                tbe.initialize_weights()
                stored = tbe.split_embedding_weights_with_scale_bias(split_scale_bias_mode=0)
                for table, (rows, _, _) in zip(own, stored):
                    rows.copy_(torch.from_numpy(tensors.rows[table]))
                self._groups.append((part, tbe))

    @classmethod
    def of(cls, case: Case, tensors: Tensors) -> Optional["Peer"]:
        return cls(case, tensors) if takes(case) else None

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        if batch.size == 0:
            return {}
        lengths = batch.lengths.astype(np.int64).reshape(len(batch.keys), batch.size)
        ends = np.cumsum(lengths.sum(axis=1))
        tables = {table.name: table for table in self.spec.tables}
        result: dict[str, np.ndarray] = {}
        for outputs, tbe in self._groups:
            slots = [batch.keys.index(item.feature) for item in outputs]
            parts = [slice(int(ends[slot] - lengths[slot].sum()), int(ends[slot])) for slot in slots]
            ids = torch.from_numpy(np.concatenate([batch.values[part] for part in parts])).cuda()
            if self.spec.kind == SEQUENCE and not len(ids):
                continue
            offsets = np.concatenate([[0], np.cumsum(np.concatenate([lengths[slot] for slot in slots]))])
            weights = None
            if batch.weights is not None:
                weights = torch.from_numpy(np.concatenate([batch.weights[part] for part in parts])).cuda()
            # Of one type with the ids, and int32 as TorchRec passes them; bad ids are overwritten.
            out = tbe(ids.int(), torch.from_numpy(offsets.astype(np.int32)).cuda(), weights)
            array = as_array(out)
            column = 0
            for item in outputs:
                dim = tables[item.table].embedding_dim
                result[item.key] = array[:, column : column + dim]
                column += dim
        return result


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """numpy has no bfloat16: its bits."""
    tensor = tensor.detach().cpu()
    return tensor.view(torch.uint16).numpy() if tensor.dtype is torch.bfloat16 else tensor.numpy()
