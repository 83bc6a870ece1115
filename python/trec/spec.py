"""The JSON model spec as dataclasses: what every importer gathers and `trec-import` turns into IR."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

BITS = {"fp32": 32, "fp16": 16, "int8": 8, "int4": 4, "int2": 2}
BOUNDS_CHECKS = ("fatal", "warning", "ignore", "none")
OUTPUT_DTYPES = ("float32", "float16", "bfloat16")
HEADER_BYTES = 4


def row_bytes(dim: int, dtype: str, row_alignment: int) -> int:
    """Bytes of one row as stored: fp16 scale and bias before integer codes, padded up to the alignment."""
    header = HEADER_BYTES if dtype.startswith("int") else 0
    unpadded = header + (dim * BITS[dtype] + 7) // 8
    return -(-unpadded // row_alignment) * row_alignment


@dataclass
class TableSpec:
    name: str
    num_embeddings: Optional[int]
    embedding_dim: int
    dtype: str
    features: list[str]
    pooling: str = "sum"
    row_alignment: int = 16

    @property
    def row_bytes(self) -> int:
        return row_bytes(self.embedding_dim, self.dtype, self.row_alignment)


@dataclass
class OutputSpec:
    key: str
    table: str
    feature: str


def default_outputs(tables: list[TableSpec]) -> list[OutputSpec]:
    """TorchRec's order and names of the columns: grouped by pooling, `feature@table` where a feature is used twice."""
    uses = Counter(feature for table in tables for feature in table.features)
    poolings = list(dict.fromkeys(table.pooling for table in tables))
    return [
        OutputSpec(feature if uses[feature] == 1 else f"{feature}@{table.name}", table.name, feature)
        for pooling in poolings
        for table in tables
        if table.pooling == pooling
        for feature in table.features
    ]


@dataclass
class ModelSpec:
    tables: list[TableSpec]
    name: str = "model"
    features: list[str] = field(default_factory=list)
    weighted: bool = False
    output_dtype: str = "float32"
    bounds_check: str = "warning"
    outputs: list[OutputSpec] = field(default_factory=list)
    weights: Optional[str] = None

    def __post_init__(self) -> None:
        if not self.outputs:
            self.outputs = default_outputs(self.tables)
        if not self.features:
            self.features = list(dict.fromkeys(output.feature for output in self.outputs))

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {"trec_spec": 1, "kind": "embedding_bag_collection", **asdict(self)}
        if self.weights is None:
            del result["weights"]
        return result

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"
