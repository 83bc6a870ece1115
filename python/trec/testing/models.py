"""Random batches for random collections, over everything that a KeyedJaggedTensor can hold.

What is drawn goes through `Draw`, so that hypothesis can shrink it; ids and weights come from a seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

_BATCH_SIZES = (0, 1, 1, 2, 3, 5, 17, 64)


@dataclass
class Draw:
    """`integer(low, high)`, both inclusive, is all that a source of choices must give."""

    integer: Callable[[int, int], int]

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.integer(1, 100) > 100 - percent


def seeded_draw(seed: int) -> Draw:
    random = np.random.default_rng(seed)
    return Draw(lambda low, high: int(random.integers(low, high + 1)))


@dataclass
class Shape:
    """What a collection asks of its batches: rows by feature, and how large they may be."""

    rows: dict[str, int]
    is_weighted: bool = False
    largest_batch: int = 64
    longest_bag: int = 40
    takes_empty_batches: bool = True
    takes_strides: bool = True
    # What stands between ids and rows may know no -1, or one type of ids alone.
    takes_skipped: bool = True
    id_types: tuple[torch.dtype, ...] = (torch.int32, torch.int64)
    # By feature: what every bag of it has.
    fixed_lengths: dict[str, int] = field(default_factory=dict)
    # Of a model that takes several batches.
    others: list["Shape"] = field(default_factory=list)

    def all(self) -> list["Shape"]:
        """This one and those that come with it."""
        return [self, *self.others]


@dataclass
class Batch:
    keys: list[str]
    values: torch.Tensor
    lengths: torch.Tensor
    by_offsets: bool
    weights: Optional[torch.Tensor]
    strides: Optional[list[int]] = None
    inverse: Optional[torch.Tensor] = None
    others: list["Batch"] = field(default_factory=list)

    def all(self) -> list["Batch"]:
        """This one and those that come with it."""
        return [self, *self.others]

    def kjt(self) -> KeyedJaggedTensor:
        """A new one each time: FBGEMM overwrites bad ids in its input."""
        weights = None if self.weights is None else self.weights.clone()
        arguments: dict[str, Any] = {}
        if self.strides is not None:
            arguments["stride_per_key_per_rank"] = [[stride] for stride in self.strides]
            arguments["inverse_indices"] = (self.keys, self.inverse)
        if not self.by_offsets:
            arguments["lengths"] = self.lengths.clone()
        else:
            arguments["offsets"] = torch.zeros(len(self.lengths) + 1, dtype=self.lengths.dtype)
            arguments["offsets"][1:] = self.lengths.cumsum(0)
        return KeyedJaggedTensor(self.keys, self.values.clone(), weights=weights, **arguments)

    def plain(self) -> KeyedJaggedTensor:
        """For TorchRec's quantized modules: with the bags repeated as the inverse indices say."""
        if self.strides is None or self.inverse is None:
            return self.kjt()
        ends = self.lengths.cumsum(0).tolist()
        picked, lengths = [], []
        first = 0
        for stride, rows in zip(self.strides, self.inverse.tolist()):
            for row in rows:
                end, length = ends[first + row], int(self.lengths[first + row])
                picked += range(end - length, end)
                lengths.append(length)
            first += stride
        index = torch.tensor(picked, dtype=torch.int64)
        weights = None if self.weights is None else self.weights[index]
        return KeyedJaggedTensor(
            self.keys, self.values[index], weights=weights, lengths=torch.tensor(lengths).to(self.lengths.dtype)
        )


def as_array(values: torch.Tensor) -> np.ndarray:
    """numpy has no bfloat16: its bits."""
    values = values.detach()
    return values.view(torch.uint16).numpy() if values.dtype is torch.bfloat16 else values.numpy()


def flatten(result: Any) -> tuple[list[Any], list[np.ndarray]]:
    """The names and the arrays of a KeyedTensor or of a dict of either kind, and of remapped features with it."""
    if isinstance(result, tuple):
        parts = [flatten(part) for part in result]
        return sum((names for names, _ in parts), []), sum((arrays for _, arrays in parts), [])
    if isinstance(result, KeyedJaggedTensor):
        weights = result.weights_or_none()
        tensors = [result.values(), result.lengths(), *([] if weights is None else [weights])]
        return list(result.keys()), [as_array(tensor) for tensor in tensors]
    if isinstance(result, KeyedTensor):
        return [*result.keys(), *result.length_per_key()], [as_array(result.values())]
    if all(isinstance(value, torch.Tensor) for value in result.values()):
        return list(result), [as_array(value) for value in result.values()]
    tensors = [
        tensor
        for jagged in result.values()
        for tensor in (jagged.values(), jagged.lengths(), jagged.weights_or_none())
        if tensor is not None
    ]
    return list(result), [as_array(tensor) for tensor in tensors]


def _ids(random: np.random.Generator, rows: int, count: int, skipped: bool) -> np.ndarray:
    ids = random.integers(0, rows, count)
    if skipped:
        ids[random.random(count) < 0.05] = -1
    return ids


def _with_bad_ids(random: np.random.Generator, rows: int, ids: np.ndarray, bad: bool) -> np.ndarray:
    count = len(ids)
    if bad:
        ids = np.where(random.random(count) < 0.05, random.choice([-7, rows, 2**31 - 1], count), ids)
    return ids


def draw_batch(draw: Draw, shape: Shape) -> Batch:
    """A batch, and the others of a model that takes several: all of one size."""
    shapes = shape.all()
    smallest = 0 if all(item.takes_empty_batches for item in shapes) else 1
    size = draw.choice([size for size in _BATCH_SIZES if smallest <= size <= shape.largest_batch])
    is_strided = size > 0 and all(item.takes_strides for item in shapes) and draw.chance(20)
    first, *others = [_draw_batch(draw, item, size, is_strided) for item in shapes]
    first.others = others
    return first


def _draw_batch(draw: Draw, shape: Shape, size: int, is_strided: bool) -> Batch:
    """Keys permuted, with extra ones; empty bags, empty batches, -1, bad ids and other sizes by key among the rest."""
    random = np.random.default_rng(draw.integer(0, 2**31))
    features = list(shape.rows)
    extra = [f"extra{index}" for index in range(draw.choice((0, 0, 1, 2)))]
    keys = features if draw.chance(40) else [str(key) for key in random.permutation(features + extra)]
    longest, bad = draw.choice([length for length in (0, 1, 4, 40) if length <= shape.longest_bag]), draw.chance(30)
    strides = inverse = None
    if is_strided:
        strides = [int(stride) for stride in random.integers(1, size + 1, len(keys))]
        inverse = torch.from_numpy(np.stack([random.integers(0, stride, size + 2) for stride in strides]))
    # Bags of one id each are a case of their own, which lengths from 0 hardly make.
    shortest = 1 if longest and draw.chance(30) else 0
    lengths = [random.integers(shortest, longest + 1, stride) for stride in strides or [size] * len(keys)]
    for index, key in enumerate(keys):
        if key in shape.fixed_lengths:
            lengths[index][:] = shape.fixed_lengths[key]
    limits = [shape.rows.get(key, 10) for key in keys]
    ids = [_ids(random, limit, int(count.sum()), shape.takes_skipped) for limit, count in zip(limits, lengths)]
    ids = [_with_bad_ids(random, limit, part, bad) for limit, part in zip(limits, ids)]
    values = torch.from_numpy(np.concatenate(ids)).to(draw.choice(shape.id_types))
    weights = None
    if shape.is_weighted or draw.chance(20):
        spread = 10.0 ** random.uniform(-5, 5, values.numel()) if draw.chance(30) else 1.0
        weights = torch.from_numpy((random.standard_normal(values.numel()) * spread).astype(np.float32))
    kind = draw.choice((torch.int32, torch.int64))
    # TorchRec cannot permute an empty batch that has offsets.
    by_offsets = draw.chance(50) and size > 0
    joined = torch.from_numpy(np.concatenate(lengths)).to(kind)
    return Batch(keys, values, joined, by_offsets, weights, strides, inverse)
