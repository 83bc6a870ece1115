"""Writes specs of models that together have every kind of table, pooling and output.

    matrix.py DIRECTORY

Each spec has one table of each element type and dim; the specs differ in what is said once per model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Around the widths of vectors, of several passes over a bag, and of bytes that a row does not fill.
DIMS = (1, 3, 4, 7, 8, 16, 17, 33, 64, 100, 128, 260, 520)
DTYPES = ("fp32", "fp16", "int8", "int4", "int2")


def make_tables(alignment: int) -> list[dict]:
    tables = []
    for index, (dtype, dim) in enumerate((dtype, dim) for dtype in DTYPES for dim in DIMS):
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
            "pooling": ("sum", "mean")[index % 2],
            "features": [f"f{index}", *shared],
        })
    return tables


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    cases = {
        "float32": {},
        "weighted": {"weighted": True},
        "float16": {"output_dtype": "float16", "bounds_check": "ignore"},
        "bfloat16": {"output_dtype": "bfloat16", "weighted": True, "bounds_check": "none"},
        "fatal": {"bounds_check": "fatal"},
    }
    for index, (name, options) in enumerate(cases.items()):
        spec = {"trec_spec": 1, "kind": "embedding_bag_collection", "name": name,
                "tables": make_tables((16, 4)[index % 2]), **options}
        (directory / f"{name}.json").write_text(json.dumps(spec))


if __name__ == "__main__":
    main()
