"""Batches of a class derived from TorchRec's: what its accessors give is looked up, whatever its attributes hold."""

import pytest
import torch
from conftest import (
    assert_same,
    assert_same_dicts,
    make_kjt,
    make_processed,
    make_quantized,
    make_sequence,
    sequence_kjt,
)
from test_managed import quantized as make_managed
from test_managed import random_kjt
from test_torch_regroup import assert_same_groups, make_batches, make_weighted, regroup
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec.torch


class Turned(KeyedJaggedTensor):
    """The ids of each batch in the reverse order, and no attribute that says so."""

    def values(self):
        return super().values().flip(0)


def turned(batch, **changes):
    """A batch of the derived class, and one of TorchRec's own with the same ids."""
    values, weights, lengths = batch.values(), batch.weights_or_none(), batch.lengths()
    return [
        kind(batch.keys(), ids, weights=weights, lengths=lengths, **changes)
        for kind, ids in ((Turned, values), (KeyedJaggedTensor, values.flip(0)))
    ]


def assert_same_pairs(got, expected):
    assert_same(got[0], expected[0])
    assert torch.equal(got[1].values(), expected[1].values())


CASES = {
    "bags": (make_quantized, make_kjt, assert_same),
    "weighted": (lambda: make_quantized(weighted=True), lambda: make_kjt(weighted=True), assert_same),
    "processed": (make_processed, make_kjt, assert_same),
    "sequence": (make_sequence, sequence_kjt, assert_same_dicts),
    "managed": (make_managed, random_kjt, assert_same_pairs),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("changes", [{}, {"stride_per_key_per_rank": True}], ids=["plain", "strided"])
def test_accessors_are_asked(name, changes):
    make, make_batch, check = CASES[name]
    module, batch = make(), make_batch()
    if changes:
        changes = {"stride_per_key_per_rank": [[batch.stride()]] * len(batch.keys())}
    derived, plain = turned(batch, **changes)
    compiled = trec.torch.compile(module)
    check(compiled(derived), compiled(plain))
    assert not torch.equal(plain.values(), batch.values())


def test_regroup():
    compiled = trec.torch.compile([make_quantized(), make_weighted()], regroup=regroup())
    pairs = [turned(batch) for batch in make_batches()]
    derived, plain = zip(*pairs)
    assert_same_groups(compiled(*derived), compiled(*plain))


def test_derived_batches_are_not_the_extensions():
    module = trec.torch.compile(make_quantized())
    derived, plain = turned(make_kjt())
    module(plain)
    assert module._runtime.caller(derived) is None
