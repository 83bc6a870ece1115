"""Random collections of every kind, each with what it is compared with.

A kind's peer is TorchRec's quantized module where there is one. For bf16 and fp8 rows, which TorchRec cannot reach, it
is the formula in numpy, which the tests hold to FBGEMM's operators.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatBags
from torchrec.modules.feature_processor_ import PositionWeightedModule, PositionWeightedModuleCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessorDictWrapper
from torchrec.modules.mc_modules import (
    DistanceLFU_EvictionPolicy,
    ManagedCollisionCollection,
    MCHManagedCollisionModule,
)
from torchrec.modules.regroup import KTRegroupAsDict
from torchrec.quant.embedding_modules import (
    EmbeddingBagCollection,
    EmbeddingCollection,
    FeatureProcessedEmbeddingBagCollection,
    QuantManagedCollisionEmbeddingBagCollection,
    QuantManagedCollisionEmbeddingCollection,
)
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

from trec.quantize import quantize_rows
from trec.spec import BITS, ModelSpec, TableSpec
from trec.testing import reference
from trec.testing.models import Draw, Shape

_DATA_TYPES = {
    "fp32": DataType.FP32,
    "fp16": DataType.FP16,
    "int8": DataType.INT8,
    "int4": DataType.INT4,
    "int2": DataType.INT2,
}
_DTYPES = {data_type: name for name, data_type in _DATA_TYPES.items()}
_OUTPUTS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# TorchRec's names for outputs of stored rows.
_STORED = (torch.qint8, torch.quint8, torch.int8, torch.uint8)
_CPU = torch.device("cpu")
_LONGEST_BAG = 40


@dataclass
class Case:
    """`module` is compiled with `options`; `peer` takes the batches that it is compared on."""

    module: Any
    shape: Shape
    peer: Callable[..., Any]
    options: dict[str, Any]


def _finite_halves(random: np.random.Generator, shape: tuple[int, ...], specials: bool) -> np.ndarray:
    """All magnitudes alike, as fp16 bits; with `specials` also infinities and NaN."""
    halves = random.integers(0, 1 << 16, shape, dtype=np.uint16)
    exponent = np.uint16(0x7C00)
    return halves if specials else np.where(halves & exponent == exponent, halves ^ np.uint16(0x4000), halves)


def _rows_of(config: Any) -> int:
    """Of an EmbeddingConfig TorchRec stores all rows."""
    pruned = config.num_embeddings_post_pruning if isinstance(config, EmbeddingBagConfig) else None
    return config.num_embeddings if pruned is None else pruned


def random_rows(random: np.random.Generator, config: Any, specials: bool) -> tuple[Any, Any]:
    """What `table_name_to_quantized_weights` takes for one table."""
    rows, dim, dtype = _rows_of(config), config.embedding_dim, _DTYPES[config.data_type]
    if dtype.startswith("int"):
        codes = random.integers(0, 256, (rows, dim * BITS[dtype] // 8), dtype=np.uint8)
        kind = random.random()
        if kind < 0.3:
            header = random.standard_normal((rows, 2)).astype(np.float16).view(np.uint8)
        elif kind < 0.6:
            # Whole numbers of some bits: up to some length of a bag the sums are exact.
            bits = random.integers(1, 12)
            header = (random.integers(-(2**bits) + 1, 2**bits, (rows, 2)) / 256).astype(np.float16).view(np.uint8)
        else:
            header = _finite_halves(random, (rows, 2), specials).view(np.uint8)
        return torch.from_numpy(codes), torch.from_numpy(header)
    if dtype == "fp16":
        stored = _finite_halves(random, (rows, dim), specials)
    else:
        spread = 10.0 ** random.uniform(-30, 30, (rows, dim)) if specials else 1.0
        stored = (random.standard_normal((rows, dim)) * spread).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(stored).view(np.uint8)), None


def _draw_dim(draw: Draw, per_byte: int) -> int:
    # FBGEMM looks up whole bytes only.
    return draw.integer(1, draw.choice((8, 40, 300)) // per_byte) * per_byte


def _draw_rows(draw: Draw) -> int:
    return draw.integer(1, draw.choice((3, 50, 400)))


def _draw_bags(draw: Draw) -> list[EmbeddingBagConfig]:
    """1 to 6 tables of mixed types and dims; features shared, several to a table, or twice in one."""
    pool = [f"f{index}" for index in range(draw.integer(1, 8))]
    configs = []
    for index in range(draw.integer(1, 6)):
        dtype = draw.choice(tuple(_DATA_TYPES))
        config = EmbeddingBagConfig(
            name=f"t{index}",
            num_embeddings=_draw_rows(draw),
            embedding_dim=_draw_dim(draw, max(1, 8 // BITS[dtype])),
            feature_names=[draw.choice(pool) for _ in range(draw.choice((1, 1, 1, 2, 3)))],
            data_type=_DATA_TYPES[dtype],
            pooling=draw.choice((PoolingType.SUM, PoolingType.MEAN)),
        )
        configs.append(config)
    return configs


def _draw_cut_bags(draw: Draw) -> list[EmbeddingBagConfig]:
    """Some of the tables pruned to their first rows: other ids are bad."""
    configs = _draw_bags(draw)
    for config in configs:
        if draw.chance(15):
            config.num_embeddings_post_pruning = draw.integer(1, config.num_embeddings)
    return configs


def _draw_sequences(draw: Draw) -> list[EmbeddingConfig]:
    """One dim; TorchRec loses an output where tables of different types share a feature, so none do."""
    dim, dtypes = _draw_dim(draw, 4), ("int8",) if draw.chance(30) else tuple(_DATA_TYPES)
    configs = []
    for index in range(draw.integer(1, 5)):
        dtype = draw.choice(dtypes)
        features = [f"{dtype}_{draw.integer(0, 3)}" for _ in range(draw.choice((1, 1, 2, 3)))]
        config = EmbeddingConfig(
            name=f"t{index}", num_embeddings=_draw_rows(draw), embedding_dim=dim, feature_names=features,
            data_type=_DATA_TYPES[dtype],
        )  # fmt: skip
        configs.append(config)
    return configs


def _rows_by_feature(configs: Sequence[Any]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for config in configs:
        for feature in config.feature_names:
            rows[feature] = min(rows.get(feature, _rows_of(config)), _rows_of(config))
    return rows


def _common(draw: Draw, configs: Sequence[Any]) -> dict[str, Any]:
    """The arguments that every quantized module takes."""
    random, specials = np.random.default_rng(draw.integer(0, 2**31)), draw.chance(20)
    row_alignment = draw.choice((1, 16))
    outputs: tuple[torch.dtype, ...] = (torch.float32, torch.float32, torch.float16, torch.bfloat16)
    if all(isinstance(config, EmbeddingConfig) and config.data_type is DataType.INT8 for config in configs):
        outputs += _STORED
    return {
        "device": _CPU,
        "output_dtype": draw.choice(outputs),
        "table_name_to_quantized_weights": {c.name: random_rows(random, c, specials) for c in configs},
        "row_alignment": row_alignment,
        # torch cannot view rows of an odd size as fp16, which the split layout needs.
        "quant_state_dict_split_scale_bias": row_alignment > 1 and draw.chance(20),
        "register_tbes": draw.chance(20),
    }


def _bags(draw: Draw) -> Case:
    configs, is_weighted = _draw_cut_bags(draw), draw.chance(40)
    module = EmbeddingBagCollection(configs, is_weighted=is_weighted, **_common(draw, configs))
    return Case(module, Shape(_rows_by_feature(configs), is_weighted), module, {})


def _sequence(draw: Draw) -> Case:
    configs = _draw_sequences(draw)
    module = EmbeddingCollection(configs, need_indices=draw.chance(50), **_common(draw, configs))
    shape = Shape(_rows_by_feature(configs), takes_strides=False, takes_skipped=not _is_stored(module))
    return Case(module, shape, module, {})


def _is_stored(module: Any) -> bool:
    """FBGEMM copies stored rows up to the first id without one; what follows is as its memory was."""
    return module.output_dtype() in _STORED


def _draw_map(draw: Draw, rows: int, pruned: float) -> Any:
    """The row of each of more ids than there are rows, -1 for a share of them."""
    ids = rows + draw.integer(0, 100)
    random = np.random.default_rng(draw.integer(0, 2**31))
    return torch.from_numpy(np.where(random.random(ids) < pruned, -1, random.integers(0, rows, ids)).astype(np.int32))


def _remapped(draw: Draw) -> Case:
    """Pruned tables. FBGEMM maps the ids of the first features alone where a table has several, so none has."""
    is_sequence, use_array = draw.chance(30), draw.chance(50)
    configs: list[Any] = _draw_sequences(draw) if is_sequence else _draw_bags(draw)
    for index, config in enumerate(configs):
        config.feature_names = [f"{config.data_type.value}_{index}" if is_sequence else config.feature_names[0]]
    kind: Any = EmbeddingCollection if is_sequence else EmbeddingBagCollection
    is_weighted = not is_sequence and draw.chance(40)
    options = {"need_indices": draw.chance(50)} if is_sequence else {"is_weighted": is_weighted}
    module = kind(configs, **options, **_common(draw, configs))
    rows = {config.name: config.num_embeddings for config in configs}
    pruned = 0 if _is_stored(module) else 0.3
    for tables, tbe in zip(module._key_to_tables.values(), module._emb_modules):
        maps = [_draw_map(draw, rows[table.name], pruned) if draw.chance(80) else None for table in tables]
        if all(found is None for found in maps):
            continue
        tbe.set_index_remappings(maps, use_array_for_index_remapping=use_array)
        rows |= {table.name: len(found) for table, found in zip(tables, maps) if found is not None}
    limits: dict[str, int] = {}
    for config in configs:
        feature, limit = config.feature_names[0], rows[config.name]
        limits[feature] = min(limits.get(feature, limit), limit)
    # FBGEMM reads what lies before an array for -1, and has no maps of empty batches.
    takes_skipped = not use_array and not _is_stored(module)
    shape = Shape(
        limits, is_weighted, takes_empty_batches=False, takes_strides=not is_sequence, takes_skipped=takes_skipped
    )
    return Case(module, shape, module, {})


def _draw_managed_module(draw: Draw, rows: int) -> Any:
    """As training leaves it: with some of the ids that it has met, some slots free."""
    managed = MCHManagedCollisionModule(
        zch_size=rows, device=_CPU, eviction_policy=DistanceLFU_EvictionPolicy(), eviction_interval=1
    )
    random = np.random.default_rng(draw.integer(0, 2**31))
    taken = draw.integer(0, rows - 1)
    ids = np.sort(random.choice(np.arange(-2, 4 * rows), taken, replace=False))
    managed._mch_sorted_raw_ids[:taken] = torch.from_numpy(ids)
    managed._mch_remapped_ids_mapping[:] = torch.from_numpy(random.permutation(rows))
    return managed


def _managed(draw: Draw) -> Case:
    """Managed collision; ids of 64 bits, for TorchRec searches for no others."""
    is_sequence, is_weighted = draw.chance(30), draw.chance(40)
    configs: list[Any] = _draw_sequences(draw) if is_sequence else _draw_bags(draw)
    for config in configs:
        config.feature_names = [f"{config.name}_{index}" for index in range(len(config.feature_names))]
    modules = {config.name: _draw_managed_module(draw, config.num_embeddings) for config in configs}
    common = {**_common(draw, configs), "managed_collision_collection": ManagedCollisionCollection(modules, configs)}
    module: Any
    if is_sequence:
        module = QuantManagedCollisionEmbeddingCollection(configs, need_indices=draw.chance(50), **common)
    else:
        module = QuantManagedCollisionEmbeddingBagCollection(configs, is_weighted, **common)
    limits = {name: 4 * config.num_embeddings for config in configs for name in config.feature_names}
    shape = Shape(limits, is_weighted and not is_sequence, takes_strides=False, id_types=(torch.int64,))
    return Case(module.eval(), shape, _fresh_order(module), {})


def _fresh_order(module: Any) -> Callable[[KeyedJaggedTensor], Any]:
    """TorchRec's managed collision would go by the order of keys that it met first."""

    def call(kjt: KeyedJaggedTensor) -> Any:
        collection = module._managed_collision_collection
        collection._features_order.clear()
        collection._created_feature_order[0] = False
        return module(kjt)

    return call


def _draw_processor(draw: Draw, features: list[str]) -> Any:
    """As long as the longest bag; of some features only, some of the time."""
    lengths = {feature: draw.integer(_LONGEST_BAG, _LONGEST_BAG + 5) for feature in features}
    if draw.chance(20):
        del lengths[features[0]]
    processor: Any = PositionWeightedModuleCollection(lengths)
    if draw.chance(40):
        modules = {feature: PositionWeightedModule(length) for feature, length in lengths.items()}
        processor = FeatureProcessorDictWrapper(torch.nn.ModuleDict(modules))
    generator = torch.Generator().manual_seed(draw.integer(0, 2**31))
    with torch.no_grad():
        for parameter in processor.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return processor


def _processed(draw: Draw) -> Case:
    configs = _draw_cut_bags(draw)
    rows = _rows_by_feature(configs)
    processor = _draw_processor(draw, list(rows))
    module = FeatureProcessedEmbeddingBagCollection(
        configs, is_weighted=True, feature_processor=processor, **_common(draw, configs)
    )
    # TorchRec's processors lose the inverse indices.
    return Case(module, Shape(rows, takes_empty_batches=False, takes_strides=False), module, {})


@dataclass
class Formula:
    """A model in numpy that is called as a collection of bags is."""

    spec: ModelSpec
    rows: dict[str, np.ndarray]

    def __call__(self, kjt: KeyedJaggedTensor) -> KeyedTensor:
        bags = kjt.to_dict()
        chosen = [bags[feature] for feature in self.spec.features]
        values = torch.cat([bag.values() for bag in chosen]).numpy()
        lengths = torch.cat([bag.lengths() for bag in chosen]).numpy()
        weights = torch.cat([bag.weights() for bag in chosen]).numpy() if self.spec.weighted else None
        result = torch.from_numpy(reference.forward(self.spec, self.rows, values, lengths, weights))
        dims = {table.name: table.embedding_dim for table in self.spec.tables}
        return KeyedTensor(
            [output.key for output in self.spec.outputs],
            [dims[output.table] for output in self.spec.outputs],
            result.view(_OUTPUTS[self.spec.output_dtype]),
        )


def _formats(draw: Draw) -> Case:
    """Float tables, at least one of them stored as bf16 or fp8; other dims than whole bytes too."""
    configs, is_weighted = _draw_bags(draw), draw.chance(40)
    dtypes = {config.name: draw.choice(("bf16", "fp8", *BITS)) for config in configs}
    dtypes[configs[0].name] = draw.choice(("bf16", "fp8"))
    for config in configs:
        config.data_type, config.embedding_dim = DataType.FP32, draw.integer(1, 40)
    torch.manual_seed(draw.integer(0, 2**31))
    module = FloatBags(configs, is_weighted, _CPU)
    output_dtype = draw.choice(tuple(_OUTPUTS))
    tables, rows = [], {}
    for config in configs:
        weight = module.embedding_bags[config.name].weight.detach()
        dtype, pooling = dtypes[config.name], config.pooling.value.lower()
        tables.append(TableSpec(config.name, *weight.shape, dtype, list(config.feature_names), pooling))
        rows[config.name] = quantize_rows(weight.numpy(), dtype, 16)
    spec = ModelSpec(tables, weighted=is_weighted, output_dtype=output_dtype)
    # The formula is slow, and KeyedJaggedTensor.to_dict fails on empty batches.
    shape = Shape(_rows_by_feature(configs), is_weighted, 3, 4, takes_empty_batches=False)
    return Case(module, shape, Formula(spec, rows), {"dtype": dtypes, "output_dtype": output_dtype})


@dataclass
class Regrouped:
    """TorchRec's collections and KTRegroupAsDict, called as the compiled module is."""

    modules: list[Any]
    regroup: KTRegroupAsDict
    batches: list[int]

    def __call__(self, *kjts: KeyedJaggedTensor) -> dict[str, torch.Tensor]:
        return self.regroup([module(kjts[batch]) for module, batch in zip(self.modules, self.batches)])


def _draw_own_bags(draw: Draw, prefix: str) -> list[EmbeddingBagConfig]:
    """Tables with features that no other collection has, at least one of them with a key of its own."""
    configs = _draw_cut_bags(draw)
    for config in configs:
        config.feature_names = [prefix + name for name in config.feature_names]
    own = EmbeddingBagConfig(
        name="own", num_embeddings=_draw_rows(draw), embedding_dim=_draw_dim(draw, 1), feature_names=[f"{prefix}own"],
        data_type=DataType.INT8,
    )  # fmt: skip
    return [*configs, own]


def _draw_groups(draw: Draw, keys: list[list[str]]) -> list[list[str]]:
    """Groups of keys, some of them in several or in none; of each collection there is one at least."""
    count = draw.integer(1, 4)
    choices = [key for names in keys for key in names]
    groups = [[draw.choice(choices) for _ in range(draw.integer(1, 4))] for _ in range(count)]
    for names in keys:
        if not any(key in names for group in groups for key in group):
            groups[draw.integer(0, count - 1)].append(draw.choice(names))
    return groups


def _regrouped(draw: Draw) -> Case:
    """1 to 3 collections, some with position weights, that read a batch each or share one."""
    count = draw.integer(1, 3)
    batches = draw.choice((list(range(count)), [0] * count, [max(0, index - 1) for index in range(count)]))
    output_dtype = draw.choice((torch.float32, torch.float32, torch.float16, torch.bfloat16))
    shapes = [Shape({}) for _ in range(max(batches) + 1)]
    modules, keys = [], []
    for index, batch in enumerate(batches):
        configs, is_processed = _draw_own_bags(draw, f"c{index}_"), draw.chance(30)
        rows, shape = _rows_by_feature(configs), shapes[batch]
        common = {**_common(draw, configs), "output_dtype": output_dtype}
        if is_processed:
            common["feature_processor"] = _draw_processor(draw, list(rows))
            # TorchRec's processors lose the inverse indices.
            shape.takes_empty_batches = shape.takes_strides = False
        is_weighted = is_processed or draw.chance(40)
        kind = FeatureProcessedEmbeddingBagCollection if is_processed else EmbeddingBagCollection
        module = kind(configs, is_weighted=is_weighted, **common)
        shape.rows.update(rows)
        shape.is_weighted |= is_weighted and not is_processed
        modules.append(module)
        names = module._embedding_names
        keys.append([name for name in names if names.count(name) == 1])
    groups = _draw_groups(draw, keys)
    half = output_dtype in (torch.float32, torch.float16) and draw.chance(20)
    regroup = KTRegroupAsDict(groups, [f"g{i}" for i in range(len(groups))], DataType.FP16 if half else None)
    shapes[0].others = shapes[1:]
    return Case(modules, shapes[0], Regrouped(modules, regroup, batches), {"regroup": regroup, "batches": batches})


_KINDS = {
    "regrouped": _regrouped,
    "bags": _bags,
    "sequence": _sequence,
    "processed": _processed,
    "formats": _formats,
    "remapped": _remapped,
    "managed": _managed,
}
# Bags are the most varied.
KINDS = ("bags", "bags", "sequence", "processed", "formats", "remapped", "managed", "regrouped")


def promise_lengths(draw: Draw, case: Case) -> None:
    """Fixes the lengths of all features or of some; keys whose lengths are fixed cannot differ in size."""
    is_of_all, fixed = draw.chance(50), {}
    for shape in case.shape.all():
        for feature in shape.rows:
            if is_of_all or draw.chance(50):
                longest = min(shape.longest_bag, draw.choice((1, 4, 40)))
                fixed[feature] = shape.fixed_lengths[feature] = draw.integer(0, longest)
        shape.takes_strides = shape.takes_strides and not shape.fixed_lengths
    case.options = {**case.options, "fixed_lengths": fixed}


def draw_case(draw: Draw, kinds: Sequence[str] = KINDS) -> Case:
    return _KINDS[draw.choice(kinds)](draw)
