"""The JSON model spec as dataclasses: what every importer gathers and `trec-import` turns into IR."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

BITS = {"fp32": 32, "fp16": 16, "int8": 8, "int4": 4, "int2": 2, "bf16": 16, "fp8": 8}
BOUNDS_CHECKS = ("fatal", "warning", "ignore", "none")
OUTPUT_DTYPES = ("float32", "float16", "bfloat16", "uint8")
HEADER_BYTES = 4
BAGS, SEQUENCE, REGROUP = "embedding_bag_collection", "embedding_collection", "regrouped_collections"


def row_bytes(dim: int, dtype: str, row_alignment: int) -> int:
    """Bytes of one row as stored: fp16 scale and bias before integer codes, padded up to the alignment."""
    header = HEADER_BYTES if dtype.startswith("int") else 0
    unpadded = header + (dim * BITS[dtype] + 7) // 8
    return -(-unpadded // row_alignment) * row_alignment


ARRAY, HASH_TABLE, SORTED = "array", "hash_table", "sorted"


@dataclass
class RemapSpec:
    """A map from ids to the rows of a table; `name` is that of its tensor in the weights file.

    `length` counts entries, None where the weights file says it. `num_ids` is of a hash table: ids below it are good.
    """

    name: str
    kind: str
    length: Optional[int]
    num_ids: Optional[int] = None

    def to_dict(self) -> dict[str, Any]:
        result = asdict(self)
        if self.num_ids is None:
            del result["num_ids"]
        return result


@dataclass
class TableSpec:
    """`pooling` means nothing in a model without pooling."""

    name: str
    num_embeddings: Optional[int]
    embedding_dim: int
    dtype: str
    features: list[str]
    pooling: str = "sum"
    row_alignment: int = 16
    remap: Optional[RemapSpec] = None

    @property
    def row_bytes(self) -> int:
        return row_bytes(self.embedding_dim, self.dtype, self.row_alignment)

    def output_dim(self, output_dtype: str) -> int:
        """Elements of an output row; uint8 are the bytes of a stored one, without padding."""
        return row_bytes(self.embedding_dim, self.dtype, 1) if output_dtype == "uint8" else self.embedding_dim

    def to_dict(self) -> dict[str, Any]:
        result = asdict(self)
        del result["remap"]
        return result if self.remap is None else {**result, "remap": self.remap.to_dict()}


@dataclass
class OutputSpec:
    key: str
    table: str
    feature: str


@dataclass
class PositionWeightsSpec:
    """One weight for each position in a bag of the feature; `name` is that of their tensor in the weights file."""

    feature: str
    length: int
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or f"position_weights.{self.feature}"


def outputs_in_order(groups: list[list[TableSpec]]) -> list[OutputSpec]:
    """One output for each feature of each table, `feature@table` where a feature is used twice anywhere."""
    uses = Counter(feature for tables in groups for table in tables for feature in table.features)
    return [
        OutputSpec(feature if uses[feature] == 1 else f"{feature}@{table.name}", table.name, feature)
        for tables in groups
        for table in tables
        for feature in table.features
    ]


def default_outputs(tables: list[TableSpec], kind: str = BAGS) -> list[OutputSpec]:
    """TorchRec's order: tables grouped by pooling, or where there is none by the type of their rows."""
    groups: dict[str, list[TableSpec]] = {}
    for table in tables:
        groups.setdefault(table.pooling if kind == BAGS else table.dtype, []).append(table)
    return outputs_in_order(list(groups.values()))


@dataclass
class ModelSpec:
    """`tables` come in the order of the outputs, whatever order they are given in."""

    tables: list[TableSpec]
    name: str = "model"
    features: list[str] = field(default_factory=list)
    weighted: bool = False
    output_dtype: str = "float32"
    bounds_check: str = "warning"
    outputs: list[OutputSpec] = field(default_factory=list)
    weights: Optional[str] = None
    kind: str = BAGS
    position_weights: list[PositionWeightsSpec] = field(default_factory=list)
    # By feature: every bag of it has so many ids.
    fixed_lengths: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.outputs:
            self.outputs = default_outputs(self.tables, self.kind)
        if not self.features:
            self.features = list(dict.fromkeys(output.feature for output in self.outputs))
        # As the importer puts them: an archive knows no other order.
        order = {name: index for index, name in enumerate(dict.fromkeys(output.table for output in self.outputs))}
        self.tables = sorted(self.tables, key=lambda table: order.get(table.name, len(order)))

    def leave_rows_open(self) -> None:
        """The weights file says how many rows each table and entries each map has."""
        for table in self.tables:
            table.num_embeddings = None
            if table.remap:
                table.remap.length = table.remap.num_ids = None

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {"trec_spec": 1, **asdict(self), "tables": [table.to_dict() for table in self.tables]}
        result["fixed_lengths"] = [
            {"feature": feature, "length": length} for feature, length in self.fixed_lengths.items()
        ]
        for name in ("weights", "position_weights", "fixed_lengths"):
            if not result[name]:
                del result[name]
        if self.kind == SEQUENCE:
            for table in result["tables"]:
                del table["pooling"]
        return result

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"


@dataclass
class RegroupSpec:
    """Several collections whose outputs are regrouped; `batches` says which batch each of them reads."""

    collections: list[ModelSpec]
    batches: list[int]
    groups: dict[str, list[str]]
    name: str = "model"
    output_dtype: str = "float32"
    bounds_check: str = "warning"
    weights: Optional[str] = None

    def leave_rows_open(self) -> None:
        for collection in self.collections:
            collection.leave_rows_open()

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {"trec_spec": 1, "kind": REGROUP}
        for name in ("name", "output_dtype", "bounds_check"):
            result[name] = getattr(self, name)
        result["collections"] = [
            {"batch": batch, **_fields_of(collection)} for batch, collection in zip(self.batches, self.collections)
        ]
        result["groups"] = [{"key": key, "keys": keys} for key, keys in self.groups.items()]
        if self.weights:
            result["weights"] = self.weights
        return result

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"


def _fields_of(collection: ModelSpec) -> dict[str, Any]:
    """What a spec says of one of several collections."""
    names = ("features", "weighted", "position_weights", "fixed_lengths", "tables", "outputs")
    whole = collection.to_dict()
    return {name: whole[name] for name in names if name in whole}
