"""Random models of every kind and their batches, from seeds alone, so that both machines make the same."""

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from trec.quantize import quantize_rows
from trec.spec import (
    ARRAY,
    BAGS,
    HASH_TABLE,
    SEQUENCE,
    SORTED,
    ModelSpec,
    PositionWeightsSpec,
    RegroupSpec,
    RemapSpec,
    TableSpec,
)

_DTYPES = ("int8", "int8", "int4", "int4", "int2", "fp16", "fp32", "bf16", "fp8")
# FBGEMM's kernels for GPUs take dims of these multiples.
_STEPS = {"int8": 4, "int4": 8, "int2": 16, "fp16": 2, "fp32": 1, "bf16": 1, "fp8": 4}
_TAKEN_BY_FBGEMM = ("int8", "int4", "int2", "fp16", "fp32")
_LONGEST_POSITION = 12


@dataclass
class Case:
    """A model: its spec, and how it is compiled."""

    name: str
    seed: int
    spec: Any
    numerics: str = "fbgemm"

    def collections(self) -> list[ModelSpec]:
        return self.spec.collections if isinstance(self.spec, RegroupSpec) else [self.spec]


@dataclass
class Batch:
    """Ids of all features, one feature after the other."""

    keys: list[str]
    values: np.ndarray
    lengths: np.ndarray
    by_offsets: bool
    weights: Optional[np.ndarray] = None
    size: int = 0

    @property
    def offsets(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)]).astype(self.lengths.dtype)

    def bounds(self) -> dict[str, np.ndarray]:
        return {"offsets": self.offsets} if self.by_offsets else {"lengths": self.lengths}


@dataclass
class Tensors:
    """Stored rows by table, and what comes beside them by parameter."""

    rows: dict[str, np.ndarray] = field(default_factory=dict)
    parameters: dict[str, np.ndarray] = field(default_factory=dict)

    def all(self) -> dict[str, np.ndarray]:
        return {**self.rows, **self.parameters}


def _table(random: np.random.Generator, name: str, features: list[str], is_taken: bool) -> TableSpec:
    dtype = str(random.choice(_TAKEN_BY_FBGEMM if is_taken else _DTYPES))
    is_even = is_taken or random.random() < 0.7
    step = _STEPS[dtype] if is_even else 1
    dim = int(random.integers(1, max(2, int(random.choice([16, 130, 300])) // step + 1))) * step
    return TableSpec(
        name, int(random.integers(1, 400)), dim, dtype,
        [str(feature) for feature in random.permutation(features)[: int(random.choice([1, 1, 2]))]],
        str(random.choice(["sum", "mean"])), 16 if is_even else 1,
    )  # fmt: skip


def _maps(random: np.random.Generator, table: TableSpec) -> None:
    kind = str(random.choice([ARRAY, HASH_TABLE, SORTED]))
    rows = table.num_embeddings or 1
    length = {ARRAY: rows + 50, HASH_TABLE: 2 * (rows + 3), SORTED: rows}[kind]
    table.remap = RemapSpec(f"map.{table.name}", kind, length, rows + 200 if kind == HASH_TABLE else None)


def _collection(
    random: np.random.Generator, kind: str, prefix: str = "", output: str = "", is_taken: bool = False
) -> ModelSpec:
    """One that FBGEMM takes as a whole, or any."""
    features = [f"{prefix}f{index}" for index in range(int(random.integers(1, 7)))]
    tables = [
        _table(random, f"{prefix}t{index}", features, is_taken) for index in range(int(random.integers(1, 6)))
    ]  # fmt: skip
    if kind == "maps":
        for table in tables:
            _maps(random, table)
    spec = ModelSpec(
        tables, weighted=kind == "weighted", bounds_check="ignore",
        output_dtype=output or str(random.choice(["float32", "float16", "bfloat16"])),
        kind=SEQUENCE if kind == "sequence" else BAGS,
    )  # fmt: skip
    if kind == "positions":
        spec.position_weights = [PositionWeightsSpec(name, _LONGEST_POSITION) for name in spec.features]
    return spec


def _promise(random: np.random.Generator, spec: ModelSpec) -> None:
    """Fixes the lengths of all features, so that no offset is waited for, or of some."""
    share = random.choice([1.0, 1.0, 0.5])
    for name in spec.features:
        if random.random() < share:
            spec.fixed_lengths[name] = int(random.choice([0, 1, 2, 5, _LONGEST_POSITION]))


def _regroup(random: np.random.Generator) -> RegroupSpec:
    output = str(random.choice(["float32", "float16"]))
    kinds = [str(random.choice(["bags", "weighted"])) for _ in range(2)]
    collections = [_collection(random, kind, f"c{index}", output) for index, kind in enumerate(kinds)]
    keys = [item.key for collection in collections for item in collection.outputs]
    picked = [str(key) for key in random.permutation(keys)]
    cut = max(1, len(picked) // 2)
    groups = {"first": picked[:cut], "second": [*picked[cut:], picked[0]]}
    for index, collection in enumerate(collections):
        own = {item.key for item in collection.outputs}
        if not own & {key for group in groups.values() for key in group}:
            raise AssertionError(f"collection {index} is not in a group")
    return RegroupSpec(collections, [0, 1], groups, output_dtype=output, bounds_check="ignore")


KINDS = ("bags", "weighted", "sequence", "maps", "positions", "regroup")


def make_case(seed: int) -> Case:
    """The case of a seed: kinds take turns, every third of a kind has the numbers of CPUs, every second fixed lengths.

    A quarter of all, half of the kinds that FBGEMM has, it takes as a whole, so that bits are compared with its own.
    """
    kind, turn = KINDS[seed % len(KINDS)], seed // len(KINDS)
    random = np.random.default_rng([seed, 1])
    is_taken = kind in ("bags", "weighted", "sequence") and turn % 6 in (1, 3, 4)
    spec = _regroup(random) if kind == "regroup" else _collection(random, kind, is_taken=is_taken)
    if turn % 2:
        for collection in spec.collections if isinstance(spec, RegroupSpec) else [spec]:
            _promise(random, collection)
    numerics = "cpu" if turn % 3 == 2 else "fbgemm"
    return Case(f"{seed:03}-{kind}-{numerics}", seed, spec, numerics)


def make_tensors(case: Case) -> Tensors:
    """The rows and parameters of a case, by the names that the compiled model has for them."""
    random, result = np.random.default_rng([case.seed, 2]), Tensors()
    for spec in case.collections():
        for table in spec.tables:
            values = random.standard_normal((table.num_embeddings or 0, table.embedding_dim)).astype(np.float32)
            result.rows[table.name] = quantize_rows(values, table.dtype, table.row_alignment)
            if table.remap:
                result.parameters[table.remap.name] = _entries(random, table)
        for weights in spec.position_weights:
            numbers = random.standard_normal(weights.length).astype(np.float32)
            result.parameters[weights.name] = numbers
    return result


def _entries(random: np.random.Generator, table: TableSpec) -> np.ndarray:
    remap, rows = table.remap, table.num_embeddings or 1
    assert remap is not None and remap.length is not None
    if remap.kind == ARRAY:
        return random.integers(-1, rows, remap.length).astype(np.int32)
    if remap.kind == SORTED:
        known = np.sort(random.choice(10 * rows, rows, replace=False))
        known[-1] = np.iinfo(np.int64).max
        return np.stack([known, np.concatenate([random.permutation(rows - 1), [rows - 1]])], axis=1).astype(np.int64)
    slots = np.full((remap.length, 2), -1, np.int32)
    for row, identifier in enumerate(random.permutation(remap.num_ids or 0)[:rows]):
        slot = _hash(int(identifier)) % remap.length
        while slots[slot, 0] != -1:
            slot = (slot + 1) % remap.length
        slots[slot] = identifier, row
    return slots


def _hash(key: int) -> int:
    """The finaliser of 32-bit MurmurHash3, as FBGEMM fills its tables."""
    key ^= key >> 16
    key = key * 0x85EBCA6B & 0xFFFFFFFF
    key ^= key >> 13
    key = key * 0xC2B2AE35 & 0xFFFFFFFF
    return key ^ key >> 16


def _limits(spec: ModelSpec) -> dict[str, int]:
    """Ids of a feature that are good in all of its tables."""
    limits: dict[str, int] = {}
    for table in spec.tables:
        remap = table.remap
        limit = table.num_embeddings or 1
        if remap:
            limit = remap.num_ids or (10 * limit if remap.kind == SORTED else remap.length or 1)
        for feature in table.features:
            limits[feature] = min(limits.get(feature, limit), limit)
    return limits


def make_batches(case: Case, number: int) -> list[list[Batch]]:
    """`number` calls of the model: for each a batch of every collection."""
    random = np.random.default_rng([case.seed, 3])
    calls = []
    for _ in range(number):
        size = int(random.choice([0, 1, 2, 5, 33, 64, 300]))
        calls.append([_batch(random, spec, size) for spec in case.collections()])
    return calls


def _batch(random: np.random.Generator, spec: ModelSpec, size: int) -> Batch:
    limits = _limits(spec)
    extra = [f"extra{index}" for index in range(int(random.choice([0, 0, 1, 2])))]
    keys = [str(key) for key in random.permutation(spec.features + extra)] if random.random() < 0.5 else spec.features
    longest = _LONGEST_POSITION if spec.position_weights else int(random.choice([1, 4, 30, 200]))
    kind = random.choice([np.int32, np.int64])
    is_bad, values, lengths = random.random() < 0.3, [], []
    for key in keys:
        limit = limits.get(key, 10)
        own = random.integers(0, longest + 1, size)
        own[:] = spec.fixed_lengths.get(key, own)
        ids = random.integers(0, limit, int(own.sum()))
        ids[random.random(len(ids)) < 0.05] = -1
        if is_bad:
            ids = np.where(random.random(len(ids)) < 0.05, random.choice([-7, limit, 2**31 - 1], len(ids)), ids)
        values.append(ids)
        lengths.append(own)
    joined = np.concatenate(values).astype(kind)
    weights = random.standard_normal(len(joined)).astype(np.float32) if spec.weighted else None
    counts = np.concatenate(lengths).astype(random.choice([np.int32, np.int64]))
    return Batch(list(keys), joined, counts, bool(random.random() < 0.5), weights, size)
