"""Feature processors that are compiled: those that weight an id by its position in its bag.

Their Parameters are read where they lie, at every call, so training steps, `load_state_dict` and edits act at once.
Any other processor runs in Python before the compiled part.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

import torch
from torchrec.modules.feature_processor_ import PositionWeightedModule, PositionWeightedModuleCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessorDictWrapper


class ParameterSlot(NamedTuple):
    """Where a module keeps a Parameter: to look there each time sees also a Parameter that took another's place."""

    holder: dict[str, Optional[torch.nn.Parameter]]
    name: str

    @property
    def tensor(self) -> torch.Tensor:
        return self.holder[self.name].detach()


def _modules_by_feature(processor: Any) -> Optional[Any]:
    if type(processor) is FeatureProcessorDictWrapper:
        processor = processor._feature_processors
    if type(processor) is not torch.nn.ModuleDict:
        return None
    return processor if all(type(child) is PositionWeightedModule for child in processor.values()) else None


def position_slots(processor: Any, features: Iterable[str]) -> Optional[dict[str, ParameterSlot]]:
    """The weights of each feature, or None where this processor must run in Python."""
    if type(processor) is PositionWeightedModuleCollection:
        parameters = processor.position_weights._parameters
        slots = {name: ParameterSlot(parameters, name) for name in parameters}
    else:
        modules = _modules_by_feature(processor)
        if modules is None:
            return None
        slots = {name: ParameterSlot(child._parameters, "position_weight") for name, child in modules.items()}
    # A feature without weights of its own is weighted with ones, however long its bags are.
    wanted = list(dict.fromkeys(features))
    if is_pre_processed(processor) or not all(name in slots and _is_readable(slots[name]) for name in wanted):
        return None
    return {name: slots[name] for name in wanted}


def is_pre_processed(processor: Any) -> bool:
    """Whether positions are taken from the batch's weights."""
    return any(getattr(module, "_pre_processed", False) for module in processor.modules())


def _is_readable(slot: ParameterSlot) -> bool:
    tensor = slot.holder.get(slot.name)
    return tensor is not None and tensor.dtype is torch.float32 and not tensor.is_meta and tensor.is_contiguous()


def runnable(processor: Any) -> Any:
    """A ModuleDict, which TorchRec's own float module takes, cannot be called."""
    return FeatureProcessorDictWrapper(processor) if type(processor) is torch.nn.ModuleDict else processor
