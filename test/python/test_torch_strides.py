"""Batches whose keys differ in size, with and without inverse indices: what TorchRec's float modules make of them."""

import copy

import pytest
import torch
from conftest import KEYS, assert_same, configs, make_float, make_kjt, make_quantized
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec.torch

STRIDES = [3, 1, 4, 2]
ROWS = 5


def strided(keys=KEYS, strides=STRIDES, seed=0, weighted=False, ids=torch.int64, inverse=True):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 5, (sum(strides),), generator=generator)
    values = torch.randint(0, 20, (int(lengths.sum()),), generator=generator).to(ids)
    weights = torch.randn(len(values), generator=generator) if weighted else None
    rows = torch.stack([torch.randint(0, max(1, stride), (ROWS,), generator=generator) for stride in strides])
    return KeyedJaggedTensor(
        list(keys), values, weights=weights, lengths=lengths, stride_per_key_per_rank=[[x] for x in strides],
        inverse_indices=(list(keys), rows) if inverse else None,
    )  # fmt: skip


def expanded(kjt):
    """The same batch with the bags repeated as the inverse indices say."""
    bags, names = kjt.to_dict(), kjt.inverse_indices()[0]
    values, weights, lengths = [], [], []
    for key in kjt.keys():
        jagged = bags[key]
        for row in kjt.inverse_indices()[1][names.index(key)].tolist():
            bag = slice(int(jagged.offsets()[row]), int(jagged.offsets()[row + 1]))
            values.append(jagged.values()[bag])
            lengths.append(len(values[-1]))
            if kjt.weights_or_none() is not None:
                weights.append(jagged.weights()[bag])
    return KeyedJaggedTensor(
        kjt.keys(), torch.cat(values), weights=torch.cat(weights) if weights else None, lengths=torch.tensor(lengths)
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ids", [torch.int32, torch.int64])
@pytest.mark.parametrize("keys", [KEYS, KEYS[::-1]])
def test_same_bits_as_the_expanded_batch(weighted, ids, keys):
    module = make_quantized(weighted=weighted)
    compiled = trec.torch.compile(module)
    for seed in range(4):
        kjt = strided(keys, seed=seed, weighted=weighted, ids=ids)
        assert_same(compiled(kjt), module(expanded(kjt)))


def test_extra_keys_and_shared_features():
    module = make_quantized(configs(users={"feature_names": ["user", "ad"]}))
    compiled = trec.torch.compile(module)
    kjt = strided(["x", *KEYS, "y"], [2, *STRIDES, 6])
    assert_same(compiled(kjt), module(expanded(kjt)))


def test_as_the_float_module():
    tables = make_float(configs(ads={"embedding_dim": 8}))
    compiled = trec.torch.compile(copy.deepcopy(tables), dtype="fp32")
    kjt = strided()
    got, expected = compiled(kjt).to_dict(), tables(kjt).to_dict()
    assert got.keys() == expected.keys()
    for key, values in expected.items():
        torch.testing.assert_close(got[key], values)


def test_equal_strides_with_inverse_indices():
    module = make_quantized()
    kjt = make_kjt(batch=3)
    rows = torch.tensor([[2, 0, 0, 1]] * 4)
    given = KeyedJaggedTensor(KEYS, kjt.values(), lengths=kjt.lengths(), inverse_indices=(KEYS, rows))
    assert_same(trec.torch.compile(module)(given), module(expanded(given)))


@pytest.mark.parametrize("batch", [0, 3])
def test_without_inverse_indices(batch):
    """Where the keys that are used agree, the others do not matter."""
    module = make_quantized()
    compiled = trec.torch.compile(module)
    kjt = strided(["x", *KEYS], [7, *[batch] * 4], inverse=False)
    skip = int(kjt.lengths()[:7].sum())
    plain = KeyedJaggedTensor(KEYS, kjt.values()[skip:], lengths=kjt.lengths()[7:], stride=batch)
    got = compiled(kjt)
    assert got.values().shape == (batch, 52)
    if batch:
        assert_same(got, module(plain))


def test_offsets_of_different_strides():
    module = make_quantized()
    kjt = strided()
    by_offsets = KeyedJaggedTensor(
        KEYS, kjt.values(), offsets=kjt.offsets(), stride_per_key_per_rank=[[x] for x in STRIDES],
        inverse_indices=kjt.inverse_indices(),
    )  # fmt: skip
    assert_same(trec.torch.compile(module)(by_offsets), module(expanded(kjt)))


def test_empty_inverse_indices():
    compiled = trec.torch.compile(make_quantized())
    none = torch.zeros(4, 0, dtype=torch.int64)
    kjt = KeyedJaggedTensor(
        KEYS, torch.zeros(0, dtype=torch.int64), lengths=torch.zeros(0, dtype=torch.int64),
        stride_per_key_per_rank=[[0]] * 4, inverse_indices=(KEYS, none),
    )  # fmt: skip
    assert compiled(kjt).values().shape == (0, 52)
