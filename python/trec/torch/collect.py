"""Finds the embedding collections inside a torch module and reads from each what the JSON spec needs.

Everything that trec cannot compile is refused here, before a byte is written, with the module's qualified name, the
table where there is one, the reason and the remedy. Among it are the modules on which TorchRec itself gives quiet
nonsense, such as bags with int8 output.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Optional, Union

import torch
from fbgemm_gpu.split_embedding_configs import SparseType
from torchrec.modules.embedding_configs import PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatCollection
from torchrec.quant.embedding_modules import EmbeddingBagCollection as QuantCollection

from trec.errors import ExportError
from trec.quantize import quantize_chunks
from trec.spec import BITS, BOUNDS_CHECKS, ModelSpec, TableSpec
from trec.weights_file import TableRows, array_chunks

OUTPUT_NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}
OUTPUT_DTYPES = {name: dtype for dtype, name in OUTPUT_NAMES.items()}
_WEIGHTS_NAMES = {
    SparseType.FP32: "fp32",
    SparseType.FP16: "fp16",
    SparseType.INT8: "int8",
    SparseType.INT4: "int4",
    SparseType.INT2: "int2",
}
_POOLINGS = {PoolingType.SUM: "sum", PoolingType.MEAN: "mean"}
# FBGEMM's BoundsCheckMode; the modes from 4 on check nothing on its CPU path.
_BOUNDS_MODES = dict(enumerate(BOUNDS_CHECKS))

_SEQUENCE = "gives one embedding per id, not per bag", "compile the embedding bag collections of the model one by one"
_PROCESSED = "weights ids by position", "apply the feature processor before an EmbeddingBagCollection"
_MANAGED = "remaps ids by a managed collision module", "remap the ids before an EmbeddingBagCollection"
_SHARDED = "is sharded", "compile the unsharded module"
_REFUSED: list[tuple[str, str, tuple[str, str]]] = [
    ("torchrec.modules.mc_embedding_modules", "ManagedCollisionEmbeddingBagCollection", _MANAGED),
    ("torchrec.modules.mc_embedding_modules", "ManagedCollisionEmbeddingCollection", _MANAGED),
    ("torchrec.quant.embedding_modules", "QuantManagedCollisionEmbeddingBagCollection", _MANAGED),
    ("torchrec.quant.embedding_modules", "QuantManagedCollisionEmbeddingCollection", _MANAGED),
    ("torchrec.modules.fp_embedding_modules", "FeatureProcessedEmbeddingBagCollection", _PROCESSED),
    ("torchrec.quant.embedding_modules", "FeatureProcessedEmbeddingBagCollection", _PROCESSED),
    ("torchrec.modules.embedding_modules", "EmbeddingCollection", _SEQUENCE),
    ("torchrec.quant.embedding_modules", "EmbeddingCollection", _SEQUENCE),
    ("torchrec.distributed.types", "ShardedModule", _SHARDED),
]


@dataclass
class CollectOptions:
    """`dtype` and `output_dtype` are for float collections; `bounds_check` overrides every module's own policy."""

    dtype: Union[None, str, dict[str, str]] = None
    output_dtype: Optional[str] = None
    bounds_check: Optional[str] = None


@dataclass
class Table:
    """One table and the tensor that its rows come from: stored rows, or float rows still to be quantized."""

    spec: TableSpec
    tensor: torch.Tensor
    is_stored: bool

    def chunks(self) -> Iterator[Any]:
        array = self.tensor.detach().numpy()
        if self.is_stored:
            return array_chunks(array)
        return quantize_chunks(array, self.spec.dtype, self.spec.row_alignment)

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


@dataclass
class Collection:
    path: str
    module: torch.nn.Module
    spec: ModelSpec
    tables: list[Table]


def refusal(path: str, table: Optional[str], reason: str, remedy: str) -> ExportError:
    place = f"module '{path}'" if path else "module"
    error = ExportError(f"{place}{f', table {table!r}' if table else ''}: {reason}; {remedy}")
    error.table = table
    return error


def _refusal_of_type(module: torch.nn.Module) -> Optional[tuple[str, str]]:
    for place, name, (reason, remedy) in _REFUSED:
        kind = getattr(import_module(place), name, None)
        if kind is not None and isinstance(module, kind):
            return f"{type(module).__name__} {reason}", remedy
    if isinstance(module, (FloatCollection, QuantCollection)):
        return f"{type(module).__name__} is a subclass whose forward may differ", "compile a plain collection"
    return None


def is_collection(module: torch.nn.Module) -> bool:
    return type(module) in (FloatCollection, QuantCollection)


def walk(module: torch.nn.Module, path: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """Supported collections with their qualified names; raises at the first module that must be refused."""
    if is_collection(module):
        yield path, module
        return
    refused = _refusal_of_type(module)
    if refused:
        raise refusal(path, None, *refused)
    for name, child in module.named_children():
        yield from walk(child, f"{path}.{name}" if path else name)


def find_collections(module: torch.nn.Module, options: CollectOptions) -> list[Collection]:
    if not isinstance(module, torch.nn.Module):
        raise ExportError(f"expected a torch.nn.Module, got {type(module).__name__}; pass the model itself")
    found = [collect(item, path, options) for path, item in walk(module)]
    if not found:
        raise refusal("", None, f"{type(module).__name__} holds no embedding bag collection", "pass a model with one")
    return found


def collect(module: torch.nn.Module, path: str, options: CollectOptions) -> Collection:
    tables = (
        _quantized_tables(module, path) if type(module) is QuantCollection else _float_tables(module, path, options)
    )
    if not tables:
        raise refusal(path, None, "it has no tables", "give it one")
    is_quantized = type(module) is QuantCollection
    spec = ModelSpec(
        tables=[table.spec for table in tables],
        name=path.rpartition(".")[2] or "model",
        weighted=module.is_weighted(),
        output_dtype=_output_name(module, path, options),
        bounds_check=options.bounds_check or (_bounds_check(module, path) if is_quantized else "warning"),
    )
    if is_quantized:
        _check_requested_dtype(tables, path, options)
    return Collection(path, module, spec, tables)


def _pooling(config: Any, path: str) -> str:
    if config.pooling not in _POOLINGS:
        reason = f"pooling {config.pooling.name} gives one row per id"
        raise refusal(
            path, config.name, reason, "use an EmbeddingCollection's semantics outside of trec, or SUM or MEAN"
        )
    return _POOLINGS[config.pooling]


def _check_table(config: Any, tensor: torch.Tensor, path: str) -> None:
    if getattr(config, "use_virtual_table", False):
        raise refusal(path, config.name, "virtual tables hold no rows in memory", "set use_virtual_table=False")
    if not config.feature_names:
        raise refusal(path, config.name, "it has no features", "name at least one or drop the table")
    if tensor.device.type != "cpu":
        remedy = "load its weights on the CPU first"
        raise refusal(path, config.name, f"its weights are on device '{tensor.device}'", remedy)


def _quantized_tables(module: Any, path: str) -> list[Table]:
    by_name = {}
    for (_, virtual), configs, tbe in _groups(module):
        if virtual:
            raise refusal(path, configs[0].name, "virtual tables hold no rows in memory", "set use_virtual_table=False")
        _check_remapping(tbe, configs, path)
        if not tbe.weight_initialized or tbe.current_device.type == "meta":
            raise refusal(path, configs[0].name, "its weights are not on the CPU", "load its weights on the CPU first")
        stored = tbe.split_embedding_weights_with_scale_bias(split_scale_bias_mode=0)
        for config, specification, (rows, _, _) in zip(configs, tbe.embedding_specs, stored):
            by_name[config.name] = _quantized_table(config, specification, rows, (path, tbe.row_alignment))
    return [by_name[config.name] for config in module.embedding_bag_configs()]


def _groups(module: Any) -> Iterator[tuple[Any, Any, Any]]:
    for (key, configs), tbe in zip(module._key_to_tables.items(), module._emb_modules):
        yield key, configs, tbe


def _quantized_table(config: Any, specification: Any, rows: torch.Tensor, place: tuple[str, int]) -> Table:
    path, row_alignment = place
    _check_table(config, rows, path)
    _, num_rows, dim, weights_type, _ = specification
    dtype = _WEIGHTS_NAMES.get(weights_type)
    if dtype is None:
        raise refusal(path, config.name, f"weights of type {weights_type}", f"quantize to one of {', '.join(BITS)}")
    spec = TableSpec(
        config.name, num_rows, dim, dtype, list(config.feature_names), _pooling(config, path), row_alignment
    )
    element = max(1, BITS[dtype] // 8) if dtype.startswith("fp") else 1
    if spec.row_bytes % element:
        reason = (
            f"row_alignment {row_alignment} makes rows of {spec.row_bytes} bytes, which FBGEMM misreads for {dtype}"
        )
        raise refusal(path, config.name, reason, f"use a multiple of {element}")
    return Table(spec, rows, is_stored=True)


def _check_remapping(tbe: Any, configs: Any, path: str) -> None:
    for name in ("index_remappings_array", "index_remapping_hash_table"):
        remapping = getattr(tbe, name, None)
        if remapping is not None and remapping.numel():
            raise refusal(
                path, configs[0].name, "pruned ids are remapped", "prune by truncation or remap the ids before"
            )


def _bounds_check(module: Any, path: str) -> str:
    modes = {tbe.bounds_check_mode_int for _, _, tbe in _groups(module)}
    if len(modes) != 1 or not modes <= _BOUNDS_MODES.keys():
        raise refusal(path, None, f"bounds check modes {sorted(modes)}", "pass bounds_check=")
    return _BOUNDS_MODES[modes.pop()]


def _check_requested_dtype(tables: list[Table], path: str, options: CollectOptions) -> None:
    for table in tables:
        requested = options.dtype.get(table.spec.name) if isinstance(options.dtype, dict) else options.dtype
        if requested is not None and requested != table.spec.dtype:
            reason = f"it is quantized to {table.spec.dtype} already, dtype is '{requested}'"
            raise refusal(path, table.spec.name, reason, "leave dtype out or pass the float module")


def _float_tables(module: Any, path: str, options: CollectOptions) -> list[Table]:
    if options.dtype is None:
        remedy = f"pass dtype=, one of {', '.join(BITS)} or a dict by table"
        raise refusal(path, None, "a float collection has no row format", remedy)
    tables = []
    for config in module.embedding_bag_configs():
        tensor = module.embedding_bags[config.name].weight
        _check_table(config, tensor, path)
        if tensor.dtype not in (torch.float32, torch.float16):
            raise refusal(path, config.name, f"weights of type {tensor.dtype}", "convert them to float32 or float16")
        spec = TableSpec(
            name=config.name,
            num_embeddings=tensor.shape[0],
            embedding_dim=config.embedding_dim,
            dtype=_requested_dtype(config.name, path, options),
            features=list(config.feature_names),
            pooling=_pooling(config, path),
        )
        tables.append(Table(spec, tensor, is_stored=False))
    return tables


def _requested_dtype(table: str, path: str, options: CollectOptions) -> str:
    requested = options.dtype.get(table) if isinstance(options.dtype, dict) else options.dtype
    if requested not in BITS:
        remedy = f"expected one of {', '.join(BITS)}"
        raise refusal(
            path, table, "dtype names no type for it" if requested is None else f"dtype '{requested}'", remedy
        )
    return requested


def _output_name(module: Any, path: str, options: CollectOptions) -> str:
    if type(module) is FloatCollection:
        name = options.output_dtype or "float32"
        if name not in OUTPUT_DTYPES:
            raise refusal(path, None, f"output_dtype '{name}'", f"expected one of {', '.join(OUTPUT_DTYPES)}")
        return name
    dtype = module.output_dtype()
    if dtype not in OUTPUT_NAMES:
        reason = f"output type {dtype}, for which FBGEMM's bags are undefined"
        raise refusal(path, None, reason, "use float32, float16 or bfloat16")
    name = OUTPUT_NAMES[dtype]
    if options.output_dtype not in (None, name):
        reason = f"its outputs are {name} already, output_dtype is '{options.output_dtype}'"
        raise refusal(path, None, reason, "leave output_dtype out or pass the float module")
    return name
