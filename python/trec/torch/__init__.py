"""Compiled models as torch modules: drop-ins for torchrec.quant's collections."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from torchrec.modules.regroup import KTRegroupAsDict

from trec import refusals
from trec.compiler import compile as compile_directory
from trec.cuda import device_index
from trec.errors import WeightsError
from trec.library import Placement, open_library
from trec.spec import REGROUP
from trec.torch.build import Target, parts_of, parts_of_files
from trec.torch.build import build as build_library
from trec.torch.classes import class_for
from trec.torch.collect import Collection, CollectOptions, check_fixed_lengths, collect
from trec.torch.fuse import fuse_regroups
from trec.torch.kinds import is_collection, is_quantized, walk
from trec.torch.managed import (
    CompiledManagedCollisionEmbeddingBagCollection,
    CompiledManagedCollisionEmbeddingCollection,
)
from trec.torch.module import CompiledEmbeddingBagCollection
from trec.torch.place import Place
from trec.torch.processed import CompiledFeatureProcessedEmbeddingBagCollection
from trec.torch.regroup import Regroup, collect_regroup
from trec.torch.regroup_files import regrouped_of_files
from trec.torch.regrouped import CompiledRegroupedCollections, RegroupParts
from trec.torch.sequence import CompiledEmbeddingCollection
from trec.weights_file import read_weights

__all__ = [
    "CompiledEmbeddingBagCollection",
    "CompiledEmbeddingCollection",
    "CompiledFeatureProcessedEmbeddingBagCollection",
    "CompiledManagedCollisionEmbeddingBagCollection",
    "CompiledManagedCollisionEmbeddingCollection",
    "CompiledRegroupedCollections",
    "compile",
    "load",
    "replace",
]

DType = Union[None, str, dict[str, str]]


def _compile(found: Collection, target: Target) -> Any:
    parts = parts_of(found, target)
    result = class_for(parts).of_parts(parts)
    for child in result.modules():
        if not any(child is kept for part in parts.children.values() for kept in part.modules()):
            child.training = found.module.training
    return result


def _compile_regroup(found: Regroup, target: Target) -> CompiledRegroupedCollections:
    children = [_compile(item, target) for item in found.collections]
    parts = RegroupParts(build_library(found.spec, target), found.spec, children, found.arguments, found.names)
    result = CompiledRegroupedCollections(parts)
    result.training = any(child.training for child in children)
    return result


def compile(
    module: Any,
    *,
    dtype: DType = None,
    output_dtype: Optional[str] = None,
    cpu: str = "native",
    gpu: Optional[str] = None,
    device: Any = "cpu",
    placement: Placement = Placement(),
    bounds_check: Optional[str] = None,
    regroup: Optional[KTRegroupAsDict] = None,
    batches: Optional[Sequence[int]] = None,
    numerics: str = "fbgemm",
    fixed_lengths: Optional[Mapping[str, int]] = None,
) -> Any:
    """Compiles a quantized collection, or a float one with `dtype`, to a module with the same interface.

    A quantized module's rows are used where they are. Keys come in torchrec.quant's order. With `regroup` several
    collections and the KTRegroupAsDict behind them become one module, which takes a KeyedJaggedTensor for each
    collection, or, with `batches`, that many-th for each, and returns the dict of tensors. `numerics="relaxed"` gives
    up FBGEMM's last bits for faster sums, as `trec-compile --numerics=relaxed` does. `fixed_lengths` is a promise about
    batches, as that of `trec.export`.

    With `device` "cuda" or "cuda:N" the module works on that GPU, on torch's current stream and with rows there, which
    are copied unless they are; `gpu` names the chips to compile for, by default the one of the device. `placement` says
    which tables stay in pinned host memory; its `device_bytes` are those of tables.
    """
    place = Place(device_index(device), placement)
    options = CollectOptions(dtype, output_dtype, bounds_check, place, check_fixed_lengths(fixed_lengths, module))
    target = Target(cpu, gpu, numerics, place)
    if regroup is not None:
        return _compile_regroup(collect_regroup(module, regroup, batches, options), target)
    if batches is not None:
        raise refusals.BATCHES_ALONE.at_place("batches")
    if not is_collection(module):
        list(walk(module))
        raise refusals.NOT_A_COLLECTION.at("", type=type(module).__name__)
    list(walk(module))
    return _compile(collect(module, "", options), target)


def replace(
    model: torch.nn.Module,
    *,
    dtype: DType = None,
    output_dtype: Optional[str] = None,
    cpu: str = "native",
    gpu: Optional[str] = None,
    device: Any = "cpu",
    placement: Placement = Placement(),
    bounds_check: Optional[str] = None,
    fuse_regroup: bool = False,
    numerics: str = "fbgemm",
    fixed_lengths: Optional[Mapping[str, int]] = None,
) -> torch.nn.Module:
    """Swaps every collection inside `model` for its compiled one, in place, and returns the model.

    Nothing is changed where any of them is refused. A float collection is left alone without `dtype`. With
    `fuse_regroup` the model is traced by torch.fx, each KTRegroupAsDict becomes one module with its collections, and
    what comes back is a GraphModule. `numerics`, `device`, `gpu`, `placement` and `fixed_lengths` are those of
    `compile`; a placement is for each collection, a length for each that has the feature.
    """
    place = Place(device_index(device), placement)
    options = CollectOptions(dtype, output_dtype, bounds_check, place, check_fixed_lengths(fixed_lengths, model))
    target = Target(cpu, gpu, numerics, place)
    if fuse_regroup:
        model = fuse_regroups(
            model,
            lambda modules, regroup, batches: _compile_regroup(
                collect_regroup(modules, regroup, batches, options), target
            ),
        )
        if not any(dtype is not None or is_quantized(module) for _, module in walk(model)):
            return model
    wanted = {path: module for path, module in walk(model) if dtype is not None or is_quantized(module)}
    if not wanted:
        raise refusals.NOTHING_QUANTIZED.at("", type=type(model).__name__)
    compiled: dict[int, Any] = {}
    for path, module in wanted.items():
        if id(module) not in compiled:
            compiled[id(module)] = _compile(collect(module, path, options), target)
    for path, module in wanted.items():
        if not path:
            return compiled[id(module)]
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, compiled[id(module)])
    return model


def load(
    path: Union[str, "os.PathLike[str]"],
    weights: Union[None, str, "os.PathLike[str]", Mapping[str, Any]] = None,
    *,
    cpu: str = "native",
    gpu: Optional[str] = None,
    device: Any = "cpu",
    placement: Placement = Placement(),
) -> Any:
    """A module from a `.so` or an exported directory and its weights file, which is mapped, not read.

    Edits in place stay in memory. `weights` may also be a mapping: tensors `uint8[rows, row_bytes]` by table, which are
    used where they lie, and arrays by parameter. The collections of a model that regroups are compiled anew, for `cpu`
    and `gpu`.
    """
    path, place = Path(path), Place(device_index(device), placement)
    if path.is_dir():
        target = Target(cpu, gpu, place=place)
        beside = path / "model.safetensors"
        with tempfile.TemporaryDirectory(prefix="trec-") as directory:
            so = compile_directory(path / "model.mlir", Path(directory, "model.so"), cpu=cpu, gpu=target.gpu).read_bytes()
            metadata = open_library(Path(directory, "model.so")).metadata
    else:
        beside = path.with_suffix(".safetensors")
        metadata = open_library(path).metadata
        so = path.read_bytes()
    if isinstance(weights, Mapping):
        tables = {table["name"] for table in metadata["tables"]}
        arrays = {name: value if name in tables else np.asarray(value) for name, value in weights.items()}
    else:
        source = Path(weights or beside)
        if not source.exists():
            raise WeightsError(f"weights of '{path}' are not at '{source}', pass weights=")
        arrays = read_weights(source)
    if metadata["kind"] == REGROUP:
        return CompiledRegroupedCollections(regrouped_of_files(so, metadata, arrays, Target(cpu, gpu, place=place)))
    parts = parts_of_files(so, metadata, arrays, place)
    return class_for(parts).of_parts(parts)
