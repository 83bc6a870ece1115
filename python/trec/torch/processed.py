"""CompiledFeatureProcessedEmbeddingBagCollection: bags whose ids a feature processor weights.

Weights by position are part of the compiled model, which reads the processor's own Parameters. Any other processor
runs in Python before a compiled model that takes weights with the batch.
"""

from typing import Any, Optional

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

from trec.errors import InputError, TrecError
from trec.library import Library
from trec.torch.compiled import Parts
from trec.torch.kinds import QuantProcessed
from trec.torch.place import Place
from trec.torch.module import CompiledEmbeddingBagCollection
from trec.torch.positions import ParameterSlot, position_slots, runnable


class CompiledFeatureProcessedEmbeddingBagCollection(CompiledEmbeddingBagCollection):
    """Stands for torchrec.quant's FeatureProcessedEmbeddingBagCollection."""

    _original: Any = QuantProcessed
    feature_processor: torch.nn.Module

    def _set_up(self, parts: Parts) -> None:
        super()._set_up(parts)
        # To its callers the module takes weights, wherever they come from.
        self._says_weighted = self._is_weighted or self.is_fused

    @property
    def is_fused(self) -> bool:
        """Whether the processor is part of the compiled model."""
        return bool(self._interface.spec.position_weights)

    def _attach(self, library: Optional[Library] = None) -> None:
        processor = self._modules["feature_processor"]
        self._position_slots: list[Optional[ParameterSlot]] = []
        self._markers = [module for module in processor.modules() if hasattr(module, "_pre_processed")]
        if self.is_fused:
            features = [weights.feature for weights in self._interface.spec.position_weights]
            slots = position_slots(processor, features)
            if slots is None:
                raise TrecError(f"{type(processor).__name__} no longer gives float32 weights for features {features}")
            by_name = {weights.name: slots[weights.feature] for weights in self._interface.spec.position_weights}
            self._parameter_slots_by_name = by_name
        super()._attach(library)

    def _carried(self) -> dict[str, Any]:
        state = super()._carried()
        for name in ("_position_slots", "_markers", "_parameter_slots_by_name"):
            state.pop(name, None)
        return state

    def _parameters_to_bind(self) -> list[torch.Tensor]:
        if not self.is_fused:
            return super()._parameters_to_bind()
        names = [parameter["name"] for parameter in self._runtime.library.parameters]
        self._position_slots = [self._parameter_slots_by_name.get(name) for name in names]
        return [
            self._maps[name] if slot is None else _checked(slot, name, self._place)
            for slot, name in zip(self._position_slots, names)
        ]

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:
        return super().forward(self._processed(features))

    def _processed(self, features: KeyedJaggedTensor) -> KeyedJaggedTensor:
        """The batch that the compiled model reads; where the processor is part of that, looks for its Parameters."""
        if not self.is_fused:
            return runnable(self.feature_processor)(features)
        bound = self._runtime.parameters
        for slot, tensor in zip(self._position_slots, bound):
            if slot is None:
                continue
            parameter = slot.holder[slot.name]
            if parameter is None or parameter.data_ptr() != tensor.data_ptr() or parameter.dtype != tensor.dtype:
                self._bind()
                break
        for marker in self._markers:
            if marker._pre_processed:
                raise TrecError("the feature processor takes positions from the weights now; compile the module again")
        return features

    def is_weighted(self) -> bool:
        return self._says_weighted


def _checked(slot: ParameterSlot, name: str, place: Place) -> torch.Tensor:
    tensor = slot.tensor
    if tensor.dtype is not torch.float32 or not place.has(tensor) or not tensor.is_contiguous():
        raise InputError(
            f"{name}: expected contiguous float32 on {place}, got {tensor.dtype}{list(tensor.shape)} "
            f"on '{tensor.device}'"
        )
    return tensor
