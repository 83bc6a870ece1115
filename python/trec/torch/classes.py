"""Which class a compiled module is of."""

from trec.spec import SEQUENCE
from trec.torch.compiled import CompiledCollection, Parts
from trec.torch.managed import (
    CompiledManagedCollisionEmbeddingBagCollection,
    CompiledManagedCollisionEmbeddingCollection,
)
from trec.torch.module import CompiledEmbeddingBagCollection
from trec.torch.processed import CompiledFeatureProcessedEmbeddingBagCollection
from trec.torch.sequence import CompiledEmbeddingCollection


def class_for(parts: Parts) -> type[CompiledCollection]:
    is_sequence = parts.interface.spec.kind == SEQUENCE
    if "_managed_collision_collection" in parts.children:
        managed = CompiledManagedCollisionEmbeddingCollection, CompiledManagedCollisionEmbeddingBagCollection
        return managed[0] if is_sequence else managed[1]
    if "feature_processor" in parts.children:
        return CompiledFeatureProcessedEmbeddingBagCollection
    return CompiledEmbeddingCollection if is_sequence else CompiledEmbeddingBagCollection
