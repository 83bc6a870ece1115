"""CompiledEmbeddingBagCollection: a compiled model with the interface of torchrec.quant's EmbeddingBagCollection."""

from typing import Any

import torch
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollectionInterface
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

from trec.errors import InputError
from trec.torch.batch import inverse_rows, is_strided, of_own_class, pad, pick_rows, strides_of
from trec.torch.compiled import CompiledCollection, Parts
from trec.torch.extension import ModuleCall, is_compiling
from trec.torch.graph import trace_bags
from trec.torch.kinds import QuantBags

_new = object.__new__
_empty = torch.empty


class CompiledEmbeddingBagCollection(ModuleCall, CompiledCollection, EmbeddingBagCollectionInterface):
    """Made by `trec.torch.compile`, `replace` and `load`, or called as torchrec.quant's class is."""

    _rows_name = "embedding_bags"
    _original: Any = QuantBags

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from trec.torch.build import parts_of_module

        self._set_up(parts_of_module(self._original(*args, **kwargs)))

    @classmethod
    def from_float(cls, module: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """Quantizes a float module that has a qconfig as torchrec.quant does, and compiles the result."""
        from trec.torch.build import parts_of_module

        return cls.of_parts(parts_of_module(cls._original.from_float(module)))

    def _set_up(self, parts: Parts) -> None:
        spec = parts.interface.spec
        dims = {table.name: table.embedding_dim for table in spec.tables}
        self.__dict__.update(
            _is_weighted=spec.weighted,
            _total_dim=sum(dims[output.table] for output in spec.outputs),
            _embedding_bag_configs=parts.interface.configs,
        )
        super()._set_up(parts)

    def _output_template(self) -> dict[str, Any]:
        template = KeyedTensor(self._embedding_names, self._length_per_key, torch.empty(0, self._total_dim))
        template.offset_per_key()
        template._key_indices()
        return dict(template.__dict__)

    def _plain_call(self) -> dict[str, Any]:
        return {"columns": [self._total_dim], "result_type": KeyedTensor, "forward_of_module": _forward}

    def _processed(self, features: KeyedJaggedTensor) -> KeyedJaggedTensor:
        """The batch that the compiled model reads."""
        return features

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:
        """Pools every feature; as torchrec.quant's module, but errors where that is quietly wrong."""
        # torch.compile cannot look into C.
        result = None if is_compiling() else self._runtime.caller(features)
        return self._forward_in_python(features) if result is None else result

    def _forward_in_python(self, features: KeyedJaggedTensor) -> KeyedTensor:
        features = of_own_class(features)
        if is_strided(features):
            return self._forward_strided(features)
        size = features._stride
        if size is None:
            size = features.stride()
        runtime = self._runtime
        batch = runtime.reader.read(features, size)
        output = _empty(size, self._total_dim, dtype=self._values_dtype, device=runtime.device)
        self._run(batch, output.data_ptr(), output.nbytes)
        return self._keyed(output)

    def _keyed(self, output: torch.Tensor) -> KeyedTensor:
        result = _new(KeyedTensor)
        result.__dict__ = {**self._runtime.output, "_values": output}
        return result

    def _forward_strided(self, features: KeyedJaggedTensor) -> KeyedTensor:
        """What TorchRec's float module gives for keys of different batch sizes."""
        if isinstance(features, torch.fx.Proxy):
            return trace_bags(self, features)
        strides = strides_of(features)
        padded = pad(features, strides, self._interface.spec.fixed_lengths)
        # Not that of a derived class, which has been at the batch already.
        pooled = CompiledEmbeddingBagCollection.forward(self, padded)
        # A key that is there twice counts where it is first.
        samples = dict(zip(reversed(features.keys()), reversed(strides)))
        rows = inverse_rows(features, self._feature_names)
        if rows is None:
            needed = {samples[name] for name in self._feature_names}
            if len(needed) > 1:
                raise InputError(f"expected inverse_indices, because stride_per_key {strides} differs between keys")
            return self._keyed(pooled.values()[: needed.pop()].contiguous())
        blocks = torch.split(pooled.values(), self._length_per_key, dim=1)
        picked = [
            pick_rows(block, row, samples[name], name)
            for block, row, name in zip(blocks, rows, self._feature_names)
        ]  # fmt: skip
        return self._keyed(torch.cat(picked, dim=1))

    def embedding_bag_configs(self) -> list[EmbeddingBagConfig]:
        return self._embedding_bag_configs

    def is_weighted(self) -> bool:
        return self._is_weighted


_forward = CompiledEmbeddingBagCollection.forward
