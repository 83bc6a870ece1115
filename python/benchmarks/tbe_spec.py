"""FBGEMM's own benchmark files: the data configuration of its TBE benchmarks, and the list of shapes of an older one.

A data configuration says nothing about the types of rows and outputs, nor about pooling: FBGEMM's benchmarks take these
on the command line, as this one does under the same names. Ids follow the configuration's distribution, but are not
clustered in time as FBGEMM's generator clusters them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.case import (
    Case,
    Distribution,
    FixedLength,
    Length,
    Load,
    Model,
    NormalLength,
    Run,
    Table,
    UniformLength,
)
from benchmarks.fields import CaseError, Fields, choice, flag, integer, number, numbers, text

# FBGEMM's names of types.
DTYPES = ("fp32", "fp16", "int8", "int4", "int2")
OUTPUTS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_IDS = {"torch.int32": "int32", "torch.int64": "int64"}
# Where run_tbe_benchmark.py, which reads shapes, has its defaults.
_SHAPES_BATCH, _SHAPES_LENGTH = 32, 13
FAMILY = "fbgemm spec"


@dataclass(frozen=True)
class SpecTypes:
    """What FBGEMM's benchmarks take as options; the defaults are those of its CPU benchmark of quantized tables."""

    weights_dtype: str = "int4"
    output_dtype: str = "fp16"
    pooling_mode: str = "sum"


def is_tbe_spec(document: Any) -> bool:
    return isinstance(document, dict) and "batch_params" in document


def is_shapes(document: Any) -> bool:
    return isinstance(document, list) and bool(document) and all(isinstance(shape, list) for shape in document)


def read_shapes(shapes: list[Any], place: str, types: SpecTypes) -> list[Case]:
    """`[[rows, dim], ...]`, one table for each."""
    check = integer(1)
    for index, shape in enumerate(shapes):
        if len(shape) != 2 or any(map(check, shape)):
            raise CaseError(f"{place}: [{index}]: expected [rows, dim], both integers of at least 1, got {shape}")
    tables = tuple(Table(rows, dim, types.weights_dtype) for rows, dim in shapes)
    return [_case(tables, False, Load(_SHAPES_BATCH, FixedLength((_SHAPES_LENGTH,))), types)]


def read_tbe_spec(document: dict[str, Any], place: str, types: SpecTypes) -> list[Case]:
    """FBGEMM's TBEDataConfig."""
    fields = Fields(document, place)
    tables = _read_tables(fields, types)
    features = sum(table.features for table in tables)
    length, batch = _read_pooling(fields.part("pooling_params"), features), _read_batch(fields.part("batch_params"))
    ids, distribution = _read_indices(fields.part("indices_params"))
    weighted = fields.get("weighted", flag)
    # On the CPU all the same; the largest id follows from the tables.
    for name in ("use_cpu", "max_indices"):
        fields.get(name, None, None)
    _refuse(fields, "indices_params_list", "ids of one distribution")
    fields.finish()
    return [_case(tuple(tables), weighted, Load(batch, length, ids, distribution), types)]


def _case(tables: tuple[Table, ...], weighted: bool, load: Load, types: SpecTypes) -> Case:
    model = Model(tables, "bags", types.pooling_mode, weighted, OUTPUTS[types.output_dtype])
    return Case(FAMILY, model, load, Run(peers=("fbgemm", "trec", "trec_module", "torchrec")))


def _refuse(fields: Fields, name: str, expected: str) -> None:
    value = fields.get(name, None, None)
    if value is not None:
        raise fields.wrong(name, expected, value)


def _integers(fields: Fields, name: str, count: int) -> list[int]:
    """One for each feature; absent where all are alike."""
    values = fields.get(name, None, None)
    if values is None:
        return []
    check = integer(1)
    if not isinstance(values, list) or len(values) != count or any(map(check, values)):
        raise fields.wrong(name, f"{count} integers of at least 1", values)
    return values


def _read_tables(fields: Fields, types: SpecTypes) -> list[Table]:
    count = fields.get("T", integer(1))
    rows, dim = fields.get("E", integer(1)), fields.get("D", integer(1))
    all_rows, dims = _integers(fields, "Es", count), _integers(fields, "Ds", count)
    if fields.get("mixed_dim", flag, False) and not dims:
        # As FBGEMM's benchmark draws them, with the seed that it sets.
        drawn = np.random.RandomState(42).randint(int(0.5 * dim), max(int(1.5 * dim), 1), count)
        dims = [max(8, round(int(d) / 8) * 8) for d in drawn]
    shapes = list(zip(all_rows or [rows] * count, dims or [dim] * count))
    specs = fields.get("embedding_specs", None, None)
    if specs is not None:
        check = integer(1)
        if not isinstance(specs, list) or not all(isinstance(s, list) and len(s) >= 2 for s in specs):
            raise fields.wrong("embedding_specs", "a list of [rows, dim]", specs)
        if any(check(value) for spec in specs for value in spec[:2]):
            raise fields.wrong("embedding_specs", "rows and dims of at least 1", specs)
        shapes = [(spec[0], spec[1]) for spec in specs]
    features = _features_by_table(fields, len(shapes), count)
    return [Table(r, d, types.weights_dtype, features[index]) for index, (r, d) in enumerate(shapes)]


def _features_by_table(fields: Fields, num_tables: int, count: int) -> list[int]:
    table_of = fields.get("feature_table_map", None, None)
    if table_of is None:
        if num_tables != count:
            raise fields.wrong("feature_table_map", f"a table for each of the {count} features", None)
        return [1] * num_tables
    if not isinstance(table_of, list) or sorted(set(map(str, table_of))) != sorted(map(str, range(num_tables))):
        raise fields.wrong("feature_table_map", f"each of the tables 0 to {num_tables - 1} at least once", table_of)
    return [table_of.count(index) for index in range(num_tables)]


def _read_batch(fields: Fields) -> int:
    batch = fields.get("B", integer(1))
    for name in ("sigma_B", "vbe_num_ranks", "Bs"):
        _refuse(fields, name, "null: TorchRec's quantized modules take one batch size for all features")
    fields.get("vbe_distribution", None, None)
    fields.finish()
    return batch


def _read_pooling(fields: Fields, features: int) -> Length:
    mean = fields.get("L", integer(0))
    sigma = fields.get("sigma_L", None, None)
    kind = fields.get("length_distribution", None, None) or "normal"
    lengths = fields.get("Ls", None, None)
    if lengths is not None:
        if not isinstance(lengths, list) or len(lengths) != features or numbers(lengths):
            raise fields.wrong("Ls", f"{features} numbers of at least 0", lengths)
        result: Length = FixedLength(tuple(int(length) for length in lengths))
    elif sigma is None:
        result = FixedLength((mean,))
    else:
        fields.check("sigma_L", number(0), sigma)
        fields.check("length_distribution", choice("normal", "uniform"), kind)
        # A uniform distribution of this mean and deviation.
        half = sigma * 3**0.5
        low, high = max(0, round(mean - half)), round(mean + half)
        result = NormalLength(mean, sigma) if kind == "normal" else UniformLength(low, high)
    fields.finish()
    return result


def _read_indices(fields: Fields) -> tuple[str, Distribution]:
    distribution = Distribution(
        exponent=fields.get("zipf_s", number(0)),
        q=fields.get("zipf_q", number(0)),
        hitters=fields.get("heavy_hitters", numbers, ()),
    )
    if sum(distribution.hitters) > 1 + 1e-6:
        raise fields.wrong("heavy_hitters", "probabilities that sum to at most 1", list(distribution.hitters))
    ids = fields.get("index_dtype", None, None) or "torch.int64"
    fields.check("index_dtype", choice(*_IDS), ids)
    # Offsets have the type of the ids, as TorchRec makes them.
    fields.check("offset_dtype", text, fields.get("offset_dtype", None, None) or "torch.int64")
    fields.finish()
    return _IDS[ids], distribution
