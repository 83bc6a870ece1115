"""The kernels for GPUs, run from their PTX by an interpreter: numbers, reports, and no access out of bounds.

The interpreter fails where a kernel touches a byte that is not of an array, so each test here is one of bounds too.
"""

import dataclasses
import math

import numpy as np
import pytest
from gpu_models import NUM_WEIGHTS, Model, compile_ptx, dequantize, make_rows, pool

from trec.compiler import run_tool
from trec.testing import gpu_launch

MODELS = [
    *[Model(dtype, dim) for dtype in ("int8", "int4", "int2", "fp16", "bf16", "fp32", "fp8") for dim in (1, 20, 64)],
    Model("int4", 32), Model("fp16", 32, "mean", output="f16"),  # ten rows in flight, or five
    Model("int8", 128), Model("int8", 100, "mean"), Model("int8", 600), Model("int4", 33, "mean"), Model("fp16", 7),
    Model("int8", 64, weighting="sample"), Model("int4", 64, "mean", "position"), Model("fp32", 12, weighting="sample"),
    Model("int8", 32, output="f16"), Model("int4", 30, "mean", output="bf16"), Model("fp16", 9, output="f16"),
    *[Model("int8", 24, remap=remap) for remap in ("array", "hash_table", "sorted")],
    Model("int8", 128, "none"), Model("int4", 20, "none", output="f16"), Model("fp16", 16, "none", remap="array"),
    *[Model(dtype, 40, "mean", weighting, numerics="cpu") for dtype in ("int8", "int2", "fp32")
      for weighting in ("", "sample")],
    Model("int8", 32, output="bf16", numerics="cpu"), Model("int8", 16, "none", numerics="cpu"),
]
NUM_ROWS = 50


def name_of(value: object) -> str:
    return "-".join(str(v) for v in dataclasses.astuple(value) if v) if isinstance(value, Model) else str(value)


def hash_of(value: int) -> int:
    h = value & 0xFFFFFFFF
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def make_map(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, dict[int, int]]:
    """A map of the ids 0 to 99, half of which have no row, and what it says."""
    rows = {i: int(rng.integers(0, NUM_ROWS)) if rng.integers(2) else -1 for i in range(100)}
    if kind == "array":
        return np.array(list(rows.values()), np.int32), rows
    kept = dict([(i, row) for i, row in rows.items() if row >= 0][:NUM_ROWS])
    if kind == "sorted":
        return np.array(sorted(kept.items()), np.int64), {**{i: len(kept) - 1 for i in range(-1, 2000)}, **kept}
    slots = np.full((256, 2), -1, np.int32)
    for i, row in kept.items():
        slot = hash_of(i) % len(slots)
        while slots[slot, 0] != -1:
            slot = (slot + 1) % len(slots)
        slots[slot] = i, row
    return slots, kept


def make_call(model: Model, rng: np.random.Generator, id_type: type, offset_type: type,
              lengths: np.ndarray | None = None, parts: int = 1) -> tuple[gpu_launch.Call, np.ndarray]:
    is_long = lengths is not None
    lengths = lengths if is_long else np.array([0, 1, 3, 9, 0, 40, 2, *rng.integers(0, 12, 30)])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(offset_type)
    count, rows = int(offsets[-1]), make_rows(model, NUM_ROWS, rng)
    if is_long:  # without the row that overflows: where that is, no other one counts
        rows[0] = rows[2]
    remap, says = make_map(model.remap, rng) if model.remap else (None, None)
    ids = rng.integers(0, 100 if model.remap else NUM_ROWS, count).astype(id_type)
    ids[::7] = -1
    ids[5] = 0
    found = np.array([says.get(int(i), -1) for i in ids]) if says else ids
    weights = None
    if model.weighting:
        weights = rng.normal(0, 1, NUM_WEIGHTS if model.weighting == "position" else count).astype(np.float32)
    element = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}[model.output]
    outputs = count if model.pooling == "none" else len(lengths)
    column = int(rng.integers(0, 4))
    output = np.zeros((outputs, column + model.dim + int(rng.integers(0, 4))), element)
    num_ids = {"array": 100, "hash_table": 1000}.get(model.remap, 0)
    call = gpu_launch.Call(rows, ids, offsets, output, column, weights, model.weighting == "position", remap, num_ids,
                           unpooled=model.pooling == "none")
    return call, pool(model, rows, found, offsets, weights, parts)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    kind = f"u{a.dtype.itemsize}"
    is_nan = np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
    return bool((is_nan | (np.ascontiguousarray(a).view(kind) == np.ascontiguousarray(b).view(kind))).all())


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_numbers(model, tmp_path):
    rng = np.random.default_rng(MODELS.index(model))
    text = compile_ptx(model, tmp_path)
    ways = [(np.int64, np.int32, False, False), (np.int32, np.int64, True, False), (np.int64, np.int64, True, True)]
    for id_type, offset_type, few, shared in ways:
        call, expected = make_call(model, rng, id_type, offset_type)
        call.few, call.shared = few, shared
        outcome = gpu_launch.run(text, call)
        written = outcome.output[:, call.column:call.column + model.dim]
        assert same_bits(written, expected)
        assert outcome.report["kind"] == gpu_launch.NOTHING and outcome.report["count"] == 0
        outside = np.delete(outcome.output, np.s_[call.column:call.column + model.dim], axis=1)
        assert not outside.any()


def test_every_chip_takes_loads_that_leave_the_cache_first(tmp_path):
    text = compile_ptx(Model("int8", 128, output="f16"), tmp_path)
    assert "ld.global.L1::evict_first.b32" in text
    # ptxas assembles them, for the chip of each generation.
    run_tool("trec-compile", tmp_path / "model.mlir", "--gpu=sm_80,sm_90a,sm_100,sm_120", "--cpu=x86-64-v3",
             "-o", tmp_path / "model.so")  # fmt: skip


PARTED = [
    (Model("int4", 32), "lanes = 4, units_per_lane = 1, rows_in_flight = 4", 8),
    (Model("int8", 32), "lanes = 8, units_per_lane = 1, rows_in_flight = 5", 4),
    (Model("int2", 64, "mean", output="f16"), "lanes = 4, units_per_lane = 1, rows_in_flight = 3", 2),
    (Model("int8", 128), "lanes = 8, units_per_lane = 2, rows_in_flight = 4, evict_first = true", 4),
    (Model("fp16", 32), "lanes = 4, units_per_lane = 1, rows_in_flight = 2", 8),
    (Model("fp32", 16), "lanes = 4, units_per_lane = 1, rows_in_flight = 5", 4),
    (Model("fp8", 8), "lanes = 1, units_per_lane = 1, rows_in_flight = 1", 32),
    (Model("int8", 16, weighting="sample"), "lanes = 4, units_per_lane = 1, rows_in_flight = 8", 2),
    (Model("int8", 16, "mean", "position"), "lanes = 2, units_per_lane = 2, rows_in_flight = 4", 16),
    (Model("int8", 24, remap="hash_table"), "lanes = 2, units_per_lane = 3, rows_in_flight = 3", 8),
]


@pytest.mark.parametrize(("model", "lowering", "parts"), PARTED, ids=name_of)
def test_sums_of_parts(model, lowering, parts, tmp_path):
    """Row after row to the parts in turn; their sums are added at the end."""
    model = dataclasses.replace(model, numerics="relaxed")
    rng = np.random.default_rng(parts)
    text = compile_ptx(model, tmp_path, f"{lowering}, numerics = relaxed, bag_parts = {parts}")
    for id_type in (np.int32, np.int64):
        call, expected = make_call(model, rng, id_type, np.int64, parts=parts)
        outcome = gpu_launch.run(text, call)
        assert same_bits(outcome.output[:, call.column:call.column + model.dim], expected)
        assert outcome.report["kind"] == gpu_launch.NOTHING


@pytest.mark.parametrize(("dtype", "dim", "lanes", "parts"), [("fp32", 16, 4, 8), ("fp32", 16, 4, 1), ("int4", 32, 4, 4)])
def test_sums_of_parts_are_within_their_bound(dtype, dim, lanes, parts, tmp_path):
    """Of the exact sum, which float64 holds."""
    model = Model(dtype, dim, numerics="relaxed")
    fields = f"lanes = {lanes}, units_per_lane = 1, rows_in_flight = 4, numerics = relaxed, bag_parts = {parts}"
    lengths = np.array([200, 7, 64, 1])
    call, _ = make_call(model, np.random.default_rng(dim), np.int64, np.int64, lengths)
    outcome = gpu_launch.run(compile_ptx(model, tmp_path, fields), call)
    sums = outcome.output[:, call.column:call.column + dim].astype(np.float64)
    elements = dequantize(model, call.rows).astype(np.float64)
    for bag, (begin, end) in enumerate(zip(call.offsets, call.offsets[1:])):
        terms = elements[[i for i in call.ids[begin:end] if i >= 0]]
        bound = (lengths[bag] / parts + math.log2(parts) + 1) * 2.0**-24 * np.abs(terms).sum(0)
        assert (np.abs(sums[bag] - terms.sum(0)) <= bound).all()


@pytest.mark.parametrize("deep", [0, 1, 6, 17])
def test_a_bad_id_of_any_part_is_reported(deep, tmp_path):
    model, lowering, parts = PARTED[0]
    model = dataclasses.replace(model, numerics="relaxed")
    text = compile_ptx(model, tmp_path, f"{lowering}, numerics = relaxed, bag_parts = {parts}")
    call, _ = make_call(model, np.random.default_rng(deep), np.int64, np.int64)
    at = int(call.offsets[5]) + deep  # the bag of 40 ids
    call.ids[at] = NUM_ROWS
    report = gpu_launch.run(text, call).report
    assert (report["kind"], report["count"], report["position"]) == (gpu_launch.BAD_ID, 1, at)


LONG = [
    Model("int8", 128), Model("int4", 128, "mean"), Model("int2", 256, output="f16"), Model("fp16", 64),
    Model("fp32", 128), Model("fp8", 100), Model("int8", 64, weighting="sample"), Model("bf16", 40, weighting="sample"),
    Model("int8", 32, remap="hash_table"), Model("int8", 200, numerics="cpu"), Model("int8", 600),
]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("model", LONG, ids=name_of)
def test_long_bags(model, shared, tmp_path):
    """As many rows as fill all stages of a kernel more than once, beside short bags in the same warp."""
    rng = np.random.default_rng(LONG.index(model))
    lengths = np.array([100, 1, 0, 67, 16, 17, 32, 33, *([300, 129] if shared else [])])
    call, expected = make_call(model, rng, np.int32, np.int32, lengths)
    call.few, call.shared = True, shared
    outcome = gpu_launch.run(compile_ptx(model, tmp_path), call)
    assert same_bits(outcome.output[:, call.column:call.column + model.dim], expected)
    assert outcome.report["kind"] == gpu_launch.NOTHING


@pytest.mark.parametrize("shared", [False, True])
def test_a_copy_is_not_there_before_it_is_waited_for(shared, tmp_path):
    model = Model("int8", 128)
    call, expected = make_call(model, np.random.default_rng(9), np.int32, np.int32, np.array([40]))
    call.few, call.shared = True, shared
    text = compile_ptx(model, tmp_path)
    # Ids of 32 and 64 bits, bags of a warp and of a block.
    assert text.count("cp.async.wait_group \t1;") + text.count("cp.async.wait_group 1;") == 4
    for waits in ("cp.async.wait_group \t1;", "cp.async.wait_group 1;"):
        text = text.replace(waits, "cp.async.wait_group 2;")
    outcome = gpu_launch.run(text, call)
    assert not same_bits(outcome.output[:, call.column:call.column + 128], expected)


@pytest.mark.parametrize("shared", [False, True])
def test_a_bad_id_deep_in_a_long_bag_is_reported(shared, tmp_path):
    model = Model("int8", 128)
    call, _ = make_call(model, np.random.default_rng(8), np.int32, np.int32, np.array([2, 100, 3]))
    call.few, call.shared = True, shared
    call.ids[[91, 70]] = NUM_ROWS
    expected = pool(model, call.rows, np.where(call.ids == NUM_ROWS, 0, call.ids), call.offsets, None)
    outcome = gpu_launch.run(compile_ptx(model, tmp_path), call)
    assert same_bits(outcome.output[:, call.column:call.column + 128], expected)
    assert outcome.report["count"] == 2
    assert place(outcome) == (gpu_launch.BAD_ID, 0, 1, 2, 70, NUM_ROWS)


def place(outcome: gpu_launch.Outcome) -> tuple[int, ...]:
    """Kind, bag, sample, begin, position and value of what was reported."""
    assert outcome.report["lock"] == 2 and outcome.report["place_epoch"] == 1 and outcome.report["batch"] == 0
    return tuple(outcome.report[name] for name in ("kind", "bag", "sample", "begin", "position", "value"))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory) -> str:
    return compile_ptx(Model("int8", 24), tmp_path_factory.mktemp("pooled"))


@pytest.fixture(scope="module")
def unpooled(tmp_path_factory) -> str:
    return compile_ptx(Model("int8", 24, "none"), tmp_path_factory.mktemp("unpooled"))


@pytest.mark.parametrize("bad", [NUM_ROWS, -2, 2**62, -2**63])
@pytest.mark.parametrize("pooling", ["sum", "none"])
def test_a_bad_id_uses_row_0_and_is_reported(pooled, unpooled, pooling, bad):
    model, rng = Model("int8", 24, pooling), np.random.default_rng(1)
    call, _ = make_call(model, rng, np.int64, np.int64)
    call.ids[[11, 30, 70]] = bad
    found = np.where(call.ids == bad, 0, call.ids)
    expected = pool(model, call.rows, found, call.offsets, None)
    outcome = gpu_launch.run(pooled if pooling == "sum" else unpooled, call)
    assert same_bits(outcome.output[:, call.column:call.column + 24], expected)
    sample = int(np.searchsorted(call.offsets, 11, side="right")) - 1
    assert outcome.report["count"] == 3
    assert place(outcome) == (gpu_launch.BAD_ID, 0, sample, call.offsets[sample], 11, bad)


@pytest.mark.parametrize("wrong", [{4: -1}, {4: 10**12}, {4: 60, 5: 50}, {3: 2**40, 9: -2**40}])
def test_bags_with_bad_offsets_are_empty_and_reported(pooled, wrong):
    model = Model("int8", 24)
    call, _ = make_call(model, np.random.default_rng(2), np.int32, np.int64)
    for index, value in wrong.items():
        call.offsets[index] = value
    good = [0 <= begin <= end <= len(call.ids) for begin, end in zip(call.offsets, call.offsets[1:])]
    first = good.index(False)
    outcome = gpu_launch.run(pooled, call)
    written = outcome.output[:, call.column:call.column + 24]
    for sample, (begin, end) in enumerate(zip(call.offsets, call.offsets[1:])):
        offsets = np.array([begin, end] if good[sample] else [0, 0])
        assert same_bits(written[sample:sample + 1], pool(model, call.rows, call.ids, offsets, None))
    assert place(outcome) == (gpu_launch.BAD_OFFSET, 0, first, 0, first + 1, call.offsets[first + 1])


def test_a_batch_whose_offsets_do_not_span_its_values_is_reported(pooled):
    call, _ = make_call(Model("int8", 24), np.random.default_rng(3), np.int32, np.int32)
    call.offsets[0] = 1
    assert place(gpu_launch.run(pooled, call)) == (gpu_launch.BAD_OFFSET, -1, -1, 0, 0, 1)
    call.offsets[0] = 0
    call.ids = np.append(call.ids, call.ids[:2])
    assert place(gpu_launch.run(pooled, call)) == (
        gpu_launch.BAD_OFFSET, -1, -1, 0, len(call.offsets) - 1, call.offsets[-1])


def test_a_bag_longer_than_its_weights_is_empty_and_reported(tmp_path):
    model = Model("int8", 24, weighting="position")
    call, expected = make_call(model, np.random.default_rng(4), np.int32, np.int32)
    call.weights = call.weights[:39]  # sample 5 has 40 ids
    expected[5] = 0
    outcome = gpu_launch.run(compile_ptx(model, tmp_path), call)
    assert same_bits(outcome.output[:, call.column:call.column + 24], expected)
    assert place(outcome) == (gpu_launch.LONG_BAG, 0, 5, call.offsets[5], 5, 40)


def test_an_output_with_too_few_rows_is_not_written(unpooled):
    call, _ = make_call(Model("int8", 24, "none"), np.random.default_rng(5), np.int32, np.int32)
    call.output = call.output[:-1]
    outcome = gpu_launch.run(unpooled, call)
    assert not outcome.output.any()
    assert place(outcome) == (gpu_launch.SMALL_OUTPUT, 0, -1, 0, -1, len(call.ids))


def test_decreasing_offsets_without_pooling_are_reported(unpooled):
    call, _ = make_call(Model("int8", 24, "none"), np.random.default_rng(6), np.int32, np.int32)
    call.offsets[4] = 1
    assert place(gpu_launch.run(unpooled, call)) == (gpu_launch.BAD_OFFSET, 0, 3, 0, 4, 1)


@pytest.mark.parametrize("count", [0, 1, 100, 8192, 8193, 20000])
@pytest.mark.parametrize("length_type", [np.int32, np.int64])
def test_lengths_are_summed(pooled, count, length_type):
    lengths = np.random.default_rng(count).integers(0, 50, count).astype(length_type)
    total = int(lengths.sum())
    outcome = gpu_launch.scan(pooled, lengths, total, max(1, -(-count // 8192)))
    assert np.array_equal(outcome.output, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    assert outcome.report["kind"] == gpu_launch.NOTHING
    outcome = gpu_launch.scan(pooled, lengths, total + 1, max(1, -(-count // 8192)))
    assert place(outcome) == (gpu_launch.BAD_SUM, -1, -1, 0, count, total)


def test_negative_lengths_are_reported(pooled):
    lengths = np.ones(300, np.int32)
    lengths[[250, 77]] = -3, -4
    outcome = gpu_launch.scan(pooled, lengths, int(lengths.sum()), 1)
    assert place(outcome) == (gpu_launch.BAD_LENGTH, -1, -1, 0, 77, -4)


def test_what_is_not_known_is_an_error(pooled):
    call, _ = make_call(Model("int8", 24), np.random.default_rng(7), np.int32, np.int32)
    with pytest.raises(ValueError, match="unknown instruction: sin.approx"):
        gpu_launch.run(pooled.replace("add.rn.f32", "sin.approx.u64"), call)
