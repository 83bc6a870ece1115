"""CompiledEmbeddingCollection: the interface of torchrec.quant's EmbeddingCollection, bound to the same memory."""

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.fx
import torchrec.fx
from conftest import (
    SEQUENCE_KEYS,
    assert_same_bits,
    assert_same_dicts,
    make_sequence,
    rows_for,
    sequence_configs,
)
from conftest import sequence_kjt as kjt
from torchrec.inference.modules import quantize_inference_model
from torchrec.modules.embedding_configs import DataType, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection as FloatSequence
from torchrec.quant.embedding_modules import EmbeddingCollection
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor

import trec
import trec.torch
from trec.testing import reference

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def module():
    return make_sequence(need_indices=True)


@pytest.fixture(scope="module")
def compiled(module):
    return trec.torch.compile(module)


@pytest.mark.parametrize("batch", [1, 5, 300])
@pytest.mark.parametrize("ids", [torch.int32, torch.int64])
@pytest.mark.parametrize("lengths", [torch.int32, torch.int64])
@pytest.mark.parametrize("keys", [SEQUENCE_KEYS, ["user", "x", "shared", "page", "ad", "y"]])
def test_same_bits(module, compiled, batch, ids, lengths, keys):
    batch = {"batch": batch, "ids": ids, "lengths": lengths}
    assert_same_dicts(compiled(kjt(keys, **batch)), module(kjt(keys, **batch)))


def test_order_of_keys_is_by_type_of_rows(compiled):
    assert list(compiled(kjt())) == ["ad", "shared@ads", "user", "shared@users", "page"]


@pytest.mark.parametrize("need_indices", [False, True])
@pytest.mark.parametrize("output", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", [DataType.FP32, DataType.FP16, DataType.INT8, DataType.INT4, DataType.INT2])
def test_every_type(kind, output, need_indices):
    tables = sequence_configs(ads={"data_type": kind}, users={"data_type": kind})
    module = make_sequence(tables, need_indices=need_indices, output_dtype=output)
    compiled = trec.torch.compile(module)
    assert compiled.output_dtype() is output and compiled.need_indices() is need_indices
    assert_same_dicts(compiled(kjt()), module(kjt()))


def test_offsets(module, compiled):
    given = kjt()
    only_offsets = KeyedJaggedTensor(SEQUENCE_KEYS, given.values(), offsets=given.offsets())
    assert_same_dicts(compiled(only_offsets), module(kjt()))
    assert only_offsets.lengths_or_none() is None


@pytest.mark.parametrize("keys", [SEQUENCE_KEYS, SEQUENCE_KEYS[::-1]])
def test_bad_ids(module, compiled, keys):
    """Row 0 is used and the ids are given back as looked up, but the caller's own stay as they are."""
    lengths = torch.tensor([2, 1, 1, 1])

    def bad():
        return KeyedJaggedTensor(keys, torch.tensor([3, 99, -7, -1, 35]), lengths=lengths)

    given = bad()
    got = compiled(given)
    assert_same_dicts(got, module(bad()))
    assert torch.equal(given.values(), bad().values())


def test_ids_of_a_good_batch_are_the_callers(compiled):
    given = kjt()
    got = compiled(given)
    storage = given.values().untyped_storage().data_ptr()
    assert {jagged.weights().untyped_storage().data_ptr() for jagged in got.values()} == {storage}


def test_empty(compiled):
    for given in (
        kjt(batch=0),
        KeyedJaggedTensor(SEQUENCE_KEYS, torch.zeros(0, dtype=torch.int32), offsets=torch.zeros(1, dtype=torch.int32)),
    ):
        got = compiled(given)
        assert list(got) == ["ad", "shared@ads", "user", "shared@users", "page"]
        for jagged in got.values():
            assert jagged.values().shape == (0, 8) and jagged.lengths().shape == (0,)
    no_ids = KeyedJaggedTensor(SEQUENCE_KEYS, torch.zeros(0, dtype=torch.int64), lengths=torch.zeros(8).int())
    assert all(jagged.values().shape == (0, 8) for jagged in compiled(no_ids).values())


def test_a_feature_twice_in_a_table():
    tables = sequence_configs(users={"feature_names": ["user", "user"]})
    module = make_sequence(tables, need_indices=True)
    assert_same_dicts(trec.torch.compile(module)(kjt()), module(kjt()))


def test_a_feature_in_tables_of_different_types():
    """TorchRec's quantized module keeps one of the outputs, its float module both."""
    tables = sequence_configs(pages={"feature_names": ["page", "shared"]})
    module = make_sequence(tables)
    got = trec.torch.compile(module)(kjt())
    assert list(got) == ["ad", "shared@ads", "user", "shared@users", "page", "shared@pages"]
    expected = module(kjt())
    for key in ("ad", "shared@ads", "user", "shared@users", "page"):
        assert_same_bits(got[key].values(), expected[key].values())
    assert_same_bits(got["shared@pages"].values(), expected["shared"].values())


def test_tables_of_different_dims(tmp_path):
    tables = sequence_configs(pages={"embedding_dim": 20, "data_type": DataType.INT4})
    weights = {table.name: rows_for(table) for table in tables}
    with pytest.raises(ValueError, match="same embedding dimension"):
        EmbeddingCollection(tables, CPU, table_name_to_quantized_weights=weights)
    compiled = trec.torch.CompiledEmbeddingCollection(
        tables, CPU, need_indices=True, table_name_to_quantized_weights=weights
    )
    got = compiled(kjt())
    by_dim = [[tables[0], tables[2]], [tables[1]]]
    for group in by_dim:
        alone = EmbeddingCollection(group, CPU, table_name_to_quantized_weights=weights)
        for key, jagged in alone(kjt()).items():
            assert_same_bits(got[key].values(), jagged.values())
    assert got["page"].values().shape[1] == 20
    assert compiled.embedding_configs() is tables
    with pytest.raises(trec.InputError, match=r"the tables have dims \[8, 20\], ask each of embedding_configs"):
        compiled.embedding_dim()


def test_different_batch_sizes_as_the_float_module(compiled):
    strides = [2, 1, 0, 3]
    lengths = torch.tensor([2, 0, 1, 1, 3, 0], dtype=torch.int32)
    ids = torch.arange(7)
    given = KeyedJaggedTensor(SEQUENCE_KEYS, ids, lengths=lengths, stride_per_key_per_rank=[[x] for x in strides])
    floats = FloatSequence(
        tables=[
            EmbeddingConfig(
                name=c.name, num_embeddings=c.num_embeddings, embedding_dim=8, feature_names=list(c.feature_names)
            )
            for c in sequence_configs()
        ],
        need_indices=True,
    )
    compiled = trec.torch.compile(floats, dtype="fp32")
    got, expected = compiled(given), floats(given)
    assert got.keys() == expected.keys()
    for key, jagged in expected.items():
        assert_same_bits(got[key].values(), jagged.values())
        assert_same_bits(got[key].lengths(), jagged.lengths())
        assert_same_bits(got[key].weights(), jagged.weights())


@pytest.mark.parametrize(
    "lengths, strides, text",
    [
        ([2, 1, 1, 1], None, r"sum to the 4 values, got \[2, 1, 1, 1\]"),
        ([2, -1, 2, 1], None, r"sum to the 4 values, got \[2, -1, 2, 1\]"),
        ([3, -1, 1, 1, 0], [2, 1, 1, 1], "lengths: expected 0 or more, got -1"),
        ([3, 1], [2, 1, 1, 1], r"lengths: expected 5 elements .* \[2, 1, 1, 1\], got 2 of torch.int64"),
    ],
)
def test_bad_lengths(compiled, lengths, strides, text):
    per_rank = None if strides is None else [[x] for x in strides]
    given = KeyedJaggedTensor(
        SEQUENCE_KEYS,
        torch.zeros(4, dtype=torch.int64),
        lengths=torch.tensor(lengths),
        stride_per_key_per_rank=per_rank,
    )
    with pytest.raises(trec.InputError, match=text):
        compiled(given)


def test_negative_length_within_a_key(compiled):
    lengths = torch.tensor([3, -1, 1, 0, 1, 0, 0, 0])
    with pytest.raises(trec.InputError, match="-1"):
        compiled(KeyedJaggedTensor(SEQUENCE_KEYS, torch.zeros(4, dtype=torch.int64), lengths=lengths))


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("registered", [False, True])
def test_state_dict(is_split, registered):
    tables = sequence_configs(users={"data_type": DataType.INT4})
    module = make_sequence(tables, quant_state_dict_split_scale_bias=is_split, register_tbes=registered)
    compiled = trec.torch.compile(module)
    got, expected = compiled.state_dict(), module.state_dict()
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert type(got[name]) is type(tensor) and got[name].shape == tensor.shape and got[name].dtype == tensor.dtype
        assert got[name].stride() == tensor.stride()
        if type(tensor) is torch.Tensor and tensor.numel():
            assert got[name].data_ptr() == tensor.data_ptr()


def test_edits_copies_and_pickles():
    module = make_sequence()
    compiled = trec.torch.compile(module)
    copied, loaded = copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))
    for twin in (copied, loaded):
        assert_same_dicts(twin(kjt()), module(kjt()))
    module.embeddings.ads.weight[:, :2] = 0
    assert_same_dicts(compiled(kjt()), module(kjt()))
    compiled.load_state_dict(copied.state_dict())
    assert_same_dicts(compiled(kjt()), loaded(kjt()))
    copied.embeddings.pages.weight.zero_()
    assert not copied(kjt())["page"].values().any()


@pytest.mark.parametrize("trace", [torch.fx.symbolic_trace, torchrec.fx.symbolic_trace])
def test_fx_leaf(compiled, trace):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.sparse = compiled

        def forward(self, features: KeyedJaggedTensor) -> torch.Tensor:
            return self.sparse(features)["ad"].values()

    traced = trace(Model())
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["sparse"]
    assert_same_bits(traced(kjt()), compiled(kjt())["ad"].values())


def test_threads_follow_torch(module, compiled):
    threads = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            assert_same_dicts(compiled(kjt(batch=300)), module(kjt(batch=300)))
    finally:
        torch.set_num_threads(threads)


def test_float_with_dtype_is_the_quantized_module():
    tables = sequence_configs()
    for table in tables:
        table.data_type = DataType.FP32
    model = torch.nn.ModuleDict({"sparse": FloatSequence(tables=tables, need_indices=True)})
    quantized = quantize_inference_model(copy.deepcopy(model))["sparse"]
    compiled = trec.torch.replace(model, dtype="int8")["sparse"]
    assert type(compiled) is trec.torch.CompiledEmbeddingCollection and compiled.need_indices()
    assert_same_dicts(compiled(kjt()), quantized(kjt()))


def test_export_and_load(module, tmp_path):
    assert trec.export(torch.nn.ModuleDict({"sparse": module}), tmp_path) == [tmp_path / "sparse"]
    so = trec.compile(tmp_path / "sparse", tmp_path / "sparse" / "model.so")
    expected = module(kjt())
    for path in (tmp_path / "sparse", so):
        got = trec.torch.load(path)(kjt())
        assert list(got) == list(expected)
        for key in expected:
            assert_same_bits(got[key].values(), expected[key].values())
    model, given = trec.load(so), kjt()
    values, lengths = given.values().numpy(), given.lengths().numpy()
    for outputs in (
        model(values, lengths, keys=SEQUENCE_KEYS),
        model(values, offsets=given.offsets().numpy(), keys=SEQUENCE_KEYS),
    ):
        assert list(outputs) == list(expected)
        for key, (rows, counts) in outputs.items():
            assert reference.different_elements(rows, expected[key].values().numpy()) == 0
            assert np.array_equal(counts, expected[key].lengths().numpy())
    assert isinstance(next(iter(expected.values())), JaggedTensor)
    assert model.info["kind"] == "embedding_collection"
    with pytest.raises(trec.InputError, match=r"sum to the 1 values, got"):
        model(np.zeros(1, np.int64), lengths, keys=SEQUENCE_KEYS)
    empty = model(np.zeros(0, np.int64), np.zeros(0, np.int32))
    assert all(rows.shape == (0, 8) for rows, _ in empty.values())
