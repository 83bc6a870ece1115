"""Reads several collections and the KTRegroupAsDict behind them: one model, whose outputs are the groups."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

import torch
from torchrec.modules.embedding_configs import DataType
from torchrec.modules.regroup import KTRegroupAsDict

from trec import refusals
from trec.spec import ModelSpec, OutputSpec, PositionWeightsSpec, RegroupSpec
from trec.torch.collect import Collection, CollectOptions, collect
from trec.torch.kinds import is_collection, is_managed, is_processed, is_sequence, walk
from trec.weights_file import Parameter, TableRows, Tensor

_EMB_DTYPES = {DataType.FP32: "float32", DataType.FP16: "float16", DataType.BF16: "bfloat16"}


@dataclass
class Regroup:
    """`names` says which tensor of which collection a tensor of the model is."""

    spec: RegroupSpec
    collections: list[Collection]
    # The argument of forward that each collection reads.
    arguments: list[int]
    names: dict[str, tuple[int, str]]

    def tensors(self) -> list[Tensor]:
        """What the weights file holds."""
        found = [{tensor.name: tensor for tensor in item.tensors()} for item in self.collections]
        return [_renamed(found[index][name], new) for new, (index, name) in self.names.items()]


def _renamed(tensor: Tensor, name: str) -> Tensor:
    if isinstance(tensor, TableRows):
        return TableRows(name, tensor.rows, tensor.row_bytes, tensor.chunks)
    return Parameter(name, tensor.array)


def collect_regroup(
    modules: Any, regroup: Any, batches: Optional[Sequence[int]], options: CollectOptions
) -> Regroup:
    """Refuses what the model cannot be, or what TorchRec leaves undefined."""
    if type(regroup) is not KTRegroupAsDict:
        raise refusals.NOT_A_REGROUP.at_place("regroup", type=type(regroup).__name__)
    groups = _groups_of(regroup)
    found = [_collect(module, str(index), options) for index, module in enumerate(_as_list(modules))]
    arguments = _arguments(batches, len(found))
    _check_keys(found, groups)
    specs = [_pruned(item, groups) for item in found]
    names = _rename(specs)
    spec = RegroupSpec(
        specs, _model_batches(found, arguments), groups, output_dtype=_output_dtype(found, regroup),
        bounds_check=_agreed(found, [item.spec.bounds_check for item in found], refusals.REGROUP_BOUNDS),
    )  # fmt: skip
    return Regroup(spec, found, arguments, names)


def _as_list(modules: Any) -> list[Any]:
    result = list(modules) if isinstance(modules, (list, tuple, torch.nn.ModuleList)) else [modules]
    if not result:
        raise refusals.NOTHING_TO_REGROUP.at_place("regroup")
    return result


def _groups_of(regroup: KTRegroupAsDict) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    if not regroup._keys:
        raise refusals.NO_GROUPS.at_place("KTRegroupAsDict")
    for name, keys in zip(regroup._keys, regroup._groups):
        if name in groups:
            raise refusals.GROUP_TWICE.at_place("KTRegroupAsDict", group=name)
        if not keys:
            raise refusals.GROUP_EMPTY.at_place("KTRegroupAsDict", group=name)
        groups[name] = list(keys)
    return groups


def _collect(module: Any, path: str, options: CollectOptions) -> Collection:
    if isinstance(module, torch.nn.Module):
        list(walk(module, path))
    if not is_collection(module):
        raise refusals.REGROUP_OTHER.at(path, type=type(module).__name__)
    if is_sequence(module):
        raise refusals.REGROUP_ROWS.at(path)
    if is_managed(module):
        raise refusals.REGROUP_MANAGED.at(path)
    return collect(module, path, options)


def _arguments(batches: Optional[Sequence[int]], count: int) -> list[int]:
    """Which argument of forward each collection reads; by default each has its own."""
    if batches is None:
        return list(range(count))
    result = [int(batch) for batch in batches]
    if len(result) != count or set(result) != set(range(max(result, default=0) + 1)):
        raise refusals.REGROUP_BATCHES.at_place("batches", count=count, batches=result)
    return result


def _check_keys(found: list[Collection], groups: dict[str, list[str]]) -> None:
    """A key must say which lookup is meant. TorchRec takes the last of several, or raises, by the way it goes."""
    owners: dict[str, list[str]] = {}
    for item in found:
        for output in item.spec.outputs:
            owners.setdefault(output.key, []).append(item.path)
    for group, keys in groups.items():
        for key in keys:
            places = owners.get(key, [])
            if len(places) == 1:
                continue
            place = f"KTRegroupAsDict, group '{group}', key '{key}'"
            if places:
                modules = " and ".join(f"'{path}'" for path in dict.fromkeys(places))
                error = refusals.KEY_TWICE.at_place(place, modules=modules)
            else:
                error = refusals.KEY_MISSING.at_place(place, keys=", ".join(sorted(owners)))
            error.feature = key
            raise error


def _pruned(item: Collection, groups: dict[str, list[str]]) -> ModelSpec:
    """The collection without what no group uses: it is not looked up, and its ids are not checked."""
    used = {key for keys in groups.values() for key in keys}
    outputs = [output for output in item.spec.outputs if output.key in used]
    if not outputs:
        raise refusals.REGROUP_UNUSED.at(item.path)
    features = {output.feature for output in outputs}
    tables = []
    for table in item.spec.tables:
        kept = [output.feature for output in outputs if output.table == table.name]
        if kept:
            tables.append(replace(table, features=kept))
    return replace(
        item.spec,
        tables=tables,
        outputs=outputs,
        features=[feature for feature in item.spec.features if feature in features],
        position_weights=[weights for weights in item.spec.position_weights if weights.feature in features],
        fixed_lengths={name: length for name, length in item.spec.fixed_lengths.items() if name in features},
    )


def _rename(specs: list[ModelSpec]) -> dict[str, tuple[int, str]]:
    """Gives tensors of several collections names that differ, and says what each stands for.

    Tables come before parameters, as in the compiled model.
    """
    tables: dict[str, tuple[int, str]] = {}
    parameters: dict[str, tuple[int, str]] = {}
    for index, spec in enumerate(specs):
        new = {table.name: _free(table.name, index, {**tables, **parameters}) for table in spec.tables}
        tables.update({name: (index, old) for old, name in new.items()})
        weights_names = {weights.name: weights.name for weights in spec.position_weights}
        remap_names = {table.remap.name: table.remap.name for table in spec.tables if table.remap}
        for names in (weights_names, remap_names):
            for old in names:
                names[old] = _free(old, index, {**tables, **parameters})
                parameters[names[old]] = (index, old)
        spec.position_weights = [
            PositionWeightsSpec(weights.feature, weights.length, weights_names[weights.name])
            for weights in spec.position_weights
        ]
        remaps = [table.remap and replace(table.remap, name=remap_names[table.remap.name]) for table in spec.tables]
        spec.tables = [
            replace(table, name=new[table.name], remap=remap) for table, remap in zip(spec.tables, remaps)
        ]
        spec.outputs = [OutputSpec(output.key, new[output.table], output.feature) for output in spec.outputs]
    return {**tables, **parameters}


def _free(name: str, index: int, taken: dict[str, Any]) -> str:
    while name in taken:
        name = f"{index}.{name}"
    return name


def _model_batches(found: list[Collection], arguments: list[int]) -> list[int]:
    """The batch of the model that each collection reads: what its processor makes in Python is one of its own."""
    owners = [index if runs_in_python(item) else -1 for index, item in enumerate(found)]
    keys = list(zip(arguments, owners))
    order = list(dict.fromkeys(keys))
    return [order.index(key) for key in keys]


def runs_in_python(item: Collection) -> bool:
    """Whether a feature processor makes the weights of its batch."""
    return is_processed(item.module) and not item.spec.position_weights


def _agreed(found: list[Collection], values: list[str], refused: refusals.Refusal) -> str:
    for item, value in zip(found, values):
        if value != values[0]:
            raise refused.at(item.path, value=value, first=values[0])
    return values[0]


def _output_dtype(found: list[Collection], regroup: KTRegroupAsDict) -> str:
    """The type of the groups. A cast behind the lookups is part of them where it rounds as they would."""
    given = [item.spec.output_dtype for item in found]
    if regroup._emb_dtype is None:
        return _agreed(found, given, refusals.REGROUP_OUTPUTS)
    wanted = _EMB_DTYPES.get(regroup._emb_dtype)
    for item, dtype in zip(found, given):
        if dtype == wanted or (dtype, wanted) == ("float32", "float16"):
            continue
        raise refusals.REGROUP_CAST.at(item.path, dtype=dtype, wanted=wanted or regroup._emb_dtype.value)
    return str(wanted)
