"""CompiledEmbeddingBagCollection: a compiled model with the interface of torchrec.quant's EmbeddingBagCollection.

It reads the rows where the original module keeps them. So `load_state_dict` and edits in place take effect with the
next call, and no weights are copied.
"""

import copy
import ctypes
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

import torch
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollectionInterface
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor
from torchrec.types import ModuleNoCopyMixin

from trec import abi
from trec.errors import InputError, TrecError
from trec.library import CallBuffer, Handle, Library, Options, Slots, Weights, library_from_bytes
from trec.spec import ModelSpec
from trec.torch.bags import make_bags, pack_rows, unpack_rows
from trec.torch.collect import OUTPUT_DTYPES

_ID_TYPES = {torch.int32: abi.INT32, torch.int64: abi.INT64}
_ARGS_SIZE = abi.FORWARD_ARGS.size
_pack_into = abi.FORWARD_ARGS.pack_into
_new = object.__new__
_empty = torch.empty
_get_num_threads = torch.get_num_threads
# Stands for the lengths or offsets of an empty batch: an empty tensor has no address.
_ZERO = torch.zeros(1, dtype=torch.int64)


@dataclass
class Interface:
    """What the module that is stood for says about itself, beyond its rows."""

    spec: ModelSpec
    configs: list[EmbeddingBagConfig]
    is_split: bool = False
    row_alignment: int = 16
    tbe_buffers: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def tables_in_groups(self) -> list[Any]:
        """The order of torchrec.quant's state_dict: by pooling, as its tables lie in TBEs."""
        poolings = list(dict.fromkeys(table.pooling for table in self.spec.tables))
        return sorted(self.spec.tables, key=lambda table: poolings.index(table.pooling))


class _Runtime(NamedTuple):
    """What belongs to this process and is made anew for a copy."""

    library: Library
    handles: dict[int, Handle]
    addresses: dict[str, int]
    call: CallBuffer
    slots: Slots
    output: dict[str, Any]


class _KeySlots(NamedTuple):
    keys: list[str]
    count: int
    address: int
    array: Any


class CompiledEmbeddingBagCollection(EmbeddingBagCollectionInterface, ModuleNoCopyMixin):
    """Made by `trec.torch.compile`, `replace` and `load`; not by hand."""

    def __init__(self, so: bytes, interface: Interface, rows: dict[str, torch.Tensor]) -> None:
        super().__init__()
        spec = interface.spec
        self._so = so
        self._interface = interface
        self._rows = rows
        self._is_weighted = spec.weighted
        self._output_dtype = OUTPUT_DTYPES[spec.output_dtype]
        self._embedding_bag_configs = interface.configs
        self._embedding_names = [output.key for output in spec.outputs]
        self._feature_names = [output.feature for output in spec.outputs]
        dims = {table.name: table.embedding_dim for table in spec.tables}
        self._length_per_key = [dims[output.table] for output in spec.outputs]
        self._total_dim = sum(self._length_per_key)
        self.row_alignment = interface.row_alignment
        self.register_tbes = bool(interface.tbe_buffers)
        # Both torch.fx's and torchrec.fx's tracers take a module of a torch.nn file for a leaf, and have no other mark
        # that a module can set for itself. Pickle looks at the class, which keeps its real file.
        self.__dict__["__module__"] = "torch.nn.modules.trec"
        self.register_load_state_dict_post_hook(_after_load_state_dict)
        self._attach()

    def _attach(self, library: Optional[Library] = None) -> None:
        """Makes everything that is not carried by a copy: buffers, and what runs the model."""
        self.embedding_bags = make_bags(self._interface.tables_in_groups(), self._rows, self._interface.is_split)
        if self.register_tbes:
            self.tbes = torch.nn.ModuleList(_holder(buffers) for buffers in self._interface.tbe_buffers)
        self._own_buffers = {id(bag): dict(bag._buffers) for bag in self.embedding_bags.values()}
        library = library or library_from_bytes(self._so)
        template = KeyedTensor(self._embedding_names, self._length_per_key, torch.empty(0, self._total_dim))
        template.offset_per_key()
        template._key_indices()
        self._runtime = _Runtime(library, {}, {}, CallBuffer(), Slots(library.features), dict(template.__dict__))
        self._forward_function = library.api.forward
        self._last_keys = _KeySlots([], 0, 0, None)
        self._bind()

    def _bind(self) -> None:
        """Points the model at the rows; again where their memory has moved."""
        addresses = {name: rows.data_ptr() for name, rows in self._rows.items()}
        if addresses != self._runtime.addresses:
            self._runtime.handles.clear()
            self._runtime.addresses.update(addresses)
        self._handle(_get_num_threads())

    def _handle(self, threads: int) -> Handle:
        runtime = self._runtime
        names = [table["name"] for table in runtime.library.tables]
        tables = [(runtime.addresses[name], self._rows[name].shape[0]) for name in names]
        options = Options(bounds_check=None, threads=threads)
        return runtime.handles.setdefault(threads, Handle(runtime.library, Weights(tables=tables), options))

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:
        """Pools every feature; as torchrec.quant's module, but errors where that is quietly wrong."""
        keys = features.keys()
        slots = self._last_keys
        if keys != slots.keys:
            slots = self._find_keys(keys)
        batch = _batch_size(features)
        values = features.values()
        values_type = _ID_TYPES.get(values.dtype)
        if values_type is None or values.dim() != 1 or not values.is_cpu:
            raise _bad_ids(values)
        if not values.is_contiguous():
            values = values.contiguous()
        weights, weights_address, num_weights = None, 0, 0
        if self._is_weighted:
            weights = _check_weights(features.weights_or_none())
            weights_address, num_weights = weights.data_ptr(), weights.numel()
        lengths_address = offsets_address = lengths_type = offsets_type = 0
        bounds = features.offsets_or_none()
        if bounds is not None:
            bounds, offsets_type = _check_bounds("offsets", bounds, slots.count * batch + 1)
            offsets_address = bounds.data_ptr()
        else:
            bounds, lengths_type = _check_bounds("lengths", features.lengths_or_none(), slots.count * batch)
            lengths_address = bounds.data_ptr()
        output = _empty(batch, self._total_dim, dtype=self._output_dtype)
        runtime = self._runtime
        handle = runtime.handles.get(_get_num_threads()) or self._handle(_get_num_threads())
        call = runtime.call
        _pack_into(
            call.args, 0, _ARGS_SIZE, batch, slots.count, slots.address, values.data_ptr(), values.numel(),
            lengths_address, offsets_address, weights_address, num_weights,
            output.data_ptr(), output.nbytes, 0, 0, 0, values_type, lengths_type, offsets_type, 0,
        )  # fmt: skip
        status = self._forward_function(handle.address, call.args_address, call.error_address)
        if status:
            raise runtime.library.exception(status, call.error)
        result = _new(KeyedTensor)
        result.__dict__.update(runtime.output)
        result._values = output
        return result

    def _find_keys(self, keys: list[str]) -> _KeySlots:
        array = self._runtime.slots.find(keys)
        slots = _KeySlots(list(keys), len(keys), 0 if array is None else ctypes.addressof(array), array)
        self._last_keys = slots
        return slots

    def embedding_bag_configs(self) -> list[EmbeddingBagConfig]:
        return self._embedding_bag_configs

    def is_weighted(self) -> bool:
        return self._is_weighted

    def output_dtype(self) -> torch.dtype:
        return self._output_dtype

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def cpu_level(self) -> str:
        """The set of instructions in use, such as "x86-64-v3"."""
        return next(iter(self._runtime.handles.values())).cpu_level

    @property
    def info(self) -> dict[str, Any]:
        """The compiled model's metadata."""
        return self._runtime.library.metadata

    def counters(self) -> dict[str, int]:
        """Calls and bad ids since the module was made."""
        all_counters = [handle.counters() for handle in self._runtime.handles.values()]
        return {name: sum(counters[name] for counters in all_counters) for name in ("forwards", "bad_ids", "failed")}

    def _apply(self, fn: Any, recurse: bool = True) -> "CompiledEmbeddingBagCollection":
        """Rows stay as they are, as torchrec.quant's; only a move into shared memory changes where they lie.

        `fn` sees the rows and not their views: torch cannot share the wrappers of 4 and 2 bit codes.
        """
        devices = {fn(rows).device.type for rows in self._rows.values()}
        self._bind()
        if devices - {"cpu"}:
            raise TrecError(f"the module is compiled for the CPU, it cannot be moved to {', '.join(sorted(devices))}")
        return self

    def _restore_buffers(self) -> None:
        """Copies tensors that have taken the place of the rows' views into the rows, and puts the views back."""
        for bag in self.embedding_bags.values():
            for name, own in self._own_buffers[id(bag)].items():
                current = bag._buffers.get(name)
                if current is not own and own is not None and current is not None:
                    own.copy_(current)
                bag._buffers[name] = own

    def _carried(self) -> dict[str, Any]:
        """The attributes that a copy takes along."""
        state = dict(self.__dict__)
        for name in ("_runtime", "_forward_function", "_last_keys", "_own_buffers"):
            del state[name]
        made = ("embedding_bags", "tbes")
        state["_modules"] = {name: child for name, child in self._modules.items() if name not in made}
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> "CompiledEmbeddingBagCollection":
        result = _new(type(self))
        memo[id(self)] = result
        memo[id(self._so)] = self._so
        result.__dict__.update(copy.deepcopy(self._carried(), memo))
        result._attach(self._runtime.library)
        return result

    def __getstate__(self) -> dict[str, Any]:
        state = self._carried()
        state["_rows"] = pack_rows(self._rows)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_rows": unpack_rows(state["_rows"])})
        self._attach()

    def _get_name(self) -> str:
        return "CompiledEmbeddingBagCollection"


def _holder(buffers: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Stands for a registered TBE in the state_dict."""
    module = torch.nn.Module()
    for name, tensor in buffers.items():
        module.register_buffer(name, tensor)
    return module


def _after_load_state_dict(module: CompiledEmbeddingBagCollection, incompatible_keys: Any) -> None:
    # Nothing else sees what assign=True has done.
    module._restore_buffers()


def _batch_size(features: KeyedJaggedTensor) -> int:
    if features._stride_per_key_per_rank is None and features._inverse_indices is None:
        return features.stride()
    if features.inverse_indices_or_none() is not None:
        raise InputError("inverse_indices are not supported, expand the batch before")
    strides = features.stride_per_key()
    if len(set(strides)) > 1:
        raise InputError(f"expected one batch size for all keys, got stride_per_key {strides}")
    return strides[0] if strides else 0


def _bad_ids(values: torch.Tensor) -> InputError:
    if values.dtype not in _ID_TYPES:
        return InputError(f"values: expected int32 or int64, got {values.dtype}")
    if values.dim() != 1:
        return InputError(f"values: expected one dimension, got shape {list(values.shape)}")
    return InputError(f"values: expected a tensor on the cpu, got device '{values.device}'")


def _check_bounds(name: str, bounds: Optional[torch.Tensor], expected: int) -> tuple[torch.Tensor, int]:
    """The lengths or offsets, contiguous, and the code of their type."""
    if bounds is None:
        raise InputError("expected lengths or offsets, got none")
    kind = _ID_TYPES.get(bounds.dtype)
    if bounds.numel() == 0 and expected <= 1:
        return _ZERO, abi.INT64
    if bounds.numel() != expected or kind is None or not bounds.is_cpu:
        raise InputError(
            f"{name}: expected {expected} elements of int32 or int64 on the cpu, "
            f"got {bounds.numel()} of {bounds.dtype} on '{bounds.device}'"
        )
    return (bounds if bounds.is_contiguous() else bounds.contiguous()), kind


def _check_weights(weights: Optional[torch.Tensor]) -> torch.Tensor:
    if weights is None:
        raise InputError("the collection is weighted, but the batch has no weights")
    if weights.dtype != torch.float32 or weights.dim() != 1 or not weights.is_cpu:
        raise InputError(
            f"weights: expected one dimension of float32 on the cpu, "
            f"got {weights.dtype}{list(weights.shape)} on '{weights.device}'"
        )
    return weights if weights.is_contiguous() else weights.contiguous()
