"""Finds the embedding collections inside a torch module and reads from each what the JSON spec needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Optional

import torch

from trec import refusals
from trec.spec import BAGS, SEQUENCE, ModelSpec, PositionWeightsSpec, outputs_in_order
from trec.torch.kinds import (
    configs_of,
    is_managed,
    is_processed,
    is_quantized,
    is_sequence,
    tables_module,
    walk,
)
from trec.torch.managed_maps import check_managed, managed_map
from trec.torch.place import Place
from trec.torch.positions import ParameterSlot, position_slots
from trec.torch.tables import (
    CollectOptions,
    Table,
    bounds_check,
    check_requested_dtype,
    float_tables,
    quantized_groups,
)
from trec.weights_file import Parameter, Tensor

__all__ = [
    "OUTPUT_DTYPES",
    "CollectOptions",
    "Collection",
    "check_fixed_lengths",
    "collect",
    "find_collections",
]

OUTPUT_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "uint8": torch.uint8,
}
# TorchRec has several names for FBGEMM's INT8, which comes as uint8.
OUTPUT_NAMES = {dtype: name for name, dtype in OUTPUT_DTYPES.items()} | dict.fromkeys(
    (torch.int8, torch.qint8, torch.quint8), "uint8"
)
# The lengths that a batch may come with.
_LONGEST = 2**31 - 1


@dataclass
class Collection:
    """`tables` are parallel to those of the spec."""

    path: str
    module: torch.nn.Module
    spec: ModelSpec
    tables: list[Table]
    positions: dict[str, ParameterSlot] = field(default_factory=dict)

    def tensors(self) -> list[Tensor]:
        """What the weights file holds."""
        if is_processed(self.module) and not self.positions:
            kind = type(processor_of(self.module)).__name__
            raise refusals.PROCESSOR.at(self.path, type=kind)
        parameters = [
            Parameter(weights.name, self.positions[weights.feature].tensor.numpy())
            for weights in self.spec.position_weights
        ]
        maps = [table.map.parameter() for table in self.tables if table.map]
        return [table.rows() for table in self.tables] + parameters + maps


def with_managed_maps(found: Collection) -> Collection:
    """The maps of managed collision modules become maps of the tables."""
    if is_managed(found.module):
        for table in found.tables:
            table.map = managed_map(found.module, found.path, table.spec)
            table.spec.remap = table.map.spec
    return found


def processor_of(module: Any) -> Any:
    return module.feature_processor if is_quantized(module) else module._feature_processors


def check_fixed_lengths(lengths: Optional[Mapping[str, Any]], modules: Any) -> dict[str, int]:
    """Refuses lengths that bags cannot have, and those of features that no collection in a model, or a list, has."""
    result = dict(lengths or {})
    known = _features_in(modules) if result else set()
    for feature, length in result.items():
        # Where there is no collection, that is what is refused.
        if known and feature not in known:
            raise refusals.FIXED_UNKNOWN.at_place("fixed_lengths", feature=feature, features=", ".join(sorted(known)))
        if isinstance(length, bool) or not isinstance(length, Integral) or not 0 <= length <= _LONGEST:
            raise refusals.FIXED_LENGTH.at_place("fixed_lengths", feature=feature, length=length, longest=_LONGEST)
        result[feature] = int(length)
    return result


def _features_in(modules: Any) -> set[str]:
    places = enumerate(modules) if isinstance(modules, (list, tuple)) else [("", modules)]
    return {
        name
        for place, module in places
        if isinstance(module, torch.nn.Module)
        for _, collection in walk(module, str(place))
        for config in configs_of(collection)
        for name in config.feature_names
    }


def find_collections(module: torch.nn.Module, options: CollectOptions) -> list[Collection]:
    if not isinstance(module, torch.nn.Module):
        raise refusals.NOT_A_MODULE.at("", type=type(module).__name__)
    found = [collect(item, path, options) for path, item in walk(module)]
    if not found:
        raise refusals.NO_COLLECTION.at("", type=type(module).__name__)
    return found


def collect(module: Any, path: str, options: CollectOptions) -> Collection:
    outputs = []
    if is_managed(module):
        check_managed(module, path)
    if is_quantized(module):
        groups = quantized_groups(module, path)
        tables = [table for group in groups for table in group]
        outputs = outputs_in_order([[table.spec for table in group] for group in groups])
    else:
        tables = float_tables(module, path, options)
    if not tables:
        raise refusals.NO_TABLES.at(path)
    _check_place(module, tables, (path, options.place))
    spec = ModelSpec(
        tables=[table.spec for table in tables],
        name=path.rpartition(".")[2] or "model",
        weighted=False if is_sequence(module) else tables_module(module).is_weighted(),
        output_dtype=_output_name(module, path, options),
        bounds_check=options.bounds_check or (bounds_check(module, path) if is_quantized(module) else "warning"),
        outputs=outputs,
        kind=SEQUENCE if is_sequence(module) else BAGS,
    )
    spec.fixed_lengths = {name: options.fixed_lengths[name] for name in spec.features if name in options.fixed_lengths}
    if is_quantized(module):
        check_requested_dtype(tables, path, options)
    _check_stored_rows(spec, path)
    by_name = {table.spec.name: table for table in tables}
    in_order = [by_name[table.name] for table in spec.tables]
    return Collection(path, module, spec, in_order, _fuse_positions(module, path, spec))


def _check_place(module: Any, tables: list[Table], at: tuple[str, Place]) -> None:
    """Rows are on the CPU, or where the compiled module is to be."""
    path, place = at
    elsewhere = [table for table in tables if not place.has(table.tensor)]
    for table in elsewhere:
        if not table.tensor.is_cpu:
            raise refusals.OTHER_DEVICE.at(path, table.spec.name, device=table.tensor.device)
    if place.gpu is not None and is_managed(module):
        raise refusals.MANAGED_ON_GPU.at(path)
    if elsewhere and len(getattr(tables_module(module), "tbes", [])):
        raise refusals.TBES_ELSEWHERE.at(path, device=place)


def _fuse_positions(module: Any, path: str, spec: ModelSpec) -> dict[str, ParameterSlot]:
    """Makes weights by position part of the model where its processor allows it."""
    slots: Optional[dict[str, ParameterSlot]] = None
    if is_processed(module) and spec.weighted:
        slots = position_slots(processor_of(module), spec.features)
    if not slots:
        return {}
    spec.weighted = False
    spec.position_weights = [PositionWeightsSpec(name, slot.tensor.numel()) for name, slot in slots.items()]
    for weights in spec.position_weights:
        length = spec.fixed_lengths.get(weights.feature, 0)
        if length > weights.length:
            raise refusals.FIXED_PAST_WEIGHTS.at(path, feature=weights.feature, length=length, count=weights.length)
    return slots


def _output_name(module: Any, path: str, options: CollectOptions) -> str:
    """What the outputs hold."""
    if is_quantized(module):
        dtype = module.output_dtype()
        name = OUTPUT_NAMES.get(dtype)
    else:
        dtype = name = options.output_dtype or "float32"
        if name not in OUTPUT_DTYPES:
            raise refusals.OUTPUT_UNKNOWN.at(path, dtype=name, types=", ".join(OUTPUT_DTYPES))
    if name is None and is_sequence(module):
        raise refusals.OUTPUT_OF_ROWS.at(path, dtype=dtype)
    if name in (None, "uint8") and not is_sequence(module):
        raise refusals.OUTPUT_OF_BAGS.at(path, dtype=dtype)
    if options.output_dtype not in (None, name):
        raise refusals.OUTPUT_CONFLICT.at(path, dtype=name, requested=options.output_dtype)
    return name


def _check_stored_rows(spec: ModelSpec, path: str) -> None:
    for table in spec.tables:
        if spec.output_dtype == "uint8" and table.dtype != "int8":
            raise refusals.STORED_ROWS.at(path, table.name, dtype=table.dtype)
