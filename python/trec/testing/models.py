"""Random collections and batches, over everything that torchrec.quant's module takes.

The shape of a case is drawn through `Draw`, so that hypothesis can shrink it; rows and ids come from a seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, PoolingType
from torchrec.quant.embedding_modules import EmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from trec.spec import BITS

_DATA_TYPES = {
    "fp32": DataType.FP32,
    "fp16": DataType.FP16,
    "int8": DataType.INT8,
    "int4": DataType.INT4,
    "int2": DataType.INT2,
}
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
class Case:
    module: EmbeddingBagCollection
    features: list[str]
    seed: int


@dataclass
class Batch:
    keys: list[str]
    values: torch.Tensor
    lengths: torch.Tensor
    by_offsets: bool
    weights: Optional[torch.Tensor]

    def kjt(self) -> KeyedJaggedTensor:
        """A new one each time: FBGEMM overwrites bad ids in its input."""
        weights = None if self.weights is None else self.weights.clone()
        if not self.by_offsets:
            return KeyedJaggedTensor(self.keys, self.values.clone(), weights=weights, lengths=self.lengths.clone())
        offsets = torch.zeros(len(self.lengths) + 1, dtype=self.lengths.dtype)
        offsets[1:] = self.lengths.cumsum(0)
        return KeyedJaggedTensor(self.keys, self.values.clone(), weights=weights, offsets=offsets)


def _finite_halves(random: np.random.Generator, shape: tuple[int, ...], specials: bool) -> np.ndarray:
    """All magnitudes alike, as fp16 bits; with `specials` also infinities and NaN."""
    halves = random.integers(0, 1 << 16, shape, dtype=np.uint16)
    exponent = np.uint16(0x7C00)
    return halves if specials else np.where(halves & exponent == exponent, halves ^ np.uint16(0x4000), halves)


def as_array(values: torch.Tensor) -> np.ndarray:
    """numpy has no bfloat16: its bits."""
    return values.view(torch.uint16).numpy() if values.dtype is torch.bfloat16 else values.numpy()


def random_rows(random: np.random.Generator, config: Any, dtype: str, specials: bool) -> tuple[Any, Any]:
    """What `table_name_to_quantized_weights` takes for one table."""
    rows, dim = config.num_embeddings, config.embedding_dim
    if dtype.startswith("int"):
        codes = random.integers(0, 256, (rows, dim * BITS[dtype] // 8), dtype=np.uint8)
        if random.random() < 0.5:
            header = random.standard_normal((rows, 2)).astype(np.float16).view(np.uint8)
        else:
            header = _finite_halves(random, (rows, 2), specials).view(np.uint8)
        return torch.from_numpy(codes), torch.from_numpy(header)
    if dtype == "fp16":
        stored = _finite_halves(random, (rows, dim), specials)
    else:
        spread = 10.0 ** random.uniform(-30, 30, (rows, dim)) if specials else 1.0
        stored = (random.standard_normal((rows, dim)) * spread).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(stored).view(np.uint8)), None


def _draw_dim(draw: Draw, dtype: str) -> int:
    # FBGEMM looks up whole bytes only.
    per_byte = max(1, 8 // BITS[dtype])
    largest = draw.choice((8, 40, 300)) // per_byte
    return draw.integer(1, largest) * per_byte


def _draw_table(draw: Draw, index: int, pool: list[str]) -> EmbeddingBagConfig:
    dtype = draw.choice(tuple(BITS))
    return EmbeddingBagConfig(
        name=f"t{index}",
        num_embeddings=draw.integer(1, draw.choice((3, 50, 400))),
        embedding_dim=_draw_dim(draw, dtype),
        feature_names=[draw.choice(pool) for _ in range(draw.choice((1, 1, 1, 2, 3)))],
        data_type=_DATA_TYPES[dtype],
        pooling=draw.choice((PoolingType.SUM, PoolingType.MEAN)),
    )


def draw_case(draw: Draw) -> Case:
    """1 to 6 tables of mixed types and dims; features shared, several to a table, or twice in one."""
    pool = [f"f{index}" for index in range(draw.integer(1, 8))]
    configs = [_draw_table(draw, index, pool) for index in range(draw.integer(1, 6))]
    seed = draw.integer(0, 2**31)
    random, specials = np.random.default_rng(seed), draw.chance(20)
    names = {data_type: name for name, data_type in _DATA_TYPES.items()}
    weights = {config.name: random_rows(random, config, names[config.data_type], specials) for config in configs}
    row_alignment = draw.choice((1, 16))
    module = EmbeddingBagCollection(
        configs,
        is_weighted=draw.chance(40),
        device=torch.device("cpu"),
        output_dtype=draw.choice((torch.float32, torch.float32, torch.float16, torch.bfloat16)),
        table_name_to_quantized_weights=weights,
        row_alignment=row_alignment,
        # torch cannot view rows of an odd size as fp16, which the split layout needs.
        quant_state_dict_split_scale_bias=row_alignment > 1 and draw.chance(20),
        register_tbes=draw.chance(20),
    )
    features = list(dict.fromkeys(feature for config in configs for feature in config.feature_names))
    return Case(module, features, seed)


def _rows_of_feature(case: Case, feature: str) -> int:
    configs = case.module.embedding_bag_configs()
    return min((c.num_embeddings for c in configs if feature in c.feature_names), default=10)


def _ids(random: np.random.Generator, rows: int, count: int, bad: bool) -> np.ndarray:
    ids = random.integers(0, rows, count)
    ids[random.random(count) < 0.05] = -1
    if bad:
        ids = np.where(random.random(count) < 0.05, random.choice([-7, rows, 2**31 - 1], count), ids)
    return ids


def draw_batch(draw: Draw, case: Case) -> Batch:
    """Keys permuted, with extra ones; empty bags, empty batches, -1 and bad ids among the rest."""
    random = np.random.default_rng(draw.integer(0, 2**31))
    extra = [f"extra{index}" for index in range(draw.choice((0, 0, 1, 2)))]
    keys = list(case.features) if draw.chance(40) else [str(key) for key in random.permutation(case.features + extra)]
    size, longest, bad = draw.choice(_BATCH_SIZES), draw.choice((0, 1, 4, 40)), draw.chance(30)
    lengths = random.integers(0, longest + 1, (len(keys), size))
    ids = [_ids(random, _rows_of_feature(case, key), int(lengths[i].sum()), bad) for i, key in enumerate(keys)]
    values = torch.from_numpy(np.concatenate(ids)).to(draw.choice((torch.int32, torch.int64)))
    weights = None
    if case.module.is_weighted() or draw.chance(20):
        spread = 10.0 ** random.uniform(-5, 5, values.numel()) if draw.chance(30) else 1.0
        weights = torch.from_numpy((random.standard_normal(values.numel()) * spread).astype(np.float32))
    kind = draw.choice((torch.int32, torch.int64))
    # TorchRec cannot permute an empty batch that has offsets.
    by_offsets = draw.chance(50) and size > 0
    return Batch(keys, values, torch.from_numpy(lengths.ravel()).to(kind), by_offsets, weights)
