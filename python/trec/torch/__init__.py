"""Compiled models as torch modules: drop-ins for torchrec.quant's embedding bag collections."""

import os
import tempfile
from pathlib import Path
from typing import Any, Optional, Union

import torch
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, PoolingType

from trec.compiler import compile as compile_directory
from trec.errors import ExportError, WeightsError
from trec.exporter import write_model
from trec.library import open_library
from trec.spec import ModelSpec, OutputSpec, TableSpec, row_bytes
from trec.torch.collect import Collection, CollectOptions, QuantCollection, collect, is_collection, walk
from trec.torch.module import CompiledEmbeddingBagCollection, Interface
from trec.weights_file import read_weights

__all__ = ["CompiledEmbeddingBagCollection", "compile", "load", "replace"]

_DATA_TYPES = {
    "fp32": DataType.FP32,
    "fp16": DataType.FP16,
    "int8": DataType.INT8,
    "int4": DataType.INT4,
    "int2": DataType.INT2,
}
DType = Union[None, str, dict[str, str]]


def _build(spec: ModelSpec, cpu: str, gpu: Optional[str]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="trec-") as directory:
        write_model(spec, None, directory)
        output = Path(directory, "model.so")
        return compile_directory(Path(directory, "model.mlir"), output, cpu=cpu, gpu=gpu).read_bytes()


def _configs(found: Collection) -> list[EmbeddingBagConfig]:
    """The module's own configs, with the types that its tables are quantized to."""
    configs = found.module.embedding_bag_configs()
    if isinstance(found.module, QuantCollection):
        return configs
    return [
        EmbeddingBagConfig(**{**vars(config), "data_type": _DATA_TYPES[table.spec.dtype]})
        for config, table in zip(configs, found.tables)
    ]


def _interface(found: Collection) -> Interface:
    module = found.module
    tbes = [
        {name: tensor for name, tensor in tbe.state_dict(keep_vars=True).items()} for tbe in getattr(module, "tbes", [])
    ]
    return Interface(
        spec=found.spec,
        configs=_configs(found),
        is_split=getattr(module, "__quant_state_dict_split_scale_bias", False),
        row_alignment=getattr(module, "row_alignment", 16),
        tbe_buffers=tbes,
    )


def _compile(found: Collection, cpu: str, gpu: Optional[str]) -> CompiledEmbeddingBagCollection:
    so = _build(found.spec, cpu, gpu)
    rows = {table.spec.name: table.stored() for table in found.tables}
    return CompiledEmbeddingBagCollection(so, _interface(found), rows).train(found.module.training)


def compile(
    module: torch.nn.Module,
    *,
    dtype: DType = None,
    output_dtype: Optional[str] = None,
    cpu: str = "native",
    gpu: Optional[str] = None,
    bounds_check: Optional[str] = None,
) -> CompiledEmbeddingBagCollection:
    """Compiles a quantized collection, or a float one with `dtype`, to a module with the same interface.

    A quantized module's rows are used where they are. Keys come in torchrec.quant's order.
    """
    if not is_collection(module):
        list(walk(module))
        raise ExportError(f"expected an EmbeddingBagCollection, got {type(module).__name__}; use trec.torch.replace")
    return _compile(collect(module, "", CollectOptions(dtype, output_dtype, bounds_check)), cpu, gpu)


def replace(
    model: torch.nn.Module,
    *,
    dtype: DType = None,
    output_dtype: Optional[str] = None,
    cpu: str = "native",
    gpu: Optional[str] = None,
    bounds_check: Optional[str] = None,
) -> torch.nn.Module:
    """Swaps every collection inside `model` for its compiled one, in place, and returns the model.

    Nothing is changed where any of them is refused. A float collection is left alone without `dtype`.
    """
    options = CollectOptions(dtype, output_dtype, bounds_check)
    wanted = {path: module for path, module in walk(model) if dtype is not None or isinstance(module, QuantCollection)}
    if not wanted:
        raise ExportError(f"{type(model).__name__} holds no quantized collection; quantize it or pass dtype=")
    compiled: dict[int, CompiledEmbeddingBagCollection] = {}
    for path, module in wanted.items():
        if id(module) not in compiled:
            compiled[id(module)] = _compile(collect(module, path, options), cpu, gpu)
    for path, module in wanted.items():
        if not path:
            return compiled[id(module)]
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, compiled[id(module)])
    return model


def load(
    path: Union[str, "os.PathLike[str]"],
    weights: Union[None, str, "os.PathLike[str]"] = None,
    *,
    cpu: str = "native",
) -> CompiledEmbeddingBagCollection:
    """A module from a `.so` or an exported directory and its weights file, which is mapped, not read.

    Edits in place stay in memory.
    """
    path = Path(path)
    if path.is_dir():
        source = Path(weights or path / "model.safetensors")
        with tempfile.TemporaryDirectory(prefix="trec-") as directory:
            so = compile_directory(path / "model.mlir", Path(directory, "model.so"), cpu=cpu).read_bytes()
            metadata = open_library(Path(directory, "model.so")).metadata
    else:
        source = Path(weights or path.with_suffix(".safetensors"))
        metadata = open_library(path).metadata
        so = path.read_bytes()
    if not source.exists():
        raise WeightsError(f"weights of '{path}' are not at '{source}', pass weights=")
    arrays = read_weights(source)
    spec = _spec_of_metadata(metadata, arrays)
    rows = {table.name: torch.from_numpy(arrays[table.name]) for table in spec.tables}
    configs = [_config_of_table(table) for table in spec.tables]
    alignment = spec.tables[0].row_alignment
    return CompiledEmbeddingBagCollection(so, Interface(spec, configs, row_alignment=alignment), rows)


def _spec_of_metadata(metadata: dict[str, Any], arrays: dict[str, Any]) -> ModelSpec:
    keys = metadata["output"]["keys"]
    outputs = [OutputSpec(key["key"], key["table"], key["feature"]) for key in keys]
    poolings = {key["table"]: key["pooling"] for key in keys}
    tables = []
    for table in metadata["tables"]:
        expected = row_bytes(table["dim"], table["dtype"], table["row_alignment"])
        rows = arrays.get(table["name"])
        if rows is None or rows.ndim != 2 or rows.shape[1] != expected:
            got = "none" if rows is None else str(list(rows.shape))
            raise WeightsError(f"table '{table['name']}': expected rows of {expected} bytes, got {got}")
        features = list(dict.fromkeys(output.feature for output in outputs if output.table == table["name"]))
        tables.append(
            TableSpec(
                table["name"],
                rows.shape[0],
                table["dim"],
                table["dtype"],
                features,
                poolings[table["name"]],
                table["row_alignment"],
            )  # fmt: skip
        )
    return ModelSpec(
        tables, metadata["name"], metadata["features"], metadata["weighted"], metadata["output"]["dtype"],
        metadata["bounds_check"], outputs,
    )  # fmt: skip


def _config_of_table(table: TableSpec) -> EmbeddingBagConfig:
    return EmbeddingBagConfig(
        name=table.name,
        num_embeddings=table.num_embeddings or 0,
        embedding_dim=table.embedding_dim,
        feature_names=list(table.features),
        data_type=_DATA_TYPES[table.dtype],
        pooling=PoolingType.SUM if table.pooling == "sum" else PoolingType.MEAN,
    )
