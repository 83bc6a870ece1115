"""Models of one lookup for tests of GPU kernels, and what their numbers have to be, written with numpy."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from trec.compiler import run_tool
from trec.testing.ptx_arithmetic import _fmaf, from_float

NUM_WEIGHTS = 41  # by position
BITS = {"int8": 8, "int4": 4, "int2": 2, "fp16": 16, "bf16": 16, "fp32": 32, "fp8": 8}


@dataclasses.dataclass(frozen=True)
class Model:
    dtype: str
    dim: int
    pooling: str = "sum"  # sum, mean or none
    weighting: str = ""  # sample or position
    output: str = "f32"
    remap: str = ""  # array, hash_table or sorted
    numerics: str = "fbgemm"
    lengths: tuple[int | None, ...] = (None,)  # promised of each of its features, all of one table
    has_other_key: bool = False  # in the batch, which nothing is promised of and no lookup is of

    @property
    def is_quantized(self) -> bool:
        return self.dtype.startswith("int")

    @property
    def row_bytes(self) -> int:
        return (4 if self.is_quantized else 0) + -(-self.dim * BITS[self.dtype] // 8)


def write_lookup(model: Model, index: int) -> list[str]:
    """The lookup of one feature, whose result is %r<index>; the first is "f"."""
    row = f"!trec.row<{model.dim}, {model.dtype}, #layout>"
    element, length = model.output, model.lengths[index]
    values = f"!trec.jagged<!trec.dequantized<{model.dim}>>"
    promise = "" if length is None else f" length {length}"
    lines = [f'    %f{index} = trec.feature %kjt "f{index or ""}"{promise} : !kjt']
    if model.remap:
        lines += [f"    %c{index} = trec.check_bounds warning %f{index} in @map",
                  f"    %ids{index} = trec.remap %c{index} by @map"]
    else:
        lines.append(f"    %ids{index} = trec.check_bounds warning %f{index} in @t")
    lines += [f"    %rows{index} = trec.lookup @t[%ids{index}] : !trec.jagged<{row}>",
              f"    %v{index} = trec.dequantize %rows{index} : !trec.jagged<{row}>"]
    pooled = f"%v{index}"
    if model.weighting:
        source = f'%kjt "f{index or ""}" : !kjt' if model.weighting == "sample" else f"%f{index} from @weights"
        name = "sample_weights" if model.weighting == "sample" else "position_weights"
        lines += [f"    %w{index} = trec.{name} {source}",
                  f"    %weighted{index} = trec.weight %v{index} by %w{index} : {values}"]
        pooled = f"%weighted{index}"
    if model.pooling == "none":
        return [*lines, f"    %r{index} = trec.materialize %v{index} : {values} -> "
                        f"!trec.jagged<vector<{model.dim}x{element}>>"]
    kind = f"tensor<?x{model.dim}xf32>"
    name = "%r" if element == "f32" else "%p"
    lines.append(f"    {name}{index} = trec.pool {model.pooling} {pooled} : {values}")
    if element != "f32":
        lines.append(f"    %r{index} = trec.cast_output %p{index} : {kind} -> tensor<?x{model.dim}x{element}>")
    return lines


def write_model(model: Model) -> str:
    """The IR that an importer writes."""
    header = "f16" if model.is_quantized else "none"
    weighted = ", weighted" if model.weighting == "sample" else ""
    is_pooled, count = model.pooling != "none", len(model.lengths)
    kind = "keyed_tensor" if is_pooled else "jagged_dict"
    element = f"tensor<?x{model.dim}x{model.output}>" if is_pooled else (
        f"!trec.jagged<vector<{model.dim}x{model.output}>>")
    entries = {"array": "<array> : tensor<?xi32>", "hash_table": "<hash_table, ids = 1000> : tensor<?x2xi32>",
               "sorted": "<sorted> : tensor<?x2xi64>"}
    keys = ", ".join(f'"f{index or ""}"' for index in range(count))
    other = ', "other"' if model.has_other_key else ""
    lines = [f"#layout = #trec.row_layout<header = {header}>", f"!kjt = !trec.kjt<[{keys}{other}]{weighted}>",
             f"!out = !trec.{kind}<[{keys}], {[model.dim] * count}, {model.output}>",
             "module @one attributes {trec.contract = 1 : i32} {",
             f"  trec.table @t : !trec.table<?x{model.dim}, {model.dtype}, #layout>"]
    if model.remap:
        lines.append(f"  trec.parameter @map maps {entries[model.remap]}")
    if model.weighting == "position":
        lines.append(f"  trec.parameter @weights : tensor<{NUM_WEIGHTS}xf32>")
    lines.append("  func.func @forward(%kjt: !kjt) -> !out {")
    for index in range(count):
        lines += write_lookup(model, index)
    results = ", ".join(f"%r{index}" for index in range(count))
    lines.append(f"    %out = trec.{kind} {results} : ({', '.join([element] * count)}) -> !out")
    return "\n".join([*lines, "    return %out : !out", "  }", "}"])


def compile_ptx(model: Model, folder: Path, lowering: str = "") -> str:
    """With the cost model's lowering, or with fields of `#trec.gpu_lowering_config` as one that was measured."""
    source, target = folder / "model.mlir", folder / "model.ptx"
    source.write_text(write_model(model))
    options = ["--gpu=sm_90", "--emit=ptx", f"--numerics={model.numerics}", "-o", target]
    if lowering:
        options.append(f"--tune-cache={write_tune_cache(model, folder, lowering)}")
    run_tool("trec-compile", source, *options)
    return target.read_text()


def write_tune_cache(model: Model, folder: Path, lowering: str) -> Path:
    path, attribute = folder / "model.tune.json", f"#trec.gpu_lowering_config<{lowering}>"
    remapped = f"remapped_by_{model.remap}_" if model.remap else ""
    weighted = {"sample": "weighted_", "position": "position_weighted_"}.get(model.weighting, "")
    name = f"bag_{remapped}{weighted}{model.pooling}_{model.dtype}x{model.dim}_align1_{model.output}"
    entry = {"chip": "sm_90", "device": "a test", "configuration": name, "tables": "memory", "lowering": attribute,
             "cost_model": attribute, "times": [], "date": "2026-11-26"}
    path.write_text(json.dumps({"trec_tune": 2, "machine": "none", "entries": [], "gpu_entries": [entry]}))
    return path


def make_rows(model: Model, count: int, rng: np.random.Generator) -> np.ndarray:
    """Stored rows with odd ones among them: scales that overflow in FBGEMM's half floats, and -0."""
    bytes_ = rng.integers(0, 256, (count, model.row_bytes), np.uint8)
    if model.is_quantized:
        header = np.stack([rng.normal(0, 0.01, count), rng.normal(0, 0.5, count)], axis=1).astype(np.float16)
        header[0], header[1] = (150.0, -1.0), (-0.0, -0.0)
        bytes_[:, :4] = header.view(np.uint8)
        return bytes_
    values = rng.normal(0, 1, (count, model.dim)).astype(np.float32)
    values[0] = -0.0
    if model.dtype == "fp32":
        return values.view(np.uint8)
    if model.dtype == "fp16":
        return values.astype(np.float16).view(np.uint8)
    return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8) if model.dtype == "bf16" else bytes_


def read_codes(model: Model, rows: np.ndarray) -> np.ndarray:
    data, bits = rows[:, 4:], BITS[model.dtype]
    codes = np.stack([data >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)], axis=2)
    return codes.reshape(len(rows), -1)[:, :model.dim].astype(np.int64)


def dequantize(model: Model, rows: np.ndarray) -> np.ndarray:
    """Elements as FBGEMM's GPU kernels make them, as f32."""
    if model.dtype == "fp32":
        return rows.view(np.float32)
    if model.dtype == "fp16":
        return rows.view(np.float16).astype(np.float32)
    if model.dtype == "bf16":
        return (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if model.dtype == "fp8":
        wide = rows.astype(np.uint32)
        magnitude = ((wide & 0x7F) << 20).view(np.float32) * np.float32(2.0**120)
        return (magnitude.view(np.uint32) | (wide & 0x80) << 24).view(np.float32)
    header = np.ascontiguousarray(rows[:, :4]).view(np.float16)
    shift = np.arange(model.dim) * BITS[model.dtype] % 8
    with np.errstate(over="ignore", invalid="ignore"):
        scale = (header[:, :1] * (512.0 / 2.0**shift).astype(np.float16)).astype(np.longdouble)
        product = read_codes(model, rows) * 2.0**(shift - 9.0) * scale
        return (product + header[:, 1:].astype(np.longdouble)).astype(np.float16).astype(np.float32)


def add_row(model: Model, total: np.ndarray, row: np.ndarray, weight: np.float32 | None) -> np.ndarray:
    with np.errstate(all="ignore"):
        if model.is_quantized and model.numerics == "cpu":
            scale, bias = np.ascontiguousarray(row[:, :4]).view(np.float16)[0].astype(np.float32)
            if weight is not None:
                scale, bias = scale * weight, bias * weight
            return _fmaf(read_codes(model, row)[0].astype(np.float32), scale, total + bias)
        values = dequantize(model, row)[0]
        return total + values if weight is None else _fmaf(values, weight, total)


def cast_output(model: Model, totals: np.ndarray) -> np.ndarray:
    if model.output == "f32":
        return totals
    with np.errstate(all="ignore"):
        if model.output == "f16":
            return totals.astype(np.float16)
    bits = from_float(totals)
    half = np.uint64(0x8000) if model.numerics == "cpu" else np.uint64(0x7FFF) + (bits >> np.uint64(16) & np.uint64(1))
    return ((bits + half) >> np.uint64(16)).astype(np.uint16)


def add_parts(sums: np.ndarray) -> np.ndarray:
    """Those of neighbours first, then those of what came of it."""
    while len(sums) > 1:
        with np.errstate(all="ignore"):
            sums = sums[::2] + sums[1::2]
    return sums[0]


def pool(model: Model, rows: np.ndarray, found: np.ndarray, offsets: np.ndarray,
         weights: np.ndarray | None, parts: int = 1) -> np.ndarray:
    """What the kernel has to write, for rows that ids were resolved to (-1: none), of bags in so many parts."""
    if model.pooling == "none":
        offsets = np.arange(len(found) + 1)
    totals = np.zeros((len(offsets) - 1, model.dim), np.float32)
    for bag, (begin, end) in enumerate(zip(offsets, offsets[1:])):
        sums = np.zeros((parts, model.dim), np.float32)
        for position in range(begin, end):
            if found[position] < 0:
                continue
            row = rows[found[position]:found[position] + 1]
            at = position - begin if model.weighting == "position" else position
            part = (position - begin) % parts
            sums[part] = add_row(model, sums[part], row, None if weights is None else weights[at])
        totals[bag] = add_parts(sums)
        if model.pooling == "mean" and end > begin:
            totals[bag] = totals[bag] * (np.float32(1) / np.float32(end - begin))
    return cast_output(model, totals)
