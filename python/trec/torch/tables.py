"""Reads the tables of a collection: their shapes, and where their rows are."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import numpy as np
import torch
from fbgemm_gpu.split_embedding_configs import SparseType
from torchrec.modules.embedding_configs import PoolingType

from trec import refusals
from trec.quantize import CHUNK_ELEMENTS, quantize_rows
from trec.spec import BITS, BOUNDS_CHECKS, TableSpec
from trec.torch.kinds import configs_of, is_sequence, tables_module
from trec.torch.maps import Map, maps_of
from trec.torch.place import CPU, Place
from trec.weights_file import TableRows, array_chunks

_WEIGHTS_NAMES = {
    SparseType.FP32: "fp32",
    SparseType.FP16: "fp16",
    SparseType.INT8: "int8",
    SparseType.INT4: "int4",
    SparseType.INT2: "int2",
    SparseType.FP8: "fp8",
}
_POOLINGS = {PoolingType.SUM: "sum", PoolingType.MEAN: "mean"}
# FBGEMM's BoundsCheckMode; the modes from 4 on check nothing on its CPU path.
_BOUNDS_MODES = dict(enumerate(BOUNDS_CHECKS))
# What torchrec.quant's quant_prep_* functions and set_pruning_data leave on a float module.
_ROW_ALIGNMENT = "__register_row_alignment_in_named_modules"
_ROWS_POST_PRUNING = "__emb_name_to_num_rows_post_pruning"
_FLOAT_TYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass
class CollectOptions:
    """`dtype` and `output_dtype` are for float collections; `bounds_check` overrides every module's own policy.

    `fixed_lengths` says by feature how many ids every bag of it has.
    """

    dtype: Union[None, str, dict[str, str]] = None
    output_dtype: Optional[str] = None
    bounds_check: Optional[str] = None
    place: Place = CPU
    fixed_lengths: dict[str, int] = field(default_factory=dict)


@dataclass
class Table:
    """One table and the tensor that its rows come from: stored rows, or float rows still to be quantized."""

    spec: TableSpec
    tensor: torch.Tensor
    is_stored: bool
    map: Optional[Map] = None

    def chunks(self) -> Iterator[Any]:
        """In pieces, so that a large table never exists twice."""
        tensor = self.tensor.detach().cpu()
        if self.is_stored:
            yield from array_chunks(tensor.numpy())
            return
        step = max(1, CHUNK_ELEMENTS // max(1, tensor.shape[1]))
        for begin in range(0, tensor.shape[0], step):
            yield quantize_rows(
                _as_array(tensor[begin : begin + step]), self.spec.dtype, self.spec.row_alignment, begin
            )

    def rows(self) -> TableRows:
        return TableRows(self.spec.name, self.tensor.shape[0], self.spec.row_bytes, self.chunks)

    def stored(self) -> torch.Tensor:
        """`uint8[rows, row_bytes]`: the module's own memory where it holds stored rows."""
        if self.is_stored:
            return self.tensor
        result = torch.empty((self.tensor.shape[0], self.spec.row_bytes), dtype=torch.uint8)
        begin = 0
        for chunk in self.chunks():
            result[begin : begin + len(chunk)] = torch.from_numpy(chunk)
            begin += len(chunk)
        return result


def _as_array(tensor: torch.Tensor) -> np.ndarray:
    # numpy has no bfloat16, and float32 holds every one.
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _pooling(config: Any, path: str) -> str:
    # A config without pooling is one of an EmbeddingCollection.
    if getattr(config, "pooling", PoolingType.SUM) not in _POOLINGS:
        raise refusals.POOLING.at(path, config.name, pooling=config.pooling.name)
    return _POOLINGS[getattr(config, "pooling", PoolingType.SUM)]


def _check_table(config: Any, path: str) -> None:
    if getattr(config, "use_virtual_table", False):
        raise refusals.VIRTUAL_TABLE.at(path, config.name)
    if not config.feature_names:
        raise refusals.NO_FEATURES.at(path, config.name)


def groups(module: Any) -> Iterator[tuple[Any, Any, Any]]:
    for (key, configs), tbe in zip(module._key_to_tables.items(), module._emb_modules):
        yield key, configs, tbe


def quantized_groups(module: Any, path: str) -> list[list[Table]]:
    """The tables of a quantized collection as they lie in its TBEs."""
    result = []
    for key, configs, tbe in groups(module):
        if key[1]:
            raise refusals.VIRTUAL_TABLE.at(path, configs[0].name)
        if not tbe.weight_initialized or tbe.current_device.type == "meta":
            raise refusals.NOT_INITIALIZED.at(path, configs[0].name)
        _check_fp8(tbe, configs, path)
        stored = tbe.split_embedding_weights_with_scale_bias(split_scale_bias_mode=0)
        place = (path, tbe.row_alignment)
        tables = [
            _quantized_table(config, specification, rows, place)
            for config, specification, (rows, _, _) in zip(configs, tbe.embedding_specs, stored)
        ]
        for table, found in zip(tables, maps_of(tbe, [config.name for config in configs])):
            table.map = found
            table.spec.remap = found and found.spec
        result.append(tables)
    return result


def _check_fp8(tbe: Any, configs: Any, path: str) -> None:
    if tbe.max_float8_D and (tbe.fp8_exponent_bits, tbe.fp8_exponent_bias) != (4, 7):
        raise refusals.FP8_FORMAT.at(path, configs[0].name, bits=tbe.fp8_exponent_bits, bias=tbe.fp8_exponent_bias)


def _quantized_table(config: Any, specification: Any, rows: torch.Tensor, place: tuple[str, int]) -> Table:
    path, row_alignment = place
    _check_table(config, path)
    _, num_rows, dim, weights_type, _ = specification
    dtype = _WEIGHTS_NAMES.get(weights_type)
    if dtype is None:
        raise refusals.STORED_TYPE.at(path, config.name, type=weights_type, types=", ".join(BITS))
    spec = TableSpec(
        config.name, num_rows, dim, dtype, list(config.feature_names), _pooling(config, path), row_alignment
    )
    _check_alignment(spec, path)
    return Table(spec, rows, is_stored=True)


def _check_alignment(spec: TableSpec, path: str) -> None:
    element = max(1, BITS[spec.dtype] // 8)
    if spec.dtype.startswith("int") or spec.row_bytes % element == 0:
        return
    raise refusals.ALIGNMENT.at(
        path, spec.name, alignment=spec.row_alignment, row_bytes=spec.row_bytes, dtype=spec.dtype, element=element
    )


def bounds_check(module: Any, path: str) -> str:
    modes = {tbe.bounds_check_mode_int for _, _, tbe in groups(module)}
    if len(modes) != 1 or not modes <= _BOUNDS_MODES.keys():
        raise refusals.BOUNDS_MODES.at(path, modes=sorted(modes))
    return _BOUNDS_MODES[modes.pop()]


def check_requested_dtype(tables: list[Table], path: str, options: CollectOptions) -> None:
    for table in tables:
        requested = options.dtype.get(table.spec.name) if isinstance(options.dtype, dict) else options.dtype
        if requested is not None and requested != table.spec.dtype:
            raise refusals.DTYPE_CONFLICT.at(path, table.spec.name, dtype=table.spec.dtype, requested=requested)


def float_tables(module: Any, path: str, options: CollectOptions) -> list[Table]:
    if options.dtype is None:
        raise refusals.NO_DTYPE.at(path, types=", ".join(BITS))
    owner = tables_module(module)
    holder = owner.embeddings if is_sequence(module) else owner.embedding_bags
    # As from_float of torchrec.quant: a sequence is never pruned.
    pruned = {} if is_sequence(module) else getattr(module, _ROWS_POST_PRUNING, {})
    tables = []
    for config in configs_of(module):
        tensor = _pruned(holder[config.name].weight, pruned.get(config.name), (path, config.name))
        _check_table(config, path)
        if tensor.dtype not in _FLOAT_TYPES:
            raise refusals.FLOAT_TYPE.at(path, config.name, type=tensor.dtype)
        spec = TableSpec(
            name=config.name,
            num_embeddings=tensor.shape[0],
            embedding_dim=config.embedding_dim,
            dtype=_requested_dtype(config.name, path, options),
            features=list(config.feature_names),
            pooling=_pooling(config, path),
            row_alignment=getattr(owner, _ROW_ALIGNMENT, 16),
        )
        _check_alignment(spec, path)
        tables.append(Table(spec, tensor, is_stored=False))
    return tables


def _pruned(tensor: torch.Tensor, rows: Optional[int], place: tuple[str, str]) -> torch.Tensor:
    if rows is None:
        return tensor
    if not 0 <= rows <= tensor.shape[0]:
        raise refusals.PRUNED_PAST_END.at(*place, rows=rows, limit=tensor.shape[0])
    return tensor[:rows]


def _requested_dtype(table: str, path: str, options: CollectOptions) -> str:
    requested = options.dtype.get(table) if isinstance(options.dtype, dict) else options.dtype
    if requested is None:
        raise refusals.DTYPE_MISSING.at(path, table, types=", ".join(BITS))
    if requested not in BITS:
        raise refusals.DTYPE_UNKNOWN.at(path, table, dtype=requested, types=", ".join(BITS))
    return requested
