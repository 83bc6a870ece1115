"""From a collection to the parts of the compiled module that takes its place."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, Optional, Union

import torch
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection

from trec.compiler import compile as compile_directory
from trec.cuda import native_chip
from trec.errors import WeightsError
from trec.exporter import write_model
from trec.runtime import check_parameter
from trec.spec import SEQUENCE, ModelSpec, OutputSpec, PositionWeightsSpec, RegroupSpec, RemapSpec, TableSpec, row_bytes
from trec.torch.collect import Collection, CollectOptions, collect, processor_of
from trec.torch.compiled import Interface, Parts
from trec.torch.kinds import (
    QuantSequence,
    configs_of,
    is_managed,
    is_processed,
    is_quantized,
    is_sequence,
    tables_module,
)
from trec.torch.place import CPU, Place
from trec.torch.tables import Table

# TorchRec has no name for FBGEMM's own fp8; NFP8 is the one that GPUs have.
DATA_TYPES = {
    "fp32": DataType.FP32,
    "fp16": DataType.FP16,
    "int8": DataType.INT8,
    "int4": DataType.INT4,
    "int2": DataType.INT2,
    "bf16": DataType.BF16,
    "fp8": DataType.NFP8,
}
POSITION_WEIGHTS = "position_weights."
# Attributes that TorchRec's inference code looks for by name.
_MARKS = (
    "__quant_state_dict_split_scale_bias",
    "__register_tbes_in_named_modules",
    "__cache_features_order",
    "_return_remapped_features",
)


@dataclasses.dataclass
class Target:
    cpu: str = "native"
    gpu: Optional[str] = None
    numerics: str = "fbgemm"
    place: Place = CPU

    def __post_init__(self) -> None:
        if self.place.gpu is not None and self.gpu is None:
            self.gpu = native_chip(self.place.gpu)


def build(spec: Union[ModelSpec, RegroupSpec], target: Target) -> bytes:
    with tempfile.TemporaryDirectory(prefix="trec-") as directory:
        write_model(spec, None, directory)
        output = Path(directory, "model.so")
        options = {"cpu": target.cpu, "gpu": target.gpu, "numerics": target.numerics}
        path = compile_directory(Path(directory, "model.mlir"), output, **options)
        return path.read_bytes()


def _configs(found: Collection) -> list[Any]:
    """The module's own configs, with the types that its tables are quantized to."""
    configs = configs_of(found.module)
    if is_quantized(found.module):
        return configs
    specs = {table.name: table for table in found.spec.tables}
    return [_quantized_config(config, specs[config.name]) for config in configs]


def _quantized_config(config: Any, spec: TableSpec) -> Any:
    changes: dict[str, Any] = {"data_type": DATA_TYPES[spec.dtype]}
    if spec.num_embeddings != config.num_embeddings:
        changes["num_embeddings_post_pruning"] = spec.num_embeddings
    return dataclasses.replace(config, **changes)


def _interface(found: Collection) -> Interface:
    owner = tables_module(found.module)
    return Interface(
        spec=found.spec,
        configs=_configs(found),
        is_split=getattr(owner, "__quant_state_dict_split_scale_bias", False),
        row_alignment=found.tables[0].spec.row_alignment,
        marks={name: getattr(owner, name) for name in _MARKS if hasattr(owner, name)},
        need_indices=is_sequence(owner) and owner.need_indices(),
        output_dtype=owner.output_dtype() if is_quantized(found.module) else None,
    )


def parts_of(found: Collection, target: Optional[Target] = None) -> Parts:
    target = target or Target()
    return parts_around(build(found.spec, target), found, target.place)


def parts_around(so: bytes, found: Collection, place: Place = CPU) -> Parts:
    """With a library that was compiled before, of `found.spec`."""
    rows = place.put_tables({table.spec.name: table.stored() for table in found.tables})
    children = {name: place.put_module(child) for name, child in _children_of(found.module).items()}
    maps = {name: place.put(tensor) for name, tensor in _maps_of(found.tables).items()}
    return Parts(so, _interface(found), rows, children, maps, _tbes_of([found]), place)


def _children_of(module: Any) -> dict[str, torch.nn.Module]:
    if is_processed(module):
        return {"feature_processor": processor_of(module)}
    if is_managed(module):
        return {"_managed_collision_collection": module._managed_collision_collection}
    return {}


def _maps_of(tables: list[Table]) -> dict[str, torch.Tensor]:
    return {table.map.spec.name: table.map.entries for table in tables if table.map}


def _tbes_of(found: list[Collection]) -> list[torch.nn.Module]:
    return [tbe for part in found for tbe in getattr(tables_module(part.module), "tbes", [])]


def parts_of_module(module: Any) -> Parts:
    return parts_of(collect(module, "", CollectOptions()))


def parts_of_sequence(tables: list[EmbeddingConfig], *args: Any, **kwargs: Any) -> Parts:
    """From the arguments of torchrec.quant's EmbeddingCollection, but for tables of any dims."""
    if len({table.embedding_dim for table in tables}) <= 1:
        return parts_of_module(QuantSequence(tables, *args, **kwargs))
    by_dim: dict[int, list[EmbeddingConfig]] = {}
    for table in tables:
        by_dim.setdefault(table.embedding_dim, []).append(table)
    found = [collect(QuantSequence(group, *args, **kwargs), "", CollectOptions()) for group in by_dim.values()]
    merged = {table.spec.name: table for part in found for table in part.tables}
    first = found[0].spec
    spec = ModelSpec(
        [merged[table.name].spec for table in tables], output_dtype=first.output_dtype, bounds_check=first.bounds_check,
        kind=SEQUENCE,
    )  # fmt: skip
    interface = _interface(dataclasses.replace(found[0], spec=spec))
    interface.configs = tables
    rows = {name: table.stored() for name, table in merged.items()}
    return Parts(
        build(spec, Target()), interface, rows, maps=_maps_of(list(merged.values())), tbes=_tbes_of(found)
    )


def parts_of_files(so: bytes, metadata: dict[str, Any], arrays: dict[str, Any], place: Place = CPU) -> Parts:
    """From a compiled collection and the arrays of its weights file."""
    spec = spec_of_metadata(metadata, arrays)
    rows = place.put_tables({table.name: torch.as_tensor(arrays[table.name]) for table in spec.tables})
    configs = [_config_of_table(table, spec.kind) for table in spec.tables]
    interface = Interface(spec, configs, row_alignment=spec.tables[0].row_alignment)
    names = [table.remap.name for table in spec.tables if table.remap]
    maps = {name: place.put(torch.from_numpy(arrays[name])) for name in names}
    children = {name: place.put_module(child) for name, child in _processor_of_arrays(spec, arrays).items()}
    return Parts(so, interface, rows, children, maps, place=place)


def _processor_of_arrays(spec: ModelSpec, arrays: dict[str, Any]) -> dict[str, torch.nn.Module]:
    if not spec.position_weights:
        return {}
    processor = PositionWeightedModuleCollection({w.feature: w.length for w in spec.position_weights})
    with torch.no_grad():
        for weights in spec.position_weights:
            array = arrays.get(weights.name)
            if array is None or array.shape != (weights.length,) or array.dtype != "float32":
                got = "none" if array is None else f"{array.dtype}{list(array.shape)}"
                raise WeightsError(f"parameter '{weights.name}': expected float32[{weights.length}], got {got}")
            processor.position_weights[weights.feature].copy_(torch.from_numpy(array.copy()))
    return {"feature_processor": processor}


def _remaps_of_metadata(metadata: dict[str, Any], arrays: dict[str, Any]) -> dict[str, RemapSpec]:
    """By table; with the numbers of entries that the arrays have."""
    remaps = {}
    parameters = {parameter["name"]: parameter for parameter in metadata["parameters"]}
    for key in metadata["output"]["keys"]:
        if "remap" not in key:
            continue
        name = key["remap"]
        if name not in arrays:
            raise WeightsError(f"parameter '{name}' is missing, got {sorted(arrays)}")
        check_parameter(parameters[name], arrays[name])
        remaps[key["table"]] = RemapSpec(
            name, parameters[name]["map"], arrays[name].shape[0], parameters[name].get("num_ids")
        )
    return remaps


def _is_stored(rows: torch.Tensor) -> bool:
    """Gaps between rows are for GPUs alone."""
    return rows.dtype is torch.uint8 and rows.stride(1) == 1 and (rows.is_cuda or rows.is_contiguous())


def spec_of_metadata(metadata: dict[str, Any], arrays: dict[str, Any]) -> ModelSpec:
    keys = metadata["output"]["keys"]
    outputs = [OutputSpec(key["key"], key["table"], key["feature"]) for key in keys]
    poolings = {key["table"]: key["pooling"] for key in keys}
    tables = []
    remaps = _remaps_of_metadata(metadata, arrays)
    for table in metadata["tables"]:
        expected = row_bytes(table["dim"], table["dtype"], table["row_alignment"])
        rows = arrays.get(table["name"])
        if rows is None or rows.ndim != 2 or rows.shape[1] != expected:
            got = "none" if rows is None else str(list(rows.shape))
            raise WeightsError(f"table '{table['name']}': expected rows of {expected} bytes, got {got}")
        if isinstance(rows, torch.Tensor) and not _is_stored(rows):
            got = f"{str(rows.dtype).removeprefix('torch.')}{list(rows.shape)} with strides {list(rows.stride())}"
            raise WeightsError(f"table '{table['name']}': expected rows of bytes without gaps, got {got}")
        features = [output.feature for output in outputs if output.table == table["name"]]
        tables.append(
            TableSpec(
                table["name"],
                rows.shape[0],
                table["dim"],
                table["dtype"],
                features,
                poolings[table["name"]],
                table["row_alignment"],
                remaps.get(table["name"]),
            )  # fmt: skip
        )
    positions = [
        PositionWeightsSpec(parameter["name"].removeprefix(POSITION_WEIGHTS), parameter["count"], parameter["name"])
        for parameter in metadata["parameters"]
        if "map" not in parameter
    ]
    return ModelSpec(
        tables, metadata["name"], metadata["features"], metadata["weighted"], metadata["output"]["dtype"],
        metadata["bounds_check"], outputs, kind=metadata["kind"], position_weights=positions,
        fixed_lengths={key["feature"]: key["fixed_length"] for key in keys if "fixed_length" in key},
    )  # fmt: skip


def _config_of_table(table: TableSpec, kind: str) -> Any:
    common: dict[str, Any] = {
        "name": table.name,
        "num_embeddings": table.num_embeddings or 0,
        "embedding_dim": table.embedding_dim,
        "feature_names": list(table.features),
        "data_type": DATA_TYPES[table.dtype],
    }
    if kind == SEQUENCE:
        return EmbeddingConfig(**common)
    return EmbeddingBagConfig(**common, pooling=PoolingType.SUM if table.pooling == "sum" else PoolingType.MEAN)
