"""The promise of fixed lengths: the same numbers, an error where a batch breaks it, and that it is seen everywhere."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from conftest import (
    KEYS,
    assert_same,
    assert_same_dicts,
    make_float,
    make_kjt,
    make_processed,
    make_quantized,
    make_sequence,
    sequence_kjt,
)
from test_torch_regroup import expected_of, make_weighted, regroup
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec
import trec.torch
from trec.compiler import run_tool
from trec.spec import ModelSpec, TableSpec

LENGTHS = {"ad": 3, "last_ad": 0, "user": 7}
BROKEN = "feature \"user\", sample 1: 6 ids, expected the fixed length of 7"


def keep(kjt, fixed=LENGTHS):
    """The batch with the promised number of ids, repeated, in each bag of a feature that has one."""
    values, lengths, weights = [], [], []
    for key, jagged in kjt.to_dict().items():
        for bag, weight in zip(jagged.to_dense(), jagged.to_dense_weights() if weighted(kjt) else jagged.to_dense()):
            count = fixed.get(key, len(bag))
            pick = torch.arange(count) % max(1, len(bag))
            bag, weight = (bag, weight) if len(bag) else (kjt.values().new_full((1,), 5), torch.ones(1))
            values.append(bag[pick])
            weights.append(weight[pick])
            lengths.append(count)
    return KeyedJaggedTensor(
        kjt.keys(), torch.cat(values), weights=torch.cat(weights) if weighted(kjt) else None,
        lengths=torch.tensor(lengths, dtype=kjt.lengths().dtype),
    )  # fmt: skip


def weighted(kjt):
    return kjt.weights_or_none() is not None


def shorten(kjt, key="user", sample=1):
    """One id less in one bag."""
    lengths, stride = kjt.lengths().clone(), kjt.stride()
    place = kjt.keys().index(key) * stride + sample
    end = int(lengths[: place + 1].sum())
    lengths[place] -= 1
    values = torch.cat([kjt.values()[: end - 1], kjt.values()[end:]])
    return KeyedJaggedTensor(kjt.keys(), values, lengths=lengths)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("keys", [KEYS, KEYS[::-1], ["x", *KEYS]])
@pytest.mark.parametrize("ids", [torch.int32, torch.int64])
def test_same_bits_as_torchrec(is_weighted, keys, ids):
    module = make_quantized(weighted=is_weighted)
    compiled = trec.torch.compile(module, fixed_lengths=LENGTHS)
    kjt = keep(make_kjt(keys, 5, weighted=is_weighted, ids=ids))
    assert_same(compiled(kjt), module(kjt))


def test_of_a_float_module_and_without_pooling_and_by_position():
    kjt, lengths = keep(make_kjt()), torch.int64
    compiled = trec.torch.compile(make_float(), dtype="int8", fixed_lengths=LENGTHS)
    assert_same(compiled(kjt), trec.torch.compile(make_float(), dtype="int8")(kjt))
    processed = make_processed()
    assert_same(trec.torch.compile(processed, fixed_lengths=LENGTHS)(kjt), processed(kjt))
    sequence, fixed = make_sequence(), {"user": 2, "page": 0}
    batch = keep(sequence_kjt(lengths=lengths), fixed)
    assert_same_dicts(trec.torch.compile(sequence, fixed_lengths=fixed)(batch), sequence(batch))


def test_a_broken_promise_is_an_error():
    compiled = trec.torch.compile(make_quantized(), fixed_lengths=LENGTHS)
    bad = shorten(keep(make_kjt()))
    with pytest.raises(trec.InputError) as caught:
        compiled(bad)
    assert str(caught.value) == BROKEN
    assert (caught.value.feature, caught.value.sample) == ("user", 1)
    by_offsets = KeyedJaggedTensor(bad.keys(), bad.values(), offsets=bad.offsets())
    with pytest.raises(trec.InputError, match=BROKEN):
        compiled(by_offsets)
    sequence = trec.torch.compile(make_sequence(), fixed_lengths={"user": 7})
    with pytest.raises(trec.InputError, match=BROKEN):
        sequence(shorten(keep(sequence_kjt(), {"user": 7})))


def test_copies_keep_it():
    compiled = trec.torch.compile(make_quantized(), fixed_lengths=LENGTHS)
    bad = shorten(keep(make_kjt()))
    for other in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        with pytest.raises(trec.InputError, match=BROKEN):
            other(bad)


def test_replace_promises_of_every_collection_that_has_the_feature():
    model = torch.nn.ModuleDict({"bags": make_quantized(), "rows": make_sequence()})
    model = trec.torch.replace(model, fixed_lengths={"user": 7, "last_ad": 0})
    for name, make in (("bags", make_kjt), ("rows", sequence_kjt)):
        good = keep(make(), {"user": 7, "last_ad": 0})
        model[name](good)
        with pytest.raises(trec.InputError, match=BROKEN):
            model[name](shorten(good))


def test_files_say_it(tmp_path):
    module = make_quantized()
    trec.export(module, tmp_path / "m", fixed_lengths=LENGTHS)
    assert 'trec.feature %arg0 "user" length 7' in (tmp_path / "m" / "model.mlir").read_text()
    so = trec.compile(tmp_path / "m", tmp_path / "m.so", report=str(tmp_path / "r.json"))
    model = trec.load(so, tmp_path / "m" / "model.safetensors")
    said = {key["feature"]: key.get("fixed_length") for key in model.info["output"]["keys"]}
    assert said == {**LENGTHS, "page": None}
    report = json.loads((tmp_path / "r.json").read_text())
    assert [table["fixed_lengths"] for table in report["tables"] if table["name"] == "users"] == [
        [{"feature": "user", "length": 7}]
    ]
    header = (tmp_path / "m.h").read_text()
    assert " *   user: 7\n" in header and "page:" not in header.partition("Columns")[0].partition("fixed")[2]
    assert "0 differ" in run_tool("trec-run", so, "--check")
    kjt = keep(make_kjt(model.features))
    expected = module(kjt).to_dict()
    got = model(kjt.values().numpy(), lengths=kjt.lengths().numpy())
    assert all(np.array_equal(got[key], expected[key].numpy()) for key in got)
    bad = shorten(kjt)
    with pytest.raises(trec.InputError, match=BROKEN):
        model(bad.values().numpy(), lengths=bad.lengths().numpy())
    loaded = trec.torch.load(so, tmp_path / "m" / "model.safetensors")
    assert_same(loaded(keep(make_kjt())), module(keep(make_kjt())))
    with pytest.raises(trec.InputError, match=BROKEN):
        loaded(shorten(keep(make_kjt())))


def test_of_a_regroup(tmp_path):
    modules, fixed = [make_quantized(), make_weighted()], {"ad": 2, "user": 7, "shop": 3}
    kjts = [keep(make_kjt(), fixed), keep(make_kjt(["shop", "buyer"], weighted=True), fixed)]
    compiled = trec.torch.compile(modules, regroup=regroup(), fixed_lengths=fixed)
    expected = expected_of(modules, kjts)
    for key, values in compiled(*kjts).items():
        assert torch.equal(values, expected[key])
    with pytest.raises(trec.InputError, match=f"batch 0: {BROKEN}"):
        compiled(shorten(kjts[0]), kjts[1])
    trec.export(modules, tmp_path / "m", regroup=regroup(), fixed_lengths=fixed)
    loaded = trec.torch.load(tmp_path / "m")
    with pytest.raises(trec.InputError, match=f"batch 0: {BROKEN}"):
        loaded(shorten(kjts[0]), kjts[1])


def strided(keys, strides, fixed):
    lengths = torch.cat([torch.full((stride,), fixed.get(key, 1)) for key, stride in zip(keys, strides)])
    rows = torch.stack([torch.zeros(2, dtype=torch.int64) for _ in keys])
    return KeyedJaggedTensor(
        keys, torch.ones(int(lengths.sum()), dtype=torch.int64), lengths=lengths,
        stride_per_key_per_rank=[[stride] for stride in strides], inverse_indices=(keys, rows),
    )  # fmt: skip


@pytest.mark.parametrize("make", [make_quantized, make_sequence])
def test_keys_of_different_sizes(make):
    keys = ["ad", "last_ad", "page", "user"] if make is make_quantized else ["ad", "shared", "page", "user"]
    compiled, plain = trec.torch.compile(make(), fixed_lengths={"user": 7}), trec.torch.compile(make())
    for strides in ([3, 3, 3, 3], [1, 2, 3, 3]):
        kjt = strided(keys, strides, {"user": 7})
        got, expected = compiled(kjt), plain(kjt)
        if make is make_quantized:
            assert_same(got, expected)
        else:
            assert_same_dicts(got, expected)
    with pytest.raises(trec.InputError, match="feature 'user' has 2 samples, another one 3: expected one number"):
        compiled(strided(keys, [1, 3, 3, 2], {"user": 7}))


def test_options_are_those_of_modules(tmp_path):
    with pytest.raises(trec.InputError, match="fixed_lengths applies to modules"):
        trec.compile(tmp_path, fixed_lengths=LENGTHS)
    assert trec.export(make_quantized(), tmp_path, fixed_lengths={"user": np.int32(7)})
    assert 'length 7' in (tmp_path / "model.mlir").read_text()


def test_the_spec_is_what_it_was_without():
    spec = ModelSpec([TableSpec("t", 4, 8, "int8", ["f"])])
    assert "fixed_lengths" not in spec.to_dict()
    spec.fixed_lengths = {"f": 3}
    assert spec.to_dict()["fixed_lengths"] == [{"feature": "f", "length": 3}]
