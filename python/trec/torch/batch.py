"""Checks a batch's tensors before their addresses are handed on, and evens out batches whose keys differ in size.

A KeyedJaggedTensor may have another number of samples for each key (VBE), with `inverse_indices` saying which of them
each row of the result is. A compiled model takes one number for all keys, so the shorter keys are padded with empty
bags, and rows are picked afterwards, as TorchRec's float modules do.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from trec import abi
from trec.errors import InputError
from trec.library import Slots
from trec.torch.place import CPU, Place

ID_TYPES = {torch.int32: abi.INT32, torch.int64: abi.INT64}
# The strides of a tensor of one dimension without gaps.
_DENSE = (1,)
_new = object.__new__
# Stands for the lengths or offsets of an empty batch: an empty tensor has no address.
ZERO = torch.zeros(1, dtype=torch.int64)


@dataclass(slots=True)
class KeySlots:
    """Where the model's features, and its outputs, are among the keys of a batch."""

    keys: list[str]
    count: int
    address: int
    array: Any
    places: list[int]


@dataclass(slots=True)
class Batch:
    """Tensors that must outlive the call, and what trec_forward_args says of them: 0 for what there is not."""

    values_tensor: torch.Tensor
    bounds: torch.Tensor
    weights_tensor: Optional[torch.Tensor]
    keys: KeySlots
    size: int
    values: int
    num_values: int
    lengths: int
    offsets: int
    weights: int
    num_weights: int
    values_type: int
    lengths_type: int
    offsets_type: int


def check_ids(values: torch.Tensor, place: Place) -> torch.Tensor:
    """The ids, contiguous."""
    if values.dtype not in ID_TYPES:
        raise InputError(f"values: expected int32 or int64, got {values.dtype}")
    if values.dim() != 1:
        raise InputError(f"values: expected one dimension, got shape {list(values.shape)}")
    if not place.has(values):
        raise InputError(f"values: expected a tensor on {place}, got device '{values.device}'")
    return values.contiguous()


def check_bounds(
    name: str, bounds: Optional[torch.Tensor], expected: int, place: Place
) -> tuple[torch.Tensor, int]:
    """The lengths or offsets, contiguous, and the code of their type."""
    if bounds is None:
        raise InputError("expected lengths or offsets, got none")
    kind = ID_TYPES.get(bounds.dtype)
    if bounds.numel() == 0 and expected <= 1:
        return ZERO, abi.INT64
    if bounds.numel() != expected or kind is None or not place.has(bounds):
        raise InputError(
            f"{name}: expected {expected} elements of int32 or int64 on {place}, "
            f"got {bounds.numel()} of {bounds.dtype} on '{bounds.device}'"
        )
    return bounds.contiguous(), kind


def check_weights(weights: Optional[torch.Tensor], place: Place) -> torch.Tensor:
    if weights is None:
        raise InputError("the collection is weighted, but the batch has no weights")
    if weights.dtype != torch.float32 or weights.dim() != 1 or not place.has(weights):
        raise InputError(
            f"weights: expected one dimension of float32 on {place}, "
            f"got {weights.dtype}{list(weights.shape)} on '{weights.device}'"
        )
    return weights.contiguous()


def of_own_class(features: KeyedJaggedTensor) -> KeyedJaggedTensor:
    """The batch as one of TorchRec's own class, whose attributes are read: of a derived one what accessors give."""
    if type(features) is KeyedJaggedTensor or not isinstance(features, KeyedJaggedTensor):
        return features
    strides = features.stride_per_key_per_rank() or None
    return KeyedJaggedTensor(
        features.keys(),
        features.values(),
        weights=features.weights_or_none(),
        lengths=features.lengths_or_none(),
        offsets=features.offsets_or_none(),
        stride=features.stride() if strides is None else None,
        stride_per_key_per_rank=strides,
        length_per_key=features.length_per_key_or_none(),
        inverse_indices=features.inverse_indices_or_none(),
    )


def is_strided(features: KeyedJaggedTensor) -> bool:
    """Whether keys may differ in their number of samples, or rows are to be picked."""
    return features._stride_per_key_per_rank is not None or features._inverse_indices is not None


def strides_of(features: KeyedJaggedTensor) -> list[int]:
    """Samples of each key."""
    strides = list(features.stride_per_key())
    if len(strides) != len(features.keys()):
        raise InputError(f"stride_per_key: expected {len(features.keys())} numbers, got {len(strides)}")
    return strides


def lengths_by_key(features: KeyedJaggedTensor, strides: list[int]) -> list[torch.Tensor]:
    """The lengths of each key, checked against the strides."""
    if features.lengths_or_none() is None and features.offsets_or_none() is None:
        raise InputError("expected lengths or offsets, got none")
    lengths = features.lengths().view(-1)
    device = features.values().device
    if lengths.numel() != sum(strides) or lengths.dtype not in ID_TYPES or lengths.device != device:
        raise InputError(
            f"lengths: expected {sum(strides)} elements of int32 or int64 on the {device}, the sum of stride_per_key "
            f"{strides}, got {lengths.numel()} of {lengths.dtype} on '{lengths.device}'"
        )
    return list(torch.split(lengths, strides))


def pad(features: KeyedJaggedTensor, strides: list[int], fixed: dict[str, int]) -> KeyedJaggedTensor:
    """The same ids with as many samples for each key as the longest has; the lengths of some features are fixed."""
    by_key = lengths_by_key(features, strides)
    longest = max(strides, default=0)
    for key, stride in zip(features.keys(), strides):
        if fixed.get(key) and stride < longest:
            raise InputError(
                f"feature '{key}' has {stride} samples, another one {longest}: expected one number of samples, for its "
                f"length is fixed to {fixed[key]}; compile the collection without fixed_lengths"
            )
    kind = by_key[0].dtype if by_key else torch.int64
    lengths = torch.zeros(len(by_key), longest, dtype=kind, device=features.values().device)
    for row, given in zip(lengths, by_key):
        row[: given.numel()] = given
    return _with_lengths(features, lengths.view(-1), longest)


def as_one_sample(features: KeyedJaggedTensor, by_key: list[torch.Tensor]) -> KeyedJaggedTensor:
    """The ids of each key in one bag: without pooling the bags do not matter."""
    if any(bool((lengths < 0).any()) for lengths in by_key):
        raise InputError(f"lengths: expected 0 or more, got {min(int(x.min()) for x in by_key if x.numel())}")
    totals = torch.tensor([int(lengths.sum()) for lengths in by_key], dtype=torch.int64)
    totals = totals.to(features.values().device)
    return _with_lengths(features, totals, 1)


def _with_lengths(features: KeyedJaggedTensor, lengths: torch.Tensor, stride: int) -> KeyedJaggedTensor:
    weights = features.weights_or_none()
    return KeyedJaggedTensor(features.keys(), features.values(), weights=weights, lengths=lengths, stride=stride)


def inverse_rows(features: KeyedJaggedTensor, names: list[str]) -> Optional[list[torch.Tensor]]:
    """For each of the features which sample each row of the result is, or None where all samples are rows."""
    inverse = features.inverse_indices_or_none()
    if inverse is None or inverse[1].numel() == 0:
        return None
    keys, rows = inverse
    if rows.dim() != 2 or rows.shape[0] != len(keys):
        raise InputError(f"inverse_indices: expected {len(keys)} rows, one for each key, got shape {list(rows.shape)}")
    place = {key: index for index, key in enumerate(keys)}
    for name in names:
        if name not in place:
            raise InputError(f"inverse_indices: feature '{name}' is missing, they have keys {list(keys)}")
    return [rows[place[name]] for name in names]


def pick_rows(block: torch.Tensor, rows: torch.Tensor, samples: int, feature: str) -> torch.Tensor:
    """Rows of one output by inverse indices, which must be among the feature's own samples and not its padding."""
    if int(rows.min()) < 0 or int(rows.max()) >= samples:
        raise InputError(
            f"inverse_indices: expected 0 to {samples - 1} for feature '{feature}', "
            f"got {int(rows.min())} to {int(rows.max())}"
        )
    return torch.index_select(block, 0, rows)


class BatchReader:
    """Reads batches with the features of one model; `outputs` are the features of its outputs."""

    __slots__ = ("_place", "_device", "_features", "_outputs", "_is_weighted", "_slots", "_last")

    def __init__(
        self, features: Sequence[str], is_weighted: bool, outputs: Sequence[str], place: Place = CPU
    ) -> None:
        self._place, self._device = place, place.device
        self._features, self._outputs = list(features), list(outputs)
        self._is_weighted = is_weighted
        self._slots = Slots(features)
        # Until another list of keys comes.
        self._last = self._find(self._features)

    def read(self, features: KeyedJaggedTensor, size: int) -> Batch:
        """Checks the batch's tensors as far as that needs no look at their elements.

        What a sample costs where it comes alone is mostly such calls. So each tensor is asked for what it has to be and
        no more, and the attributes of TorchRec's class are read; only what is not as it has to be is looked at again,
        by the functions that say what is wrong.
        """
        batch, slots, device = _new(Batch), self._last, self._device
        if features._keys != slots.keys:
            slots = self._find(features._keys)
        batch.keys, batch.size = slots, size
        values = features._values
        kind = ID_TYPES.get(values.dtype)
        if kind is None or values.device != device or values.stride() != _DENSE:
            values = check_ids(values, self._place)
        batch.values_tensor, batch.values_type = values, kind
        batch.values, batch.num_values = values.data_ptr(), values.numel()
        bounds, expected = features._offsets, slots.count * size
        if bounds is not None:
            name, expected = "offsets", expected + 1
        else:
            name, bounds = "lengths", features._lengths
        kind = None if bounds is None else ID_TYPES.get(bounds.dtype)
        is_plain = kind is not None and bounds.numel() == expected > 0 and bounds.stride() == _DENSE
        if not is_plain or bounds.device != device:
            bounds, kind = check_bounds(name, bounds, expected, self._place)
        batch.bounds = bounds
        if name == "offsets":
            batch.lengths, batch.lengths_type, batch.offsets, batch.offsets_type = 0, 0, bounds.data_ptr(), kind
        else:
            batch.lengths, batch.lengths_type, batch.offsets, batch.offsets_type = bounds.data_ptr(), kind, 0, 0
        weights = check_weights(features._weights, self._place) if self._is_weighted else None
        batch.weights_tensor = weights
        batch.weights, batch.num_weights = (0, 0) if weights is None else (weights.data_ptr(), weights.numel())
        return batch

    def _find(self, keys: list[str]) -> KeySlots:
        array = self._slots.find(keys)
        order = {name: index for index, name in enumerate(self._features)}
        features = [order[name] for name in self._outputs]
        places = features if array is None else [array[index] for index in features]
        slots = KeySlots(list(keys), len(keys), 0 if array is None else ctypes.addressof(array), array, places)
        self._last = slots
        return slots
