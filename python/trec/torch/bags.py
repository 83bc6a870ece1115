"""The `embedding_bags` of a module: named views of stored rows, laid out as torchrec.quant registers them.

Also how rows travel: tables of one TorchRec module share one storage, which must be written once.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torchrec.tensor_types import UInt2Tensor, UInt4Tensor

from trec.spec import HEADER_BYTES, TableSpec, row_bytes

_PACKED = {"int4": UInt4Tensor, "int2": UInt2Tensor}


def _register(bag: torch.nn.Module, table: TableSpec, rows: torch.Tensor, is_split: bool) -> None:
    weight, scale, bias = rows, None, None
    if is_split:
        weight = rows[:, : row_bytes(table.embedding_dim, table.dtype, 1)]
        if table.dtype.startswith("int"):
            scale, bias = (rows[:, begin : begin + 2].view(torch.float16) for begin in (0, 2))
            weight = weight[:, HEADER_BYTES:]
    bag.register_buffer("weight", _PACKED[table.dtype](weight) if table.dtype in _PACKED else weight)
    if is_split:
        bag.register_buffer("weight_qscale", scale)
        bag.register_buffer("weight_qbias", bias)


def make_bags(tables: list[TableSpec], rows: dict[str, torch.Tensor], is_split: bool) -> torch.nn.ModuleDict:
    """The ModuleDict for tables in the order of the original's state_dict."""
    bags = torch.nn.ModuleDict()
    for table in tables:
        bags[table.name] = torch.nn.Module()
        _register(bags[table.name], table, rows[table.name], is_split)
    return bags


def pack_rows(rows: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Each storage once, and where the tables lie in it."""
    storages: dict[int, torch.Tensor] = {}
    places = {}
    for name, tensor in rows.items():
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in storages:
            storages[storage.data_ptr()] = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage)
        index = list(storages).index(storage.data_ptr())
        places[name] = (index, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
    return {"storages": list(storages.values()), "places": places}


def unpack_rows(packed: dict[str, Any]) -> dict[str, torch.Tensor]:
    result = {}
    for name, (index, offset, shape, stride) in packed["places"].items():
        result[name] = torch.as_strided(packed["storages"][index], shape, stride, offset)
    return result


def rows_of_tbes(tbes: Iterable[Any]) -> dict[str, torch.Tensor]:
    """Views of the rows of each table in FBGEMM's modules of lookups."""
    result = {}
    for tbe in tbes:
        stored = tbe.split_embedding_weights_with_scale_bias(split_scale_bias_mode=0)
        result.update({specification[0]: rows for specification, (rows, _, _) in zip(tbe.embedding_specs, stored)})
    return result
