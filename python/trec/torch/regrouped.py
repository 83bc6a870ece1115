"""CompiledRegroupedCollections: several collections and the KTRegroupAsDict behind them as one compiled model.

Lookups write into the tensors of the groups, so that nothing is put together or copied afterwards. Each collection is
also a compiled module of its own, a child that holds the rows and speaks for them; batches whose keys differ in size go
through the children.
"""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.types import ModuleNoCopyMixin

from trec import abi
from trec.errors import InputError
from trec.library import CallBuffer, Handle, Library, Weights, library_from_bytes
from trec.spec import RegroupSpec
from trec.torch.batch import Batch, BatchReader, is_strided, of_own_class
from trec.torch.collect import OUTPUT_DTYPES
from trec.torch.compiled import Served

_empty = torch.empty
_new = object.__new__


@dataclass
class RegroupParts:
    """All that the module is made of; `names` says which tensor of which child a tensor of the model is."""

    so: bytes
    spec: RegroupSpec
    children: list[Any]
    arguments: list[int]
    names: dict[str, tuple[int, str]]


class _Runtime(NamedTuple):
    """What belongs to this process and is made anew for a copy."""

    library: Library
    handles: dict[int, Handle]
    call: CallBuffer
    # For each batch the child that it is the batch of, by index, and what reads it.
    sources: list[tuple[int, BatchReader]]


class CompiledRegroupedCollections(Served, ModuleNoCopyMixin, torch.nn.Module):
    """Made by `trec.torch.compile([...], regroup=KTRegroupAsDict(...))`."""

    def __init__(self, parts: RegroupParts) -> None:
        super().__init__()
        self._so, self._spec, self._arguments, self._names = parts.so, parts.spec, parts.arguments, parts.names
        self._num_arguments = 1 + max(parts.arguments)
        self._output_dtype = OUTPUT_DTYPES[parts.spec.output_dtype]
        self._place = parts.children[0]._place
        # As CompiledCollection's: a leaf for tracers.
        self.__dict__["__module__"] = "torch.nn.modules.trec"
        self.collections = torch.nn.ModuleList(parts.children)
        self._attach()

    def _why_python(self) -> Optional[str]:
        return "the extension calls no regroups"

    def _attach(self, library: Optional[Library] = None) -> None:
        library = library or library_from_bytes(self._so)
        call = CallBuffer(library.num_outputs, len(library.batches))
        self._runtime = _Runtime(library, {}, call, self._sources(library))
        self._groups = [(group["key"], group["dim"]) for group in library.groups]
        self._forward_function = library.api.forward
        self._bindings: list[Any] = []
        self._bind()

    def _sources(self, library: Library) -> list[tuple[int, BatchReader]]:
        return [
            (self._spec.batches.index(index), BatchReader(batch["features"], batch["weighted"], (), self._place))
            for index, batch in enumerate(library.batches)
        ]

    def _bind(self) -> None:
        """Points the model at the children's rows and parameters."""
        self._runtime.handles.clear()
        self._bindings = [child._binding for child in self.collections]
        self._handle(self._place.threads())

    def _handle(self, threads: int) -> Handle:
        runtime = self._runtime
        tables = [self._memory(table["name"]) for table in runtime.library.tables]
        parameters = [self._memory(parameter["name"]) for parameter in runtime.library.parameters]
        weights = Weights(tables=tables, parameters=parameters, on_device=self._place.gpu is not None)
        options = self._place.options(self._exactness)
        return runtime.handles.setdefault(threads, Handle(runtime.library, weights, options))

    def check_exactness(self) -> None:
        for child in self.collections:
            child.check_exactness()
        super().check_exactness()
        self._bindings = [child._binding for child in self.collections]

    def _memory(self, name: str) -> tuple[int, int]:
        index, own = self._names[name]
        tensor = self.collections[index].tensor_of(own)
        return tensor.data_ptr(), tensor.shape[0]

    def forward(self, *features: KeyedJaggedTensor) -> dict[str, torch.Tensor]:
        """By group a contiguous tensor `[B, dim]`, as KTRegroupAsDict on the collections' outputs gives them."""
        if len(features) != self._num_arguments:
            raise InputError(f"expected {self._num_arguments} KeyedJaggedTensors, got {len(features)}")
        features = tuple(of_own_class(batch) for batch in features)
        if any(is_strided(batch) for batch in features):
            return self._forward_strided(features)
        children = self._modules["collections"]
        # May find that Parameters have moved.
        given = [child._processed(features[index]) for child, index in zip(children, self._arguments)]
        for child, binding in zip(children, self._bindings):
            if child._binding is not binding:
                self._bind()
                break
        size = features[0].stride()
        _check_sizes(features, size)
        batches = [reader.read(given[child], size) for child, reader in self._runtime.sources]
        outputs = [_empty(size, dim, dtype=self._output_dtype, device=self._place.device) for _, dim in self._groups]
        self._run(batches, outputs)
        return {key: output for (key, _), output in zip(self._groups, outputs)}

    def _run(self, batches: list[Batch], outputs: list[torch.Tensor]) -> None:
        runtime, first = self._runtime, batches[0]
        handle = runtime.handles.get(self._place.threads()) or self._handle(self._place.threads())
        call = runtime.call
        call.outputs[:] = [output.data_ptr() for output in outputs]
        call.outputs_bytes[:] = [output.nbytes for output in outputs]
        for index, batch in enumerate(batches[1:]):
            abi.BATCH.pack_into(
                call.batches, index * abi.BATCH.size, abi.BATCH.size, batch.keys.count, batch.keys.address,
                batch.values, batch.num_values, batch.lengths, batch.offsets, batch.weights, batch.num_weights,
                batch.values_type, batch.lengths_type, batch.offsets_type, 0,
            )  # fmt: skip
        args = abi.FORWARD_ARGS.pack(
            abi.FORWARD_ARGS.size, first.size, first.keys.count, first.keys.address, first.values,
            first.num_values, first.lengths, first.offsets, first.weights, first.num_weights, 0, 0, 0, 0, 0,
            first.values_type, first.lengths_type, first.offsets_type, 0, call.outputs_address,
            call.outputs_bytes_address, call.batches_address, call.num_batches, self._place.stream(),
        )  # fmt: skip
        status = self._forward_function(handle.address, args, call.error_address)
        if status:
            raise runtime.library.exception(status, call.error)

    def _forward_strided(self, features: tuple[KeyedJaggedTensor, ...]) -> dict[str, torch.Tensor]:
        """Each collection does what TorchRec's float module would; the regroup is a copy here."""
        by_key: dict[str, torch.Tensor] = {}
        for child, argument in zip(self.collections, self._arguments):
            by_key.update(child(features[argument]).to_dict())
        sizes = {len(by_key[key]) for keys in self._spec.groups.values() for key in keys}
        if len(sizes) > 1:
            raise InputError(f"expected outputs of one number of samples to regroup, got {sorted(sizes)}")
        return {
            group: torch.cat([by_key[key] for key in keys], dim=1).to(self._output_dtype)
            for group, keys in self._spec.groups.items()
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        result = _new(type(self))
        memo[id(self)] = result
        memo[id(self._so)] = self._so
        result.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        result._attach(self._runtime.library)
        return result

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for name in ("_runtime", "_groups", "_forward_function", "_bindings"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._attach()

    def _get_name(self) -> str:
        return type(self).__name__


def _check_sizes(features: tuple[KeyedJaggedTensor, ...], size: int) -> None:
    for index, batch in enumerate(features):
        if batch.stride() != size:
            raise InputError(f"batch {index}: expected {size} samples, as batch 0 has, got {batch.stride()}")
