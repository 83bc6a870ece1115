"""`trec.export`: a torch module to directories of readable IR and weights."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from trec import refusals
from trec.compiler import run_tool
from trec.spec import ModelSpec, RegroupSpec
from trec.weights_file import Tensor, write_weights

PathLike = Union[str, "os.PathLike[str]"]


def write_model(spec: Union[ModelSpec, RegroupSpec], tensors: Optional[Sequence[Tensor]], directory: PathLike) -> None:
    """`model.mlir` and, where tensors are given, `model.safetensors` in `directory`, which is made with its parents."""
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    if tensors is not None:
        write_weights(target / "model.safetensors", tensors)
        spec.weights = "model.safetensors"
    with tempfile.NamedTemporaryFile("w", dir=target, prefix=".spec-", suffix=".json", encoding="utf-8") as file:
        file.write(spec.to_json())
        file.flush()
        run_tool("trec-import", file.name, "-o", target, *([] if tensors is not None else ["--no-weights"]))


def export(
    module: Any,
    dir: PathLike,
    *,
    dtype: Union[None, str, dict[str, str]] = None,
    output_dtype: Optional[str] = None,
    bounds_check: Optional[str] = None,
    dynamic_rows: bool = False,
    regroup: Any = None,
    batches: Optional[Sequence[int]] = None,
    fixed_lengths: Optional[Mapping[str, int]] = None,
) -> list[Path]:
    """Writes `model.mlir` and `model.safetensors` for each supported collection in `module`; returns the directories.

    A collection given directly goes to `dir`, one inside a model to `dir/<its qualified name>`. A float collection
    needs `dtype`: one of fp32, fp16, bf16, fp8, int8, int4, int2, or a dict by table. `bounds_check` overrides the
    module's own. With `dynamic_rows` the weights file says how many rows each table and entries each map has, so that a
    retrained model needs no new code; ids that a hash table lacks are then pruned ones, however large they are.

    With `regroup`, a KTRegroupAsDict, `module` is a list of collections that become one model in `dir`; `batches` says
    for each which batch of the model it reads, by default one of its own.

    `fixed_lengths` is a promise, by feature: every bag of it has so many ids. Code for GPUs then loads ids without
    waiting for offsets. It is checked at every call, and a batch that breaks it is an error.
    """
    from trec.torch.collect import CollectOptions, check_fixed_lengths, find_collections, with_managed_maps
    from trec.torch.regroup import collect_regroup

    lengths = check_fixed_lengths(fixed_lengths, module)
    options = CollectOptions(dtype, output_dtype, bounds_check, fixed_lengths=lengths)
    if regroup is not None:
        regrouped = collect_regroup(module, regroup, batches, options)
        if dynamic_rows:
            regrouped.spec.leave_rows_open()
        write_model(regrouped.spec, regrouped.tensors(), dir)
        return [Path(dir)]
    if batches is not None:
        raise refusals.BATCHES_ALONE.at_place("batches")
    found = [with_managed_maps(item) for item in find_collections(module, options)]
    directories = []
    for item in found:
        target = Path(dir, item.path) if item.path else Path(dir)
        if dynamic_rows:
            item.spec.leave_rows_open()
        write_model(item.spec, item.tensors(), target)
        directories.append(target)
    return directories
