"""Which modules trec compiles: the kinds of collections, and how they are found in a model."""

from collections.abc import Iterator
from typing import Any, Optional

import torch
from torchrec.distributed.types import ShardedModule
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatBags
from torchrec.modules.embedding_modules import EmbeddingCollection as FloatSequence
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection as FloatProcessed
from torchrec.modules.mc_embedding_modules import ManagedCollisionEmbeddingBagCollection as FloatManagedBags
from torchrec.modules.mc_embedding_modules import ManagedCollisionEmbeddingCollection as FloatManagedSequence
from torchrec.quant.embedding_modules import EmbeddingBagCollection as QuantBags
from torchrec.quant.embedding_modules import EmbeddingCollection as QuantSequence
from torchrec.quant.embedding_modules import FeatureProcessedEmbeddingBagCollection as QuantProcessed
from torchrec.quant.embedding_modules import QuantManagedCollisionEmbeddingBagCollection as QuantManagedBags
from torchrec.quant.embedding_modules import QuantManagedCollisionEmbeddingCollection as QuantManagedSequence

from trec import refusals
from trec.refusals import Refusal

FLOAT = (FloatBags, FloatSequence, FloatProcessed, FloatManagedBags, FloatManagedSequence)
QUANTIZED = (QuantBags, QuantSequence, QuantProcessed, QuantManagedBags, QuantManagedSequence)
SEQUENCES = (FloatSequence, QuantSequence, FloatManagedSequence, QuantManagedSequence)
MANAGED = (FloatManagedBags, FloatManagedSequence, QuantManagedBags, QuantManagedSequence)


def is_collection(module: Any) -> bool:
    return type(module) in FLOAT + QUANTIZED


def is_quantized(module: Any) -> bool:
    return type(module) in QUANTIZED


def is_sequence(module: Any) -> bool:
    return type(module) in SEQUENCES


def is_processed(module: Any) -> bool:
    return type(module) in (FloatProcessed, QuantProcessed)


def is_managed(module: Any) -> bool:
    """Whether a managed collision module maps the ids to rows."""
    return type(module) in MANAGED


def tables_module(module: Any) -> Any:
    """The collection itself; of a float one with a feature processor or managed collision the one inside."""
    if type(module) in (FloatManagedBags, FloatManagedSequence):
        return module._embedding_module
    return module._embedding_bag_collection if type(module) is FloatProcessed else module


def configs_of(module: Any) -> list[Any]:
    owner = tables_module(module)
    return owner.embedding_configs() if is_sequence(module) else owner.embedding_bag_configs()


def _refusal_of_type(module: torch.nn.Module) -> Optional[Refusal]:
    if isinstance(module, ShardedModule):
        return refusals.SHARDED
    return refusals.SUBCLASS if isinstance(module, FLOAT + QUANTIZED) else None


def walk(module: torch.nn.Module, path: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """Supported collections with their qualified names; raises at the first module that must be refused."""
    if is_collection(module):
        inner = tables_module(module)
        if inner is not module and type(inner) not in (FloatBags, FloatSequence):
            raise (_refusal_of_type(inner) or refusals.UNKNOWN_INSIDE).at(path, type=type(inner).__name__)
        yield path, module
        return
    refused = _refusal_of_type(module)
    if refused:
        raise refused.at(path, type=type(module).__name__)
    for name, child in module.named_children():
        yield from walk(child, f"{path}.{name}" if path else name)
