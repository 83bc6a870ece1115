"""Compiled collections whose ids go through managed collision modules.

The remapped features are an output too, so they are made first, and what follows is compiled. Lists of ids that are
searched are so in numpy, with a few calls for each table; whatever else modules do, TorchRec does itself.
"""

import copy
from typing import Any

import numpy as np
import torch
from torchrec.modules.mc_modules import ManagedCollisionCollection, MCHManagedCollisionModule
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from trec.errors import InputError
from trec.torch.batch import of_own_class
from trec.torch.kinds import QuantBags, QuantManagedBags, QuantManagedSequence, QuantSequence
from trec.torch.module import CompiledEmbeddingBagCollection
from trec.torch.sequence import CompiledEmbeddingCollection


def _is_searched(managed: Any) -> bool:
    return (
        type(managed) is MCHManagedCollisionModule
        and not (managed.training or managed._forward_hooks or managed._forward_pre_hooks)
        and managed._input_hash_func is None
        and managed._mch_sorted_raw_ids.is_cpu
    )


def is_searched(collection: Any) -> bool:
    """Whether nothing happens to ids but a search in sorted lists."""
    return (
        type(collection) is ManagedCollisionCollection
        and not (collection._forward_hooks or collection._forward_pre_hooks)
        and all(map(_is_searched, collection._managed_collision_modules.values()))
    )


def _search(managed: Any, ids: np.ndarray, rows: np.ndarray) -> None:
    """The row of each id; of ids that are not there the last one."""
    known, rows_of_known = managed._mch_sorted_raw_ids.numpy(), managed._mch_remapped_ids_mapping.numpy()
    places = known[:-1].searchsorted(ids)
    rows[:] = managed._output_global_offset + len(known) - 1
    np.copyto(rows, rows_of_known[places], where=known[places] == ids)


def check_keys(keys: list[str], names: list[str]) -> None:
    if keys == names:
        return
    for name in names:
        if name not in keys:
            error = InputError(f"feature '{name}' is missing, the batch has keys {keys}")
            error.feature = name
            raise error


def search(collection: Any, features: KeyedJaggedTensor) -> KeyedJaggedTensor:
    """What the collection gives for features in any order, and with others among them."""
    keys, names = features.keys(), collection._feature_names
    if keys != names:
        features = features.permute([keys.index(name) for name in names])
    values = features.values()
    if values.dtype is not torch.int64:
        raise InputError(f"values: expected int64, as the ids that are searched, got {values.dtype}")
    rows = torch.empty_like(values, memory_format=torch.contiguous_format)
    ends = features.offset_per_key()
    ids, result, first = values.numpy(), rows.numpy(), 0
    for managed, count in zip(collection._managed_collision_modules.values(), collection._table_feature_splits):
        begin, end = ends[first], ends[first + count]
        first += count
        if begin != end:
            _search(managed, ids[begin:end], result[begin:end])
    return KeyedJaggedTensor(
        features.keys(),
        rows,
        features.weights_or_none(),
        features.lengths(),
        stride=features.stride(),
        stride_per_key_per_rank=features._stride_per_key_per_rank,
        stride_per_key=features.stride_per_key(),
        inverse_indices=features.inverse_indices_or_none(),
    )


class _Managed:
    """A mixin before the class of a compiled collection."""

    _original: Any
    _plain: Any
    _managed_collision_collection: ManagedCollisionCollection
    # torchrec.quant's modules return the remapped features whatever this says.
    _return_remapped_features = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from trec.torch.build import parts_of_module

        self._set_up(parts_of_module(self._original(*args, **kwargs)))  # type: ignore[attr-defined]

    @classmethod
    def from_float(cls, module: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """Quantizes a float module that has a qconfig, and compiles the result.

        torchrec.quant's own takes the rows for granted, and zeros where nobody has left any.
        """
        from trec.torch.build import parts_of_module

        inner = copy.copy(module._embedding_module)
        inner.qconfig = module.qconfig
        if not hasattr(inner, "_table_name_to_quantized_weights"):
            inner._table_name_to_quantized_weights = cls._plain.from_float(inner)._table_name_to_quantized_weights
        outer = copy.copy(module)
        outer._modules = {**module._modules, "_embedding_module": inner}
        return cls.of_parts(parts_of_module(cls._original.from_float(outer)))  # type: ignore[attr-defined]

    def forward(self, features: KeyedJaggedTensor) -> Any:
        """The result and the remapped features."""
        features, collection = of_own_class(features), self._managed_collision_collection
        check_keys(features.keys(), collection._feature_names)
        if is_searched(collection):
            remapped = search(collection, features)
        else:
            # TorchRec's collection goes by the order of keys that it met first.
            collection = copy.copy(collection)
            collection._features_order, collection._created_feature_order = [], [False]
            remapped = collection(features)
        # They name their own keys, and are lost where the others are permuted.
        remapped._inverse_indices = features.inverse_indices_or_none()
        return super().forward(remapped), remapped  # type: ignore[misc]


class CompiledManagedCollisionEmbeddingBagCollection(_Managed, CompiledEmbeddingBagCollection):
    """Stands for torchrec.quant's QuantManagedCollisionEmbeddingBagCollection."""

    _original = QuantManagedBags
    _plain = QuantBags


class CompiledManagedCollisionEmbeddingCollection(_Managed, CompiledEmbeddingCollection):
    """Stands for torchrec.quant's QuantManagedCollisionEmbeddingCollection."""

    _original = QuantManagedSequence
    _plain = QuantSequence
