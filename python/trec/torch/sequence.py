"""CompiledEmbeddingCollection: a compiled model with the interface of torchrec.quant's EmbeddingCollection."""

from typing import Any, Optional

import torch
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollectionInterface, get_embedding_names_by_table
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor

from trec.errors import InputError
from trec.library import Handle, ids_per_key
from trec.spec import ARRAY, SORTED, TableSpec
from trec.torch.batch import Batch, as_one_sample, is_strided, lengths_by_key, of_own_class, pad, strides_of
from trec.torch.compiled import CompiledCollection, Parts
from trec.torch.extension import ModuleCall, is_compiling
from trec.torch.graph import trace_sequences
from trec.torch.kinds import QuantSequence

_new = object.__new__
_empty = torch.empty


class CompiledEmbeddingCollection(ModuleCall, CompiledCollection, EmbeddingCollectionInterface):
    """Made by `trec.torch.compile`, `replace` and `load`, or called as torchrec.quant's class is.

    Unlike that one it takes tables of different dims, and keeps all outputs of a feature in tables of different types.
    """

    _rows_name = "embeddings"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from trec.torch.build import parts_of_sequence

        self._set_up(parts_of_sequence(*args, **kwargs))

    @classmethod
    def from_float(cls, module: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """Quantizes a float module that has a qconfig as torchrec.quant does, and compiles the result."""
        from trec.torch.build import parts_of_module

        return cls.of_parts(parts_of_module(QuantSequence.from_float(module)))

    def _set_up(self, parts: Parts) -> None:
        spec, configs = parts.interface.spec, parts.interface.configs
        limits = {table.name: _limit(table, parts) for table in spec.tables}
        self.__dict__.update(
            _embedding_configs=configs,
            _need_indices=parts.interface.need_indices,
            _embedding_names_by_table=get_embedding_names_by_table(configs),
            _limits=[limits[output.table] for output in spec.outputs],
        )
        super()._set_up(parts)

    def _output_template(self) -> dict[str, Any]:
        # Its constructor looks at the lengths, which have been checked.
        return dict(JaggedTensor(torch.empty(0), lengths=torch.zeros(0, dtype=torch.int64)).__dict__)

    def _why_python(self) -> Optional[str]:
        if self._need_indices:
            return "need_indices asks for the ids too"
        is_repeated = len(set(self._embedding_names)) < len(self._embedding_names)
        return "a table has a feature twice" if is_repeated else None

    def _plain_call(self) -> dict[str, Any]:
        return {
            "columns": self._length_per_key,
            "names": self._embedding_names,
            "split_lengths": split_lengths,
            "result_type": JaggedTensor,
            "forward_of_module": _forward,
        }

    def forward(self, features: KeyedJaggedTensor) -> dict[str, JaggedTensor]:
        """One row for each id; as torchrec.quant's module, but errors where that is quietly wrong."""
        # torch.compile cannot look into C.
        result = None if is_compiling() else self._runtime.caller(features)
        return self._forward_in_python(features) if result is None else result

    def _forward_in_python(self, features: KeyedJaggedTensor) -> dict[str, JaggedTensor]:
        features = of_own_class(features)
        if is_strided(features):
            if isinstance(features, torch.fx.Proxy):
                return trace_sequences(self, features)
            # As TorchRec's float module, which does not look at inverse indices.
            strides = strides_of(features)
            by_key = lengths_by_key(features, strides)
            batch = self._read_strided(features, strides, by_key)
            totals = _ids_per_key(batch)
        else:
            batch = self._runtime.reader.read(features, features.stride())
            known = features.length_per_key_or_none() if self._place.gpu is not None else None
            totals = _ids_per_key(batch) if known is None else list(known)
            given = features.lengths_or_none(), features.offsets_or_none()
            by_key = split_lengths(*given, batch.keys.count, batch.size)
        return self._lookup(batch, totals, by_key)

    def _read_strided(self, features: KeyedJaggedTensor, strides: list[int], by_key: list[torch.Tensor]) -> Batch:
        reader, fixed = self._runtime.reader, self._interface.spec.fixed_lengths
        if fixed:
            return reader.read(pad(features, strides, fixed), max(strides, default=0))
        return reader.read(as_one_sample(features, by_key), 1)

    def _lookup(self, batch: Batch, totals: list[int], by_key: Any) -> dict[str, JaggedTensor]:
        totals = ids_per_key(totals, batch.num_values)
        place = batch.keys.places
        outputs = [
            _empty(totals[slot], dim, dtype=self._values_dtype, device=self._runtime.device)
            for slot, dim in zip(place, self._length_per_key)
        ]
        call = self._runtime.call
        call.outputs[:] = [output.data_ptr() for output in outputs]
        call.outputs_bytes[:] = [output.nbytes for output in outputs]
        seen = sum(handle.counters()["bad_ids"] for handle in self._handles()) if self._need_indices else 0
        self._run(batch, 0, 0, (call.outputs_address, call.outputs_bytes_address))
        weights: list[Any] = [None] * len(outputs)
        if self._need_indices:
            # A GPU has not counted them yet.
            is_later = self._place.gpu is not None
            has_bad = is_later or sum(handle.counters()["bad_ids"] for handle in self._handles()) != seen
            weights = self._indices(batch.values_tensor, totals, place, has_bad)
        return self._assemble([by_key[slot] for slot in place], outputs, weights)

    def _handles(self) -> list[Handle]:
        return list(self._runtime.handles.values())

    def _indices(self, values: torch.Tensor, totals: list[int], place: list[int], has_bad: bool) -> list[torch.Tensor]:
        """The ids of each output as they were looked up: the caller's own, or a copy where some were bad."""
        parts = torch.split(values, totals)
        result = [parts[slot] for slot in place]
        if not has_bad:
            return result
        return [
            ids if limit is None else torch.where((ids < -1) | (ids >= limit), 0, ids)
            for ids, limit in zip(result, self._limits)
        ]

    def _assemble(self, lengths: list[Any], outputs: list[Any], weights: list[Any]) -> dict[str, JaggedTensor]:
        result: dict[str, JaggedTensor] = {}
        template = self._runtime.output
        for index, key in enumerate(self._embedding_names):
            values = outputs[index]
            if key in result:
                # A table that has a feature twice gives its rows side by side.
                known = result[key]
                known._values = torch.cat([known._values, values], dim=1)
                continue
            jagged = result[key] = _new(JaggedTensor)
            jagged.__dict__.update(template)
            jagged._values, jagged._lengths, jagged._weights = values, lengths[index], weights[index]
        return result

    def embedding_configs(self) -> list[EmbeddingConfig]:
        return self._embedding_configs

    def embedding_dim(self) -> int:
        dims = sorted({config.embedding_dim for config in self._embedding_configs})
        if len(dims) > 1:
            raise InputError(f"the tables have dims {dims}, ask each of embedding_configs()")
        return dims[0]

    def embedding_names_by_table(self) -> list[list[str]]:
        return self._embedding_names_by_table

    def need_indices(self) -> bool:
        return self._need_indices


def _limit(table: TableSpec, parts: Parts) -> Optional[int]:
    """Ids below it are good, before they are mapped; None: all are."""
    if table.remap is None:
        return parts.rows[table.name].shape[0]
    if table.remap.kind == SORTED:
        return None
    return table.remap.length if table.remap.kind == ARRAY else table.remap.num_ids


def split_lengths(
    lengths: Optional[torch.Tensor], offsets: Optional[torch.Tensor], count: int, size: int
) -> tuple[torch.Tensor, ...]:
    """Of each key, in the caller's type, and without leaving them with the caller where only offsets were given."""
    if lengths is None:
        assert offsets is not None
        lengths = torch.diff(offsets) if size else offsets[:0]
    return lengths.reshape(count, size).unbind(0)


def _ids_per_key(batch: Batch) -> list[int]:
    bounds = batch.bounds
    if batch.size == 0:
        return [0] * batch.keys.count
    if batch.offsets:
        ends = bounds[:: batch.size].tolist()
        return [end - begin for begin, end in zip(ends, ends[1:])]
    return bounds.view(batch.keys.count, batch.size).sum(dim=1).tolist()


_forward = CompiledEmbeddingCollection.forward
