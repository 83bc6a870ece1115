"""Compiled collections whose ids go through managed collision modules.

The remapped features are an output too, so TorchRec's modules make them; what follows is compiled.
"""

import copy
from typing import Any

from torchrec.modules.mc_modules import ManagedCollisionCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from trec.torch.kinds import QuantBags, QuantManagedBags, QuantManagedSequence, QuantSequence
from trec.torch.module import CompiledEmbeddingBagCollection
from trec.torch.sequence import CompiledEmbeddingCollection


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
        # TorchRec's collection goes by the order of keys that it met first.
        collection = copy.copy(self._managed_collision_collection)
        collection._features_order, collection._created_feature_order = [], [False]
        remapped = collection(features)
        return super().forward(remapped), remapped  # type: ignore[misc]


class CompiledManagedCollisionEmbeddingBagCollection(_Managed, CompiledEmbeddingBagCollection):
    """Stands for torchrec.quant's QuantManagedCollisionEmbeddingBagCollection."""

    _original = QuantManagedBags
    _plain = QuantBags


class CompiledManagedCollisionEmbeddingCollection(_Managed, CompiledEmbeddingCollection):
    """Stands for torchrec.quant's QuantManagedCollisionEmbeddingCollection."""

    _original = QuantManagedSequence
    _plain = QuantSequence
