"""Launches the kernels of a model of one lookup by the PTX interpreter: `include/trec/Runtime/DeviceABI.h` in Python.

    outcome = gpu_launch.run(ptx_text, gpu_launch.Call(rows=stored, ids=ids, offsets=offsets, …))
    outcome.output, outcome.report["kind"]

Every array has exactly the bytes that the kernel may touch, so that the interpreter finds what is out of bounds.
"""

from __future__ import annotations

import dataclasses
import struct

import numpy as np

from trec.testing import ptx

MAX_SPANS, MAX_BATCHES, MAX_OUTPUTS = 8, 16, 128
_SCAN_TILE = 2048
REPORT = ("lock", "count", "epoch", "place_epoch", "kind", "batch", "bag", "sample", "begin", "position", "value")
NOTHING, BAD_ID, LONG_BAG, OTHER_LENGTH, SMALL_OUTPUT, BAD_OFFSET, BAD_SUM, BAD_LENGTH = range(8)


@dataclasses.dataclass
class Call:
    rows: np.ndarray  # uint8 [rows, row bytes], as stored
    ids: np.ndarray
    offsets: np.ndarray  # int32 or int64, [num_keys * B + 1]
    output: np.ndarray  # what is written into, [B or rows, stride]
    column: int = 0
    weights: np.ndarray | None = None  # per id, or by position
    by_position: bool = False
    remap: np.ndarray | None = None
    num_ids: int = 0  # of a map
    unpooled: bool = False
    few: bool = False  # by the kernel for few bags, where the model has one
    shared: bool = False  # by that whose blocks share a bag, where the model has one
    num_keys: int = 1
    key: int = 0  # the one that is looked up
    slots: np.ndarray | None = None  # int32, the caller's key of each feature
    length: int = -1  # promised of each bag
    ids_before: int = -1  # promised of the keys in front


@dataclasses.dataclass
class Outcome:
    output: np.ndarray
    report: dict[str, int]


def pad_rows(rows: np.ndarray) -> np.ndarray:
    """Rows as they are on a device: at multiples of 16 bytes."""
    padding = -rows.shape[1] % 16
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, padding)), constant_values=0xA5))


def make_report() -> np.ndarray:
    report = np.zeros(len(REPORT), np.int64)
    report[REPORT.index("epoch")] = 1
    return report


def find_kernel(module: ptx.Module, call: Call, bits: int) -> str:
    """The kernel that is asked for; where the model has none, that of more bags."""
    asked = [("shared_", call.shared), ("few_", call.few or call.shared), ("", True)]
    names = [f"trec_forward_{kind}i{bits}" for kind, is_asked in asked if is_asked]
    return next(name for name in names if name in module.kernels)


def run(text: str, call: Call) -> Outcome:
    memory, report = ptx.Memory(), make_report()
    add = memory.add
    batch_size = (len(call.offsets) - 1) // call.num_keys
    by_position = call.weights is not None and call.by_position
    weights = add("weights", call.weights) if call.weights is not None else 0
    bag = struct.pack(
        "<17q", add("rows", pad_rows(call.rows)), len(call.rows), 0, 0, call.key, call.length, call.ids_before,
        call.column, 0, 7, weights if by_position else 0, len(call.weights) if by_position else -1,
        add("map", call.remap) if call.remap is not None else 0, call.remap.size if call.remap is not None else 0,
        call.num_ids, 1, call.output.shape[1])
    batch = struct.pack("<7q", add("ids", call.ids), len(call.ids), add("offsets", call.offsets),
                        call.offsets.dtype.itemsize, 0 if by_position else weights,
                        add("slots", call.slots) if call.slots is not None else 0, call.num_keys)
    output = call.output.copy()
    address = add("output", output, writable=True)
    report_address = add("report", report, writable=True)
    argument = struct.pack("<4q", add("lookups", np.frombuffer(bag, np.uint8)), report_address, batch_size, 1)
    bits, module = 8 * call.ids.dtype.itemsize, ptx.Module(text)
    kernel = find_kernel(module, call, bits)
    blocks = batch_size if "shared" in kernel else -(-batch_size // 4)  # no block of the others takes fewer bags
    shift = 31 + (blocks - 1).bit_length()
    span = struct.pack("<5q", 0, blocks, 0, -(-(1 << shift) // blocks), shift)
    argument += span.ljust(40 * MAX_SPANS, b"\0")
    argument += struct.pack("<q", 1) + batch.ljust(56 * MAX_BATCHES, b"\0") + struct.pack("<q", 0)
    argument += struct.pack("<q", address).ljust(8 * MAX_OUTPUTS, b"\0")
    argument += struct.pack("<q", len(output) if call.unpooled else output.shape[1]).ljust(8 * MAX_OUTPUTS, b"\0")
    ptx.run(module, kernel, memory, argument, blocks)
    return Outcome(output, dict(zip(REPORT, map(int, report))))


def scan(text: str, lengths: np.ndarray, num_values: int, blocks: int) -> Outcome:
    """Runs the kernel that makes offsets of lengths; the outcome's output are the offsets.

    Twice where there are several blocks: the first time it writes their sums.
    """
    memory, report, offsets = ptx.Memory(), make_report(), np.full(len(lengths) + 1, -1, np.int64)
    share = -(-len(lengths) // blocks // _SCAN_TILE) * _SCAN_TILE or _SCAN_TILE
    sums = np.full(blocks, -1, np.int64)
    given = (
        memory.add("lengths", lengths), lengths.dtype.itemsize, len(lengths), num_values,
        memory.add("offsets", offsets, writable=True), memory.add("report", report, writable=True), 0,
        memory.add("sums", sums, writable=True), share,
    )  # fmt: skip
    for writes_sums in (1, 0) if blocks > 1 else (0,):
        ptx.run(ptx.Module(text), "trec_scan_lengths", memory, struct.pack("<10q", *given, writes_sums), blocks)
    return Outcome(offsets, dict(zip(REPORT, map(int, report))))
