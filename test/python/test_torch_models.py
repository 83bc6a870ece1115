"""Whole models with compiled collections: DLRM, DeepFM, sequences into attention, and outputs regrouped."""

import copy
import pickle

import pytest
import torch
from conftest import configs, make_kjt, make_quantized
from torchrec.inference.modules import quantize_inference_model
from torchrec.models.deepfm import SimpleDeepFMNN
from torchrec.models.dlrm import DLRM, DLRM_DCN
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.modules.regroup import KTRegroupAsDict
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

import trec.torch

CPU = torch.device("cpu")
FEATURES = ["f0", "f1", "f2"]


def float_bags():
    tables = [
        EmbeddingBagConfig(name=f"t{i}", num_embeddings=30, embedding_dim=16, feature_names=[name])
        for i, name in enumerate(FEATURES)
    ]
    return EmbeddingBagCollection(tables=tables, device=CPU)


def dlrm():
    return DLRM(float_bags(), 13, [32, 16], [20, 5, 1])


def dlrm_dcn():
    return DLRM_DCN(float_bags(), 13, [32, 16], [20, 5, 1], dcn_num_layers=2, dcn_low_rank_dim=8)


def deep_fm():
    return SimpleDeepFMNN(13, float_bags(), hidden_layer_size=20, deep_fm_dimension=5)


class Attention(torch.nn.Module):
    """The last items of a user, attended to by the candidate."""

    def __init__(self):
        super().__init__()
        tables = [
            EmbeddingConfig(
                name="products", num_embeddings=40, embedding_dim=16, feature_names=["history", "candidate"]
            ),
            EmbeddingConfig(name="places", num_embeddings=20, embedding_dim=16, feature_names=["place"]),
        ]
        self.sequences = EmbeddingCollection(tables=tables, device=CPU)
        self.attention = torch.nn.MultiheadAttention(16, 2, batch_first=True)
        self.over = torch.nn.Linear(32, 1)

    def forward(self, features: KeyedJaggedTensor) -> torch.Tensor:
        found = self.sequences(features)
        history = found["history"]
        dense = history.to_padded_dense(8)
        # A user without history attends to padding.
        hidden = torch.arange(8)[None] >= history.lengths().clamp(min=1)[:, None]
        candidate = found["candidate"].to_padded_dense(1)
        attended, _ = self.attention(candidate, dense, dense, key_padding_mask=hidden)
        place = found["place"].to_padded_dense(1)
        return self.over(torch.cat([attended, place], dim=2)[:, 0])


MODELS = {"dlrm": dlrm, "dlrm_dcn": dlrm_dcn, "deep_fm": deep_fm, "attention": Attention}


def inputs(name, batch, seed):
    random = torch.Generator().manual_seed(seed)
    if name == "attention":
        return [make_kjt(["history", "candidate", "place"], batch, seed)]
    # Keys in another order than the model's, with one that it does not know.
    return torch.rand(batch, 13, generator=random), make_kjt(["f2", "other", "f0", "f1"], batch, seed)


@pytest.fixture(params=MODELS)
def pair(request):
    """The name, the quantized model, and the same with compiled collections."""
    torch.manual_seed(0)
    quantized = quantize_inference_model(MODELS[request.param]().eval())
    return request.param, quantized, trec.torch.replace(copy.deepcopy(quantized))


def assert_same_on_batches(name, got, expected):
    with torch.inference_mode():
        for seed, batch in enumerate([1, 33, 2, 64, 33]):
            result = got(*inputs(name, batch, seed))
            assert result.shape[0] == batch and torch.equal(result, expected(*inputs(name, batch, seed)))


def test_same_outputs(pair):
    name, quantized, compiled = pair
    kinds = {type(module).__name__ for module in compiled.modules()}
    assert ("CompiledEmbeddingCollection" if name == "attention" else "CompiledEmbeddingBagCollection") in kinds
    assert not any(kind.startswith("Embedding") for kind in kinds)
    assert_same_on_batches(name, compiled, quantized)
    assert list(compiled.state_dict()) == list(quantized.state_dict())


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"])
def test_copies(pair, way):
    """A copy is independent of the model that it was made of."""
    name, quantized, compiled = pair
    twin = way(compiled)
    for tensor in compiled.state_dict().values():
        tensor.zero_()
    assert_same_on_batches(name, twin, quantized)


def test_state_dict_of_the_quantized_model(pair):
    name, quantized, compiled = pair
    other = copy.deepcopy(quantized)
    with torch.no_grad():
        for key, tensor in other.state_dict().items():
            # What else registered TBEs have says where the rows lie.
            if ".tbes." not in key:
                tensor.copy_(tensor.flip(0))
    compiled.load_state_dict(other.state_dict())
    assert_same_on_batches(name, compiled, other)


@pytest.fixture
def outputs():
    """Of two collections, original and compiled."""
    others = configs()
    for table in others:
        table.name, table.feature_names = f"other_{table.name}", [f"other_{name}" for name in table.feature_names]
    keys = ["ad", "last_ad", "page", "user"]
    result = []
    for tables, names in ((configs(), keys), (others, [f"other_{key}" for key in keys])):
        module = make_quantized(tables)
        result.append([module(make_kjt(names)), trec.torch.compile(module)(make_kjt(names))])
    return [list(pair) for pair in zip(*result)]


GROUPS = [["user", "other_ad"], ["ad", "other_page", "page"], ["ad"]]


def test_regroup_module(outputs):
    expected, got = (KTRegroupAsDict(GROUPS, ["a", "b", "c"])(tensors) for tensors in outputs)
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[key], expected[key]) for key in expected)


def test_regroup_functions(outputs):
    expected, got = (KeyedTensor.regroup(tensors, GROUPS) for tensors in outputs)
    assert len(got) == 3 and all(torch.equal(a, b) for a, b in zip(got, expected))
    expected, got = (KeyedTensor.regroup_as_dict(tensors, GROUPS, ["a", "b", "c"]) for tensors in outputs)
    assert all(torch.equal(got[key], expected[key]) for key in expected)


def test_one_regroup_module_for_both(outputs):
    """It remembers the first call's layout, which is the same."""
    regroup = KTRegroupAsDict(GROUPS, ["a", "b", "c"])
    expected, got = (regroup(tensors) for tensors in outputs)
    assert all(torch.equal(got[key], expected[key]) for key in expected)
