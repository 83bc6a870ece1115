"""Writes weights and batches for a model of matrix.py, which run_batches.c runs.

    make_batches.py SPEC.json MODEL.manifest.json MODEL.safetensors BATCHES

Only what floats do not say twice: no NaN is stored, for machines differ in the payloads of NaNs that they make.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path

# As in ModelABI.h.
TYPES = {"float32": 3, "float16": 4, "bfloat16": 5, "uint8": 6}
INT32, INT64 = 1, 2
FORMATS = {INT32: "i", INT64: "q"}
DYNAMIC_ROWS = 20
POOL = 1 << 14
# Samples of a batch, and whether the ids of the batch may be bad.
BATCHES = ((3, False), (1, True), (40, False), (0, False), (7, True), (2, False))

RNG = random.Random(1)


def draw_float() -> float:
    kind = RNG.randrange(16)
    special = (0.0, -0.0, 6e-8, -3e-6, 65504.0, float("inf"))
    return RNG.choice(special) if kind == 0 else RNG.uniform(-2, 2)


def make_pool(dtype: str) -> bytes:
    """Bytes that rows of such elements are cut from."""
    floats = [draw_float() for _ in range(POOL)]
    if dtype == "fp32":
        return struct.pack(f"<{POOL}f", *floats)
    if dtype == "fp16":
        return struct.pack(f"<{POOL}e", *floats)
    if dtype == "bf16":
        wide = struct.pack(f"<{POOL}f", *floats)
        return b"".join(wide[i + 2 : i + 4] for i in range(0, len(wide), 4))
    return RNG.randbytes(POOL)


POOLS = {dtype: make_pool(dtype) for dtype in ("fp32", "fp16", "bf16", "fp8", "int8", "int4", "int2")}


def make_row(table: dict) -> bytes:
    header = b""
    if table["dtype"].startswith("int"):
        header = struct.pack("<2e", draw_float() if RNG.random() < 0.2 else RNG.uniform(0, 0.1), RNG.uniform(-1, 1))
    pool, count = POOLS[table["dtype"]], table["row_bytes"] - len(header)
    # Elements of 4 bytes lie at multiples of 4 in the pool and in the row.
    begin = RNG.randrange((len(pool) - count) // 4) * 4
    return header + pool[begin : begin + count]


def hash_id(number: int) -> int:
    """MurmurHash3's finaliser."""
    number ^= number >> 16
    number = number * 0x85EBCA6B & 0xFFFFFFFF
    number ^= number >> 13
    number = number * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ number >> 16


def make_hash_table(slots: int, num_ids: int, rows: int) -> list[int]:
    entries = [-1, -1] * slots
    for number in range(min(slots // 2, num_ids)):
        slot = hash_id(number) % slots
        while entries[2 * slot] != -1:
            slot = (slot + 1) % slots
        entries[2 * slot : 2 * slot + 2] = number, RNG.randrange(-1, rows)
    return entries


def make_parameter(parameter: dict, rows: int) -> tuple[str, list[int], bytes]:
    """Its safetensors type, shape and bytes; of a map to so many rows."""
    kind, count = parameter.get("map"), parameter["count"]
    if kind is None:
        return "F32", [count], struct.pack(f"<{count}f", *(draw_float() for _ in range(count)))
    if count is None or count < 0:
        count = rows if kind == "sorted" else 2 * rows + 1
    if kind == "array":
        return "I32", [count], struct.pack(f"<{count}i", *(RNG.randrange(-1, rows) for _ in range(count)))
    if kind == "hash_table":
        entries = make_hash_table(count, parameter.get("num_ids", count), rows)
        return "I32", [count, 2], struct.pack(f"<{2 * count}i", *entries)
    pairs = [word for entry in range(count) for word in (3 * entry - 1, RNG.randrange(count))]
    return "I64", [count, 2], struct.pack(f"<{2 * count}q", *pairs)


def count_rows(table: dict) -> int:
    return DYNAMIC_ROWS if table["rows"] is None else table["rows"]


def write_weights(manifest: dict, path: str) -> None:
    tensors = {}
    for table in manifest["tables"]:
        rows = count_rows(table)
        data = b"".join(make_row(table) for _ in range(rows))
        tensors[table["name"]] = ("U8", [rows, table["row_bytes"]], data)
    rows_of = {table["name"]: count_rows(table) for table in manifest["tables"]}
    targets = {key["remap"]: rows_of[key["table"]] for key in manifest["output"]["keys"] if "remap" in key}
    for parameter in manifest["parameters"]:
        tensors[parameter["name"]] = make_parameter(parameter, targets.get(parameter["name"], 0))
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def count_ids(spec: dict) -> dict[str, int]:
    """Ids of each feature that are in bounds for all of its tables."""
    counts: dict[str, int] = {}
    for table in spec["tables"]:
        rows, remap = table["num_embeddings"], table.get("remap")
        ids = DYNAMIC_ROWS if rows is None else rows
        if remap:
            kind, length = remap.get("kind", "array"), remap.get("length")
            known = 2 * ids + 1 if length is None else length
            ids = 4 * ids if kind == "sorted" else remap.get("num_ids", 2 * known) if kind == "hash_table" else known
        for feature in table["features"]:
            counts[feature] = min(ids, counts.get(feature, ids))
    return counts


def draw_ids(count: int, bound: int, may_be_bad: bool) -> list[int]:
    def draw() -> int:
        if may_be_bad and RNG.random() < 0.02:
            return RNG.choice((-2, bound, 2**31 - 1))
        return -1 if bound == 0 or RNG.random() < 0.1 else RNG.randrange(bound)

    return [draw() for _ in range(count)]


class Writer:
    def __init__(self) -> None:
        self.data = b""

    def words(self, *words: int) -> None:
        self.data += struct.pack(f"<{len(words)}q", *words)

    def array(self, format: str, values: list) -> None:
        packed = struct.pack(f"<{len(values)}{format}", *values)
        self.data += packed + bytes(-len(packed) % 8)


def draw_lengths(samples: int, longest: int) -> list[int]:
    lengths = [RNG.randrange(min(longest, 5) + 1) for _ in range(samples)]
    # Beyond all distances at which rows are fetched.
    if lengths and RNG.random() < 0.05:
        lengths[0] = min(longest, 90)
    return lengths


def write_batch(writer: Writer, index: int, spec: dict, manifest: dict) -> None:
    samples, may_be_bad = BATCHES[index]
    bounds = count_ids(spec)
    longest = {entry["feature"]: entry["length"] for entry in spec.get("position_weights", [])}
    lengths, ids, ids_of = [], [], {}
    for feature in manifest["features"]:
        of_feature = draw_lengths(samples, longest.get(feature, 90))
        lengths += of_feature
        ids_of[feature] = sum(of_feature)
        ids += draw_ids(ids_of[feature], bounds[feature], may_be_bad)
    values_type, lengths_type = (INT64, INT32)[index % 2], (INT32, INT64)[index // 2 % 2]
    writer.words(samples, len(manifest["features"]), len(ids), values_type)
    writer.array(FORMATS[values_type], ids)
    has_offsets = index % 3 == 1
    if has_offsets:
        lengths = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    writer.words(has_offsets, lengths_type)
    writer.array(FORMATS[lengths_type], lengths)
    weights = [draw_float() for _ in ids] if manifest["weighted"] else []
    writer.words(len(weights))
    writer.array("f", weights)
    output = manifest["output"]
    is_pooled = manifest["kind"] == "embedding_bag_collection"
    elements = (
        [samples * output["total_dim"]] if is_pooled else [ids_of[key["feature"]] * key["dim"] for key in output["keys"]]
    )
    writer.words(TYPES[output["dtype"]], is_pooled, len(elements), *elements)


def main() -> None:
    spec, manifest = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    write_weights(manifest, sys.argv[3])
    writer = Writer()
    for index in range(len(BATCHES)):
        write_batch(writer, index, spec, manifest)
    Path(sys.argv[4]).write_bytes(writer.data)


if __name__ == "__main__":
    main()
