"""CompiledFeatureProcessedEmbeddingBagCollection: weights by position in the model, other processors in Python."""

import copy
import pickle

import numpy as np
import pytest
import torch
from conftest import KEYS, assert_same, configs, make_float, make_kjt, make_processed, rows_for
from torchrec.inference.modules import quantize_embeddings
from torchrec.modules.embedding_configs import PoolingType
from torchrec.modules.feature_processor_ import (
    FeatureProcessorsCollection,
    PositionWeightedModule,
    PositionWeightedModuleCollection,
)
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection as FloatProcessed
from torchrec.modules.fp_embedding_modules import FeatureProcessorDictWrapper
from torchrec.quant.embedding_modules import FeatureProcessedEmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec
import trec.torch
from trec.weights_file import Parameter, TableRows, array_chunks, write_weights

LENGTHS = {"ad": 6, "last_ad": 5, "page": 8, "user": 4, "x": 9}


def fill(parameters):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def collection(lengths=LENGTHS):
    processor = PositionWeightedModuleCollection(dict(lengths))
    fill(processor.parameters())
    return processor


def wrapper():
    modules = {name: PositionWeightedModule(length) for name, length in LENGTHS.items() if name != "x"}
    processor = FeatureProcessorDictWrapper(torch.nn.ModuleDict(modules))
    fill(processor.parameters())
    return processor


class Halves(FeatureProcessorsCollection):
    """One that trec does not know."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, features):
        weights = self.factor.detach() * torch.ones(features.values().numel())
        return KeyedJaggedTensor(features.keys(), features.values(), weights=weights, lengths=features.lengths())


PROCESSORS = {"collection": collection, "wrapper": wrapper, "partial": lambda: collection({"ad": 6}), "other": Halves}


@pytest.mark.parametrize("kind", PROCESSORS)
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_same_bits(kind, batch):
    module = make_processed(PROCESSORS[kind]())
    compiled = trec.torch.compile(module)
    assert type(compiled) is trec.torch.CompiledFeatureProcessedEmbeddingBagCollection
    assert compiled.is_fused is (kind in ("collection", "wrapper"))
    assert compiled.is_weighted() is True and module.is_weighted() is True
    for keys in (KEYS, KEYS[::-1]):
        given = make_kjt(keys, batch)
        if batch or compiled.is_fused:
            got = compiled(given)
        if batch:
            assert_same(got, module(make_kjt(keys, batch)))
        elif compiled.is_fused:
            assert got.values().shape == (0, 52)


@pytest.mark.parametrize("pooling", [PoolingType.SUM, PoolingType.MEAN])
def test_shared_features_and_extra_keys(pooling):
    module = make_processed(collection(), configs(ads={"pooling": pooling}, users={"feature_names": ["user", "ad"]}))
    keys = ["x", *KEYS]
    assert_same(trec.torch.compile(module)(make_kjt(keys)), module(make_kjt(keys)))


def test_weights_of_the_batch_do_not_count():
    module = make_processed(collection())
    assert_same(trec.torch.compile(module)(make_kjt(weighted=True)), module(make_kjt(weighted=True)))


def test_bag_longer_than_the_weights():
    module = make_processed(collection())
    lengths = torch.tensor([0, 0, 0, 5])
    given = KeyedJaggedTensor(KEYS, torch.zeros(5, dtype=torch.int64), lengths=lengths)
    with pytest.raises(RuntimeError, match="out of bounds"):
        module(given)
    with pytest.raises(trec.InputError, match="user.*5.*4"):
        trec.torch.compile(module)(given)


@pytest.mark.parametrize("kind", ["collection", "wrapper", "other"])
@pytest.mark.parametrize("registered", [False, True])
def test_state_dict(kind, registered):
    module = make_processed(PROCESSORS[kind](), register_tbes=registered)
    compiled = trec.torch.compile(module)
    got, expected = compiled.state_dict(), module.state_dict()
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert tensor.numel() == 0 or got[name].data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize("kind", ["collection", "wrapper", "other"])
def test_parameters_are_live(kind):
    module = make_processed(PROCESSORS[kind]())
    compiled = trec.torch.compile(module)
    before = compiled(make_kjt()).values()
    with torch.no_grad():
        for parameter in module.feature_processor.parameters():
            parameter.mul_(-2)
    assert_same(compiled(make_kjt()), module(make_kjt()))
    assert not torch.equal(compiled(make_kjt()).values(), before)
    for parameter in module.feature_processor.parameters():
        parameter.data = parameter.data * 3
    assert_same(compiled(make_kjt()), module(make_kjt()))
    state = {name: tensor.clone() for name, tensor in compiled.state_dict().items()}
    for name, tensor in state.items():
        if name.startswith("feature_processor"):
            tensor.add_(1)
    compiled.load_state_dict(state, assign=True)
    fresh = make_processed(PROCESSORS[kind]())
    fresh.load_state_dict(state)
    assert_same(compiled(make_kjt()), fresh(make_kjt()))


def test_copies_and_pickles():
    module = make_processed(collection())
    compiled = trec.torch.compile(module)
    twins = [copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))]
    for twin in twins:
        assert_same(twin(make_kjt()), module(make_kjt()))
        assert list(twin.state_dict()) == list(module.state_dict())
        with torch.no_grad():
            twin.feature_processor.position_weights["ad"].zero_()
        assert not twin(make_kjt())["ad"].any()
    assert_same(compiled(make_kjt()), module(make_kjt()))


def test_casts():
    module = make_processed(collection())
    compiled = trec.torch.compile(module)
    expected = compiled(make_kjt()).values()
    with pytest.raises(
        trec.InputError, match="position_weights.ad: expected contiguous float32 on the cpu, got torch.float64"
    ):
        compiled.double()
    compiled.float()
    assert torch.equal(compiled(make_kjt()).values(), expected)


def test_positions_given_by_the_batch():
    module = make_processed(collection())
    compiled = trec.torch.compile(module)
    given = make_kjt(weighted=True)
    module.feature_processor.pre_process_input(given)
    with pytest.raises(trec.TrecError, match="takes positions from the weights now; compile the module again"):
        compiled(given)
    again = trec.torch.compile(module)
    assert not again.is_fused
    assert_same(again(given), module(given))


def test_unweighted_bags():
    """Then TorchRec computes the weights and does not use them."""
    tables = configs()
    module = FeatureProcessedEmbeddingBagCollection(
        tables, False, torch.device("cpu"), feature_processor=collection(),
        table_name_to_quantized_weights={table.name: rows_for(table) for table in tables},
    )  # fmt: skip
    compiled = trec.torch.compile(module)
    assert compiled.is_weighted() is False
    assert_same(compiled(make_kjt()), module(make_kjt()))


def make_float_processed(processor):
    return FloatProcessed(make_float(configs(users={"pooling": PoolingType.SUM}), is_weighted=True), processor)


@pytest.mark.parametrize("kind", ["collection", "dict"])
def test_float_with_dtype_is_the_quantized_module(kind):
    if kind == "collection":
        processor, same = collection(), collection()
    else:
        # TorchRec's own quantized module cannot be called with a dict of processors.
        same = wrapper()
        processor = dict(copy.deepcopy(same._feature_processors).items())
    quantized = quantize_embeddings(
        torch.nn.ModuleDict({"sparse": make_float_processed(same)}), dtype=torch.qint8, inplace=True
    )["sparse"]
    compiled = trec.torch.compile(make_float_processed(processor), dtype="int8")
    assert compiled.is_fused
    assert_same(compiled(make_kjt()), quantized(make_kjt()))


def tables_of(arrays):
    tables = {name: array for name, array in arrays.items() if array.dtype == np.uint8}
    return [TableRows(name, *array.shape, lambda array=array: array_chunks(array)) for name, array in tables.items()]


def test_copy_of_a_processor_that_was_changed():
    """A copy is bound anew, and finds no weights to bind."""
    compiled = trec.torch.compile(make_processed(collection()))
    del compiled.feature_processor.position_weights._parameters["ad"]
    with pytest.raises(trec.TrecError, match="PositionWeightedModuleCollection no longer gives float32 weights for"):
        copy.deepcopy(compiled)


def test_export_and_load(tmp_path):
    module = make_processed(collection())
    trec.export(module, tmp_path)
    so = trec.compile(tmp_path, tmp_path / "model.so")
    for path in (tmp_path, so):
        loaded = trec.torch.load(path)
        assert loaded.is_fused
        assert_same(loaded(make_kjt()), module(make_kjt()))
    given = make_kjt()
    model = trec.load(so)
    arguments = (given.values().numpy(), given.lengths().numpy())
    expected = module(make_kjt())
    assert all(np.array_equal(model(*arguments)[key], expected[key].detach().numpy()) for key in expected.keys())
    arrays = {**trec.weights_file.read_weights(tmp_path / "model.safetensors")}
    arrays["position_weights.ad"] = np.zeros(6, np.float32)
    assert not trec.load(so, weights=arrays)(*arguments)["ad"].any()
    arrays["position_weights.ad"] = np.zeros(5, np.float32)
    with pytest.raises(
        trec.WeightsError, match=r"parameter 'position_weights.ad': expected contiguous float32\[6\], got"
    ):
        trec.load(so, weights=arrays)
    write_weights(
        tmp_path / "short.safetensors", [*tables_of(arrays), Parameter("position_weights.ad", np.zeros(5, "f4"))]
    )
    with pytest.raises(
        trec.WeightsError, match=r"parameter 'position_weights.ad': expected float32\[6\], got float32\[5\]"
    ):
        trec.torch.load(so, tmp_path / "short.safetensors")
    write_weights(tmp_path / "none.safetensors", tables_of(arrays))
    with pytest.raises(trec.WeightsError, match=r"'position_weights.ad': expected float32\[6\], got none"):
        trec.torch.load(so, tmp_path / "none.safetensors")
    del arrays["position_weights.ad"]
    with pytest.raises(trec.WeightsError, match="weights of parameter 'position_weights.ad' are missing"):
        trec.load(so, weights=arrays)
