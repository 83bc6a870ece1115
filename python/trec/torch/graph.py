"""What a compiled module becomes where it is traced by torch.fx or scripted: operators on tensors, `trec::pool` and
`trec::look_up`, which take the library and the rows as tensors, so that a saved program carries them.

Inside a traced model a compiled module is a leaf. It is traced where it is the root, or scripted; then its graph has
TorchRec's own nodes around the operators (`_get_kjt_keys`, `_get_unflattened_lengths`, `_get_batching_hinted_output`),
because those who batch requests look for them. A process that runs such a program must import `trec.torch`.
"""

import threading
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary
from torchrec.modules.utils import construct_jagged_tensors_inference
from torchrec.quant import embedding_modules as quant
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from trec.library import library_from_bytes

_BATCH = "Tensor library, Tensor[] tensors, str[] keys, Tensor values, Tensor lengths, Tensor? weights, int stride"
_OPERATORS = torch.library.Library("trec", "DEF")
_OPERATORS.define(f"pool({_BATCH}) -> Tensor")
_OPERATORS.define(f"look_up({_BATCH}, bool need_indices) -> (Tensor[], Tensor[])")

_TENSOR = "_library_tensor"
# By the library's tensor: a program that is gone takes its modules along.
_modules = WeakTensorKeyDictionary()
_lock = threading.Lock()


def _make_module(library: torch.Tensor, tensors: list[torch.Tensor], need_indices: bool) -> Any:
    from trec.torch.build import parts_of_files
    from trec.torch.classes import class_for

    so = library.numpy().tobytes()
    opened = library_from_bytes(so)
    names = [entry["name"] for entry in [*opened.tables, *opened.parameters]]
    by_name = dict(zip(names, tensors))
    parts = parts_of_files(so, opened.metadata, {name: tensor.numpy() for name, tensor in by_name.items()})
    parts.interface.need_indices = need_indices
    for weights in parts.interface.spec.position_weights:
        # The program's own, not a copy.
        shared = torch.nn.Parameter(by_name[weights.name], requires_grad=False)
        parts.children["feature_processor"].position_weights[weights.feature] = shared
    return class_for(parts).of_parts(parts)


def _module_for(library: torch.Tensor, tensors: list[torch.Tensor], need_indices: bool = False) -> Any:
    """Made by the first call, and again where the rows have moved."""
    identity = [need_indices, *(tensor.data_ptr() for tensor in tensors)]
    with _lock:
        known = _modules.get(library)
        if known is None or known[0] != identity:
            known = _modules[library] = identity, _make_module(library, tensors, need_indices)
    return known[1]


def _batch(keys: list[str], values: Any, lengths: Any, weights: Any, stride: int) -> KeyedJaggedTensor:
    return KeyedJaggedTensor(keys, values, weights=weights, lengths=lengths, stride=stride)


def _pool_on_cpu(library: Any, tensors: Any, *batch: Any) -> torch.Tensor:
    return _module_for(library, tensors)(_batch(*batch)).values()


def _look_up_on_cpu(library: Any, tensors: Any, *batch: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    *batch, need_indices = batch
    found = _module_for(library, tensors, need_indices)(_batch(*batch)).values()
    # An operator must not return its arguments or parts of them.
    ids = [jagged.weights().clone() for jagged in found] if need_indices else []
    return [jagged.values() for jagged in found], ids


_OPERATORS.impl("pool", _pool_on_cpu, "CPU")
_OPERATORS.impl("look_up", _look_up_on_cpu, "CPU")


@torch.fx.wrap
def _check_strides(features: KeyedJaggedTensor) -> KeyedJaggedTensor:
    if features.variable_stride_per_key() or features.inverse_indices_or_none() is not None:
        raise ValueError("a traced compiled module takes one number of samples for all keys, and no inverse_indices")
    return features


@torch.fx.wrap
def _pool(
    features: KeyedJaggedTensor, keys: list[str], library: torch.Tensor, tensors: list[torch.Tensor]
) -> torch.Tensor:
    return torch.ops.trec.pool(
        library, tensors, keys, features.values(), features.lengths(), features.weights_or_none(), features.stride()
    )


@torch.fx.wrap
def _look_up(
    features: KeyedJaggedTensor,
    keys: list[str],
    library: torch.Tensor,
    tensors: list[torch.Tensor],
    need_indices: bool,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return torch.ops.trec.look_up(
        library, tensors, keys, features.values(), features.lengths(), None, features.stride(), need_indices
    )


@torch.fx.wrap
def _pick(tensors: list[torch.Tensor], places: list[int]) -> torch.Tensor:
    return torch.cat([tensors[place] for place in places])


@torch.fx.wrap
def _lengths_of(features: KeyedJaggedTensor, keys: list[str], names: list[str]) -> torch.Tensor:
    """The lengths of these features one after the other."""
    lengths = features.lengths().view(len(keys), -1)
    return torch.cat([lengths[keys.index(name)] for name in names])


def _tensors_of(module: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The library, and all that it reads, in its own order."""
    library = module.__dict__.get(_TENSOR)
    if library is None:
        # Kept: a tracer knows the constants that it has met before by their identity.
        library = module.__dict__[_TENSOR] = torch.frombuffer(bytearray(module._so), dtype=torch.uint8)
    tables = [module._rows[table["name"]] for table in module._runtime.library.tables]
    return library, [*tables, *module._runtime.parameters]


def trace_bags(module: Any, features: Any) -> KeyedTensor:
    keys = quant._get_kjt_keys(features)
    values = _pool(_check_strides(features), keys, *_tensors_of(module))
    return KeyedTensor(keys=module._embedding_names, length_per_key=module._length_per_key, values=values)


def trace_sequences(module: Any, features: Any) -> dict[str, JaggedTensor]:
    keys = quant._get_kjt_keys(features)
    features = _check_strides(features)
    found = _look_up(features, keys, *_tensors_of(module), module.need_indices())
    # A table that has a feature twice gives one wider output.
    dims: dict[str, int] = {}
    for name, dim in zip(module._embedding_names, module._length_per_key):
        dims[name] = dims.get(name, 0) + dim
    of_name = dict(zip(module._embedding_names, module._feature_names))
    result: dict[str, JaggedTensor] = {}
    for dim in dict.fromkeys(dims.values()):
        places = [place for place, name in enumerate(dims) if dims[name] == dim]
        names = [name for name in dims if dims[name] == dim]
        lengths = _lengths_of(features, keys, [of_name[name] for name in names])
        rows, lengths = _hinted(module, _pick(found[0], places), lengths, len(names))
        ids = _pick(found[1], places) if module.need_indices() else rows
        result.update(construct_jagged_tensors_inference(rows, lengths, ids, names, module.need_indices()))
    return {name: result[name] for name in dims}


def _hinted(module: Any, rows: Any, lengths: Any, count: int) -> tuple[Any, Any]:
    """As TorchRec's own: which of the two a batching hint comes before is the module's choice."""
    if getattr(module, quant.MODULE_ATTR_USE_UNFLATTENED_LENGTHS_FOR_BATCHING, False):
        lengths = quant._get_unflattened_lengths(lengths, count)
        return quant._get_batching_hinted_output(lengths=lengths, output=rows), lengths
    if getattr(module, quant.MODULE_ATTR_USE_BATCHING_HINTED_OUTPUT, True):
        rows = quant._get_batching_hinted_output(lengths=lengths, output=rows)
    return rows, quant._get_unflattened_lengths(lengths, count)

