"""trec.torch.replace of models that regroup: the pattern is found by torch.fx, or left as it is."""

import copy

import pytest
import torch
from conftest import assert_same_bits, make_kjt, make_quantized
from test_torch_regroup import (
    WEIGHTED_KEYS,
    assert_same_groups,
    expected_of,
    make_batches,
    make_weighted,
    regroup,
)

import trec
import trec.torch


@pytest.fixture(scope="module")
def modules():
    return [make_quantized(), make_weighted()]


def test_replace_leaves_the_regroup_behind_compiled_collections(modules):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.plain, self.weighted = (copy.deepcopy(module) for module in modules)
            self.regroup = regroup()

        def forward(self, first, second):
            return self.regroup([self.plain(first), self.weighted(second)])

    kjts = make_batches()
    model = trec.torch.replace(Model())
    assert isinstance(model.plain, trec.torch.CompiledEmbeddingBagCollection)
    assert_same_groups(model(*kjts), expected_of(modules, kjts))


class Regrouping(torch.nn.Module):
    """Collections, a regroup and some layers, as models have them."""

    def __init__(self, modules, with_other=False):
        super().__init__()
        self.sparse = torch.nn.ModuleDict({"plain": modules[0], "weighted": modules[1]})
        self.regroup = regroup()
        self.other = make_quantized() if with_other else None
        self.top = torch.nn.Linear(36, 2)

    def forward(self, first, second):
        groups = self.regroup([self.sparse["plain"](first), self.sparse["weighted"](second)])
        result = self.top(groups["dense"]), groups["other"]
        return result if self.other is None else (*result, self.other(first).values())


@pytest.mark.parametrize("with_other", [False, True])
def test_replace_fuses_the_regroup(modules, with_other):
    model = Regrouping([copy.deepcopy(module) for module in modules], with_other)
    kjts = make_batches()
    expected = model(*kjts)
    fused = trec.torch.replace(model, fuse_regroup=True)
    assert isinstance(fused.regroup, trec.torch.CompiledRegroupedCollections)
    for got, tensor in zip(fused(*kjts), expected, strict=True):
        assert_same_bits(got, tensor)
    if with_other:
        assert isinstance(fused.other, trec.torch.CompiledEmbeddingBagCollection)
    assert not [name for name, _ in fused.named_modules() if name.startswith("sparse.")]


def test_replace_fuses_collections_that_share_a_batch(modules):
    class Model(Regrouping):
        def forward(self, first):
            return super().forward(first, first)

    model = Model([copy.deepcopy(module) for module in modules])
    kjt = make_kjt(["ad", "last_ad", "page", "user", *WEIGHTED_KEYS], weighted=True)
    expected = model(kjt)
    for got, tensor in zip(trec.torch.replace(model, fuse_regroup=True)(kjt), expected, strict=True):
        assert_same_bits(got, tensor)


class Branching(Regrouping):
    def forward(self, first, second):
        return super().forward(first, second) if first.values().sum() > 0 else None


class UsedTwice(Regrouping):
    def forward(self, first, second):
        plain = self.sparse["plain"](first)
        return self.regroup([plain, self.sparse["weighted"](second)]), plain.values()


class GivenTensors(Regrouping):
    def forward(self, first, second):
        return self.regroup([self.sparse["plain"](first), second])


class GivenList(Regrouping):
    def forward(self, tensors):
        return self.regroup(tensors)


class WithoutRegroup(Regrouping):
    def forward(self, first):
        return self.sparse["plain"](first)


@pytest.mark.parametrize(
    "kind, message",
    [
        (Branching, "Branching cannot be traced by torch.fx .*leave out fuse_regroup"),
        (UsedTwice, "module 'regroup': the output of module 'sparse.plain' is also used by others"),
        (GivenTensors, "module 'regroup': 'second' is no output of a collection"),
        (GivenList, "module 'regroup': its KeyedTensors are no list that can be seen"),
        (WithoutRegroup, "fuse_regroup: WithoutRegroup calls no KTRegroupAsDict"),
    ],
)
def test_patterns_that_are_not_fused(modules, kind, message):
    model = kind([copy.deepcopy(module) for module in modules])
    with pytest.raises(trec.ExportError, match=message):
        trec.torch.replace(model, fuse_regroup=True)
    assert type(model.sparse["plain"]) is type(modules[0])
