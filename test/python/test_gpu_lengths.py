"""Kernels for bags whose lengths are promised, run from their PTX: numbers, what is reported of a broken promise, bounds.

A kernel finds the ids of a bag without its offsets where the lengths of all keys in front are promised and the caller's
keys are in the model's order. Each test runs those ways too. What is promised of all keys is compiled as such.
"""

import dataclasses

import numpy as np
import pytest
from gpu_models import NUM_WEIGHTS, Model, compile_ptx, make_rows, pool
from test_gpu_kernels import NUM_ROWS, make_map, place, same_bits

from trec.testing import gpu_launch

SAMPLES = 13
WAYS = ("known", "in another order", "behind others")


@dataclasses.dataclass
class Promised:
    """A batch of three keys, of which the second is looked up."""

    call: gpu_launch.Call
    expected: np.ndarray
    first: int  # the place of the first bag's offset


def make_promised(model, rng, length, way, ids_type=np.int64, offsets_type=np.int32):
    before = 3 if way == "known" else None
    by_key = [np.full(SAMPLES, 3) if before else rng.integers(0, 5, SAMPLES), np.full(SAMPLES, length),
              rng.integers(0, 5, SAMPLES)]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(by_key))]).astype(offsets_type)
    count, rows = int(offsets[-1]), make_rows(model, NUM_ROWS, rng)
    remap, says = make_map(model.remap, rng) if model.remap else (None, None)
    ids = rng.integers(0, 100 if model.remap else NUM_ROWS, count).astype(ids_type)
    ids[::7] = -1
    found = np.array([says.get(int(i), -1) for i in ids]) if says else ids
    weights = None
    if model.weighting:
        weights = rng.normal(0, 1, NUM_WEIGHTS if model.weighting == "position" else count).astype(np.float32)
    first = SAMPLES
    own = offsets[first:first + SAMPLES + 1].astype(np.int64)
    if model.pooling == "none":
        expected = pool(model, rows, found[own[0]:own[-1]], own, weights)
    else:
        expected = pool(model, rows, found, own, weights)
    element = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}[model.output]
    output = np.zeros((len(expected), model.dim + 3), element)
    call = gpu_launch.Call(
        rows, ids, offsets, output, 2, weights, model.weighting == "position", remap,
        {"array": 100, "hash_table": 1000}.get(model.remap, 0), unpooled=model.pooling == "none", num_keys=3, key=1,
        length=length, ids_before=before if before else -1)
    if way == "in another order":
        call.key, call.slots, call.ids_before = 0, np.array([1, 0], np.int32), 0
    return Promised(call, expected, first)


def compile_ways(model, folder):
    text = compile_ptx(model, folder)
    behind = compile_ptx(dataclasses.replace(model, has_other_key=True), folder)
    return {way: behind if way == "behind others" else text for way in WAYS}


def written(model, outcome):
    return outcome.output[:, 2:2 + model.dim]


MODELS = [
    *[Model(dtype, dim, lengths=(length,)) for dtype, dim in (("int8", 128), ("int4", 128), ("int8", 24), ("fp16", 7))
      for length in (0, 1, 5, 20, 33)],
    Model("int2", 64, lengths=(12,)), Model("fp32", 12, lengths=(9,)), Model("int8", 600, lengths=(4,)),
    Model("fp8", 20, lengths=(3,)), Model("bf16", 20, lengths=(3,)), Model("int8", 64, lengths=(100,)),
    Model("int8", 100, "mean", lengths=(7,)), Model("int4", 33, "mean", output="bf16", lengths=(18,)),
    Model("int8", 64, weighting="sample", lengths=(20,)), Model("int4", 64, "mean", "position", lengths=(NUM_WEIGHTS,)),
    *[Model("int8", 24, remap=remap, lengths=(6,)) for remap in ("array", "hash_table", "sorted")],
    Model("int8", 40, "mean", numerics="cpu", lengths=(11,)), Model("int8", 128, "none", lengths=(4,)),
    # Several lengths, and features without one.
    Model("int8", 128, lengths=(20, 3)), Model("int8", 128, lengths=(20, None)), Model("int4", 20, lengths=(None, 5)),
    Model("int8", 64, weighting="position", lengths=(20, None)), Model("int8", 16, "none", lengths=(3, None)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(str(v) for v in dataclasses.astuple(model) if v))
def test_numbers(model, tmp_path):
    rng = np.random.default_rng(MODELS.index(model))
    texts = compile_ways(model, tmp_path)
    lengths = [model.lengths[0]] if len(model.lengths) == 1 else model.lengths
    for length in lengths:
        for index, way in enumerate(WAYS):
            types = (np.int64, np.int32) if index % 2 else (np.int32, np.int64)
            made = make_promised(model, rng, 4 if length is None else length, way, *types)
            made.call.length = -1 if length is None else length
            made.call.few, made.call.shared = index == 1, index == 2
            outcome = gpu_launch.run(texts[way], made.call)
            assert same_bits(written(model, outcome), made.expected), way
            assert outcome.report["kind"] == gpu_launch.NOTHING and outcome.report["count"] == 0


INT8 = Model("int8", 24, lengths=(4,))


@pytest.fixture(scope="module", params=[(4,), (4, 5), (4, None)], ids=["one", "several", "some"])
def pooled(request, tmp_path_factory) -> dict[str, str]:
    model = dataclasses.replace(INT8, lengths=request.param)
    return compile_ways(model, tmp_path_factory.mktemp("promised"))


@pytest.fixture(scope="module")
def unpooled(tmp_path_factory) -> str:
    return compile_ptx(dataclasses.replace(INT8, pooling="none"), tmp_path_factory.mktemp("unpooled"))


def move_ends(made, changes, offsets_type=np.int32):
    """Lengthens bags of the feature by so many ids, with as many more or fewer in the batch."""
    offsets = made.call.offsets.astype(np.int64)
    for sample, change in changes.items():
        offsets[made.first + sample + 1:] += change
    made.call.offsets = offsets.astype(offsets_type)
    made.call.ids = np.resize(made.call.ids, int(offsets[-1]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("changes", [{6: -1}, {6: 1}, {0: -4}, {12: 3}, {12: -1}, {3: 1, 4: -1}, {2: -1, 12: 1}])
def test_a_bag_of_another_length_is_reported(pooled, way, changes):
    made = make_promised(INT8, np.random.default_rng(8), 4, way)
    move_ends(made, changes)
    first = min(changes)
    begin = int(made.call.offsets[made.first + first])
    assert place(gpu_launch.run(pooled[way], made.call)) == (
        gpu_launch.OTHER_LENGTH, 0, first, begin, made.first + first, 4 + changes[first])


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_of_no_ids_is_reported_and_none_is_read(pooled, way):
    made = make_promised(INT8, np.random.default_rng(9), 4, way)
    made.call.ids, made.call.offsets = made.call.ids[:0], np.zeros_like(made.call.offsets)
    outcome = gpu_launch.run(pooled[way], made.call)
    assert place(outcome) == (gpu_launch.OTHER_LENGTH, 0, 0, 0, made.first, 0)
    assert not outcome.output.any()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [-1, 10**6, 2**31 - 1, 2**40, -2**40])
@pytest.mark.parametrize("sample", [0, 5, 13])
def test_bad_offsets_are_reported(pooled, way, sample, value):
    if sample == 0 and way == "known":
        return  # where the key in front ends: its lookup tells
    made = make_promised(INT8, np.random.default_rng(10), 4, way, np.int32, np.int64)
    made.call.offsets[made.first + sample] = value
    outcome = gpu_launch.run(pooled[way], made.call)
    assert outcome.report["kind"] == gpu_launch.BAD_OFFSET
    assert outcome.report["sample"] in (sample - 1, sample)


@pytest.mark.parametrize("length", [2**31 - 1, 2**30, 10**6])
def test_a_promise_that_no_batch_keeps_reads_nothing(tmp_path, length):
    model = dataclasses.replace(INT8, lengths=(length,))
    made = make_promised(model, np.random.default_rng(11), 4, "known")
    made.call.length = length
    outcome = gpu_launch.run(compile_ptx(model, tmp_path), made.call)
    assert outcome.report["kind"] == gpu_launch.OTHER_LENGTH and outcome.report["value"] == 4


@pytest.mark.parametrize("way", WAYS)
def test_bad_ids_are_counted_as_ever(pooled, way):
    made = make_promised(INT8, np.random.default_rng(12), 4, way)
    begin = int(made.call.offsets[made.first])
    made.call.ids[[begin + 9, begin + 30]] = NUM_ROWS, -2
    outcome = gpu_launch.run(pooled[way], made.call)
    assert outcome.report["count"] == 2
    assert place(outcome) == (gpu_launch.BAD_ID, 0, 2, begin + 8, begin + 9, NUM_ROWS)


@pytest.mark.parametrize("changes", [{6: -1}, {12: 3}, {3: 1, 4: -1}])
def test_without_pooling_it_is_reported_too(unpooled, changes):
    made = make_promised(dataclasses.replace(INT8, pooling="none"), np.random.default_rng(13), 4, "known")
    move_ends(made, changes)
    made.call.output = np.zeros((100, made.call.output.shape[1]), np.float32)
    first = min(changes)
    begin = int(made.call.offsets[made.first + first])
    assert place(gpu_launch.run(unpooled, made.call)) == (
        gpu_launch.OTHER_LENGTH, 0, first, begin, made.first + first, 4 + changes[first])
