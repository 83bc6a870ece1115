"""Writes specs of models that together have every kind of table, pooling and output.

    matrix.py DIRECTORY [DIM...]

Each spec has one table of each element type and dim, of the dims below or the given ones; the specs differ in what is
said once per model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Around the widths of vectors, of several passes over a bag, and of bytes that a row does not fill.
DIMS = (1, 3, 4, 7, 8, 16, 17, 33, 64, 100, 128, 260, 520)
FEWER_DIMS = (1, 7, 8, 33, 128, 520)
DTYPES = ("fp32", "fp16", "int8", "int4", "int2", "bf16", "fp8")

BAGS = {
    "float32": {},
    "weighted": {"weighted": True},
    "float16": {"output_dtype": "float16", "bounds_check": "ignore"},
    "bfloat16": {"output_dtype": "bfloat16", "weighted": True, "bounds_check": "none"},
    "fatal": {"bounds_check": "fatal"},
}
# Without pooling, and with weights by position; every other one with maps of each kind.
ROWS = {
    "rows_float32": {},
    "rows_float16": {"output_dtype": "float16", "bounds_check": "ignore"},
    "rows_bfloat16": {"output_dtype": "bfloat16"},
    "rows_fatal": {"bounds_check": "fatal"},
    "rows_stored": {"output_dtype": "uint8"},
    "rows_stored_pruned": {"output_dtype": "uint8", "bounds_check": "none"},
}
POSITIONS = {
    "positions_float32": {},
    "positions_float16": {"output_dtype": "float16", "bounds_check": "none"},
}
PRUNED_BAGS = {"pruned_weighted": {"weighted": True}}


def make_tables(dtypes: tuple[str, ...], dims: tuple[int, ...], alignment: int) -> list[dict]:
    tables = []
    for index, (dtype, dim) in enumerate((dtype, dim) for dtype in dtypes for dim in dims):
        # Some known only at load, some without rows, some of one row.
        rows = None if index % 7 == 3 else 0 if index % 12 == 5 else (1000, 50, 1, 7)[index % 4]
        # One key looks up in many tables. It has no id where one of them has no row.
        shared = ["shared"] if index % 5 == 0 and rows != 0 else []
        tables.append({
            "name": f"{dtype}_{dim}",
            "num_embeddings": rows,
            "embedding_dim": dim,
            "dtype": dtype,
            "row_alignment": alignment,
            "features": [f"f{index}", *shared],
        })
    return tables


def add_pooling(tables: list[dict]) -> None:
    for index, table in enumerate(tables):
        table["pooling"] = ("sum", "mean")[index % 2]


def add_maps(tables: list[dict]) -> None:
    for index, table in enumerate(tables):
        if index % 4 == 0:
            table["remap"] = {"length": (3000, 1, 200, 0, None)[index // 4 % 5]}
        elif index % 4 == 1:
            table["remap"] = {"kind": "hash_table", "length": (300, 1, 64, 0, None)[index // 4 % 5]}
            if index % 3:
                table["remap"]["num_ids"] = (1000, 0, 90)[index // 3 % 3]
        elif index % 4 == 2:
            # Ids that are not there go to the row of the last entry.
            rows = table["num_embeddings"]
            table["remap"] = {"kind": "sorted", "length": None if index % 3 else rows}


def make_position_weights(tables: list[dict]) -> list[dict]:
    features = dict.fromkeys(feature for table in tables for feature in table["features"])
    return [{"feature": feature, "length": (20, 7, 1, 0)[index % 4]} for index, feature in enumerate(features)]


def make_spec(name: str, alignment: int, options: dict, dims: tuple[int, ...]) -> dict:
    is_pooled = name not in ROWS
    # Stored rows are those of INT8 alone.
    is_stored = options.get("output_dtype") == "uint8"
    dims = dims or (DIMS if name in BAGS or is_stored else FEWER_DIMS)
    tables = make_tables(("int8",) if is_stored else DTYPES, dims, alignment)
    if is_pooled:
        add_pooling(tables)
    if alignment == 4 and name not in BAGS:
        add_maps(tables)
    if name in POSITIONS:
        options = {**options, "position_weights": make_position_weights(tables)}
    kind = "embedding_bag_collection" if is_pooled else "embedding_collection"
    return {"trec_spec": 1, "kind": kind, "name": name, "tables": tables, **options}


def main() -> None:
    directory, dims = Path(sys.argv[1]), tuple(int(dim) for dim in sys.argv[2:])
    directory.mkdir(parents=True, exist_ok=True)
    for cases in (BAGS, ROWS, POSITIONS):
        for index, (name, options) in enumerate(cases.items()):
            spec = make_spec(name, (16, 4)[index % 2], options, dims)
            (directory / f"{name}.json").write_text(json.dumps(spec))
    for name, options in PRUNED_BAGS.items():
        (directory / f"{name}.json").write_text(json.dumps(make_spec(name, 4, options, dims)))


if __name__ == "__main__":
    main()
