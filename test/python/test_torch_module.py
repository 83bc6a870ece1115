"""CompiledEmbeddingBagCollection: the interface of torchrec.quant's module, bound to the same memory."""

import copy
import io
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.fx
import torchrec.fx
from conftest import KEYS, assert_same, configs, make_float, make_kjt, make_quantized
from torchrec.inference.modules import quantize_embeddings, quantize_inference_model
from torchrec.modules.embedding_configs import DataType, PoolingType
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

import trec
import trec.torch
from trec.weights_file import read_weights


@pytest.fixture
def module():
    return make_quantized()


@pytest.fixture
def compiled(module):
    return trec.torch.compile(module)


class Model(torch.nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.sparse = sparse
        self.over = torch.nn.Linear(52, 1)

    def forward(self, features: KeyedJaggedTensor) -> torch.Tensor:
        return self.over(self.sparse(features).values())


def test_interface(module, compiled):
    assert compiled.embedding_bag_configs() is module.embedding_bag_configs()
    assert compiled.is_weighted() is False
    assert compiled.output_dtype() is torch.float32
    assert compiled.device == torch.device("cpu")
    assert compiled.copy(torch.device("cpu")) is compiled
    assert compiled.training is module.training
    result = compiled(make_kjt())
    assert isinstance(result, KeyedTensor)
    assert torch.equal(result["user"], module(make_kjt())["user"])
    assert result.to_dict().keys() == module(make_kjt()).to_dict().keys()


@pytest.mark.parametrize("batch", [0, 1, 5, 300])
@pytest.mark.parametrize("ids", [torch.int32, torch.int64])
@pytest.mark.parametrize("keys", [KEYS, ["user", "x", "last_ad", "page", "ad", "y"]])
def test_same_bits(module, compiled, batch, ids, keys):
    assert_same(compiled(make_kjt(keys, batch, ids=ids)), module(make_kjt(keys, batch, ids=ids)))


def test_key_orders_one_after_the_other(module, compiled):
    for keys in (KEYS, KEYS[::-1], ["x", *KEYS], KEYS):
        assert_same(compiled(make_kjt(keys)), module(make_kjt(keys)))


def test_a_keys_list_changed_in_place(module, compiled):
    kjt = make_kjt(list(KEYS))
    compiled(kjt)
    kjt.keys().reverse()
    assert_same(compiled(kjt), module(make_kjt(KEYS[::-1], rows=20)))


def test_many_key_orders_do_not_pile_up(module, compiled):
    for number in range(200):
        compiled(make_kjt([f"x{number}", *KEYS]))
    assert len(compiled._runtime.reader._slots._known) <= 64
    assert_same(compiled(make_kjt()), module(make_kjt()))


@pytest.mark.parametrize("pooling", [PoolingType.SUM, PoolingType.MEAN])
def test_weighted(pooling):
    module = make_quantized(configs(ads={"pooling": pooling}), weighted=True)
    compiled = trec.torch.compile(module)
    assert compiled.is_weighted()
    assert_same(compiled(make_kjt(weighted=True)), module(make_kjt(weighted=True)))


def test_weights_of_an_unweighted_model_are_ignored(module, compiled):
    assert_same(compiled(make_kjt(weighted=True)), module(make_kjt(weighted=True)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_output_dtype(dtype):
    module = make_quantized(output_dtype=dtype)
    compiled = trec.torch.compile(module)
    assert compiled.output_dtype() is dtype
    assert_same(compiled(make_kjt()), module(make_kjt()))


def test_offsets_and_both(module, compiled):
    kjt = make_kjt()
    only_offsets = KeyedJaggedTensor(KEYS, kjt.values(), offsets=kjt.offsets())
    assert_same(compiled(only_offsets), module(make_kjt()))
    assert only_offsets.lengths_or_none() is None
    assert_same(compiled(kjt), module(make_kjt()))


def test_empty_batch_with_offsets(compiled):
    for offsets in (torch.zeros(1, dtype=torch.int32), torch.zeros(0, dtype=torch.int64)):
        result = compiled(KeyedJaggedTensor(KEYS, torch.zeros(0, dtype=torch.int64), offsets=offsets))
        assert result.values().shape == (0, 52)


def test_non_contiguous_ids_are_read_right(module, compiled):
    kjt = make_kjt()
    spread = torch.stack([kjt.values(), torch.zeros_like(kjt.values())], 1)[:, 0]
    assert not spread.is_contiguous()
    assert_same(compiled(KeyedJaggedTensor(KEYS, spread, lengths=kjt.lengths())), module(make_kjt()))


def spread_out(tensor):
    """The same elements, each with another one behind it."""
    return torch.stack([tensor, torch.ones_like(tensor)], 1)[:, 0]


@pytest.mark.parametrize("form", [spread_out, lambda tensor: tensor.view(1, -1), lambda tensor: tensor.view(-1, 1)])
@pytest.mark.parametrize("name", ["lengths", "offsets"])
def test_lengths_and_offsets_of_any_form(module, compiled, name, form):
    kjt = make_kjt()
    given = KeyedJaggedTensor(KEYS, kjt.values(), stride=3, **{name: form(getattr(kjt, name)())})
    assert_same(compiled(given), module(make_kjt()))


def test_one_id_in_a_gap(module, compiled):
    lengths = torch.tensor([0, 1, 0, 0])
    spread = torch.tensor([7, 19])[::2]
    assert spread.is_contiguous() and spread.stride() == (2,)
    expected = module(KeyedJaggedTensor(KEYS, torch.tensor([7]), lengths=lengths))
    assert_same(compiled(KeyedJaggedTensor(KEYS, spread, lengths=lengths)), expected)


def test_threads_have_batches_and_errors_of_their_own(module, compiled):
    def work(seed):
        expected = module(make_kjt(seed=seed))
        for _ in range(200):
            assert_same(compiled(make_kjt(seed=seed)), expected)
            lengths = torch.full((4,), -seed)
            with pytest.raises(trec.InputError, match=f"length -{seed}$"):
                compiled(KeyedJaggedTensor(KEYS, torch.tensor([1]), lengths=lengths))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(1, 9)))


def test_equal_strides_per_key(module, compiled):
    kjt = make_kjt()
    strided = KeyedJaggedTensor(KEYS, kjt.values(), lengths=kjt.lengths(), stride_per_key_per_rank=[[3]] * 4)
    assert_same(compiled(strided), module(make_kjt()))


def test_shared_features_get_their_names():
    tables = configs(users={"feature_names": ["user", "ad"]}, pages={"feature_names": ["page", "page"]})
    module = make_quantized(tables)
    compiled = trec.torch.compile(module)
    assert module(make_kjt()).keys().count("page@pages") == 2
    assert_same(compiled(make_kjt()), module(make_kjt()))


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("registered", [False, True])
def test_state_dict(is_split, registered):
    tables = configs(pages={"data_type": DataType.INT2})
    module = make_quantized(tables, quant_state_dict_split_scale_bias=is_split, register_tbes=registered)
    compiled = trec.torch.compile(module)
    got, expected = compiled.state_dict(), module.state_dict()
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert type(got[name]) is type(tensor) and got[name].shape == tensor.shape and got[name].dtype == tensor.dtype
        if type(tensor) is torch.Tensor:
            assert got[name].stride() == tensor.stride() and torch.equal(got[name], tensor)
            assert tensor.numel() == 0 or got[name].data_ptr() == tensor.data_ptr()
        else:
            assert torch.equal(got[name].view(torch.uint8), tensor.view(torch.uint8))


def test_edits_in_place_act(module, compiled):
    before = compiled(make_kjt()).values().clone()
    module.embedding_bags.ads.weight[:, :2] = 0
    assert_same(compiled(make_kjt()), module(make_kjt()))
    compiled.embedding_bags.users.weight.view(torch.uint8)[:, 4:].zero_()
    assert_same(compiled(make_kjt()), module(make_kjt()))
    assert not torch.equal(before, compiled(make_kjt()).values())


@pytest.mark.parametrize("assign", [False, True])
def test_load_state_dict_acts(module, compiled, assign):
    other = make_quantized()
    for bag in other.embedding_bags.values():
        bag.weight.view(torch.uint8)[:, :2] = 0
    compiled.load_state_dict(other.state_dict(), assign=assign)
    assert_same(compiled(make_kjt()), other(make_kjt()))
    compiled.embedding_bags.ads.weight.zero_()
    assert not compiled(make_kjt())["ad"].any()


def test_moves_and_casts(module, compiled):
    model = Model(compiled)
    model.half().float().cpu()
    assert_same(compiled(make_kjt()), module(make_kjt()))
    with pytest.raises(trec.TrecError, match="compiled for the CPU, it cannot be moved to meta"):
        model.to("meta")
    assert_same(compiled(make_kjt()), module(make_kjt()))


def test_shared_memory_is_followed(module, compiled):
    expected = module(make_kjt())
    compiled.share_memory()
    assert_same(compiled(make_kjt()), expected)
    compiled.embedding_bags.ads.weight.zero_()
    assert not compiled(make_kjt())["ad"].any()


@pytest.mark.parametrize("is_split", [False, True])
def test_deepcopy_owns_its_rows(is_split):
    module = make_quantized(quant_state_dict_split_scale_bias=is_split, register_tbes=True)
    compiled = trec.torch.compile(module)
    twin = copy.deepcopy(compiled)
    assert twin._runtime.library is compiled._runtime.library
    assert list(twin.state_dict()) == list(compiled.state_dict())
    expected = module(make_kjt())
    module.embedding_bags.ads.weight.zero_()
    assert_same(twin(make_kjt()), expected)
    twin.embedding_bags.ads.weight.zero_()
    twin.embedding_bags.users.weight.view(torch.uint8).zero_()
    assert not torch.equal(twin(make_kjt()).values(), expected.values())
    assert_same(compiled(make_kjt()), module(make_kjt()))


@pytest.mark.parametrize("way", ["pickle", "torch"])
def test_pickle(way):
    module = make_quantized(quant_state_dict_split_scale_bias=True, register_tbes=True)
    compiled = trec.torch.compile(module).eval()
    if way == "pickle":
        contents = pickle.dumps(compiled)
        loaded = pickle.loads(contents)
    else:
        buffer = io.BytesIO()
        torch.save(compiled, buffer)
        contents = buffer.getvalue()
        loaded = torch.load(io.BytesIO(contents), weights_only=False)
    assert_same(loaded(make_kjt()), module(make_kjt()))
    assert list(loaded.state_dict()) == list(module.state_dict())
    assert loaded.training is False
    loaded.embedding_bags.ads.weight.zero_()
    loaded.embedding_bags.ads.weight_qbias.zero_()
    assert not loaded(make_kjt())["ad"].any()
    rows = sum(rows.numel() for rows in compiled._rows.values())
    assert len(contents) < len(compiled._so) + rows + 100_000


def test_pickle_to_another_process(compiled):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(_call, (pickle.dumps(compiled),))
    assert torch.equal(torch.tensor(result), compiled(make_kjt()).values())


def _call(contents):
    return pickle.loads(contents)(make_kjt()).values().tolist()


@pytest.mark.parametrize("trace", [torch.fx.symbolic_trace, torchrec.fx.symbolic_trace])
def test_fx_leaf(module, compiled, trace):
    model = Model(compiled)
    traced = trace(model)
    calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    assert calls == ["sparse", "over"]
    assert torch.equal(traced(make_kjt()), model(make_kjt()))
    copied = copy.deepcopy(traced)
    assert torch.equal(copied(make_kjt()), model(make_kjt()))


def test_threads_follow_torch(module, compiled):
    threads = torch.get_num_threads()
    try:
        for number in (1, 3, 2):
            torch.set_num_threads(number)
            assert_same(compiled(make_kjt(batch=300)), module(make_kjt(batch=300)))
        assert set(compiled._runtime.handles) >= {1, 2, 3}
    finally:
        torch.set_num_threads(threads)


def test_the_callers_tensors_are_left_alone(compiled, caplog):
    kjt = make_kjt(rows=25)
    before = kjt.values().clone()
    compiled(kjt)
    assert torch.equal(kjt.values(), before)


def test_bad_ids_warn_once_per_call(module, compiled, caplog):
    def bad():
        return KeyedJaggedTensor(KEYS, torch.tensor([3, 99, 41, -1]), lengths=torch.tensor([2, 1, 0, 1]))

    assert_same(compiled(bad()), module(bad()))
    messages = [record.getMessage() for record in caplog.records if record.name == "trec"]
    assert len(messages) == 1
    for part in ("ad", "ads", "99", "40"):
        assert part in messages[0]
    assert compiled.counters()["bad_ids"] == 2


def test_quantize_inference_model_flow():
    model = Model(make_float(configs(ads={"embedding_dim": 16}, pages={"embedding_dim": 12})))
    quantized = quantize_inference_model(copy.deepcopy(model))
    compiled = trec.torch.replace(copy.deepcopy(quantized))
    assert type(compiled.sparse) is trec.torch.CompiledEmbeddingBagCollection
    assert torch.equal(compiled(make_kjt()), quantized(make_kjt()))
    assert torch.equal(compiled(make_kjt(KEYS[::-1])), compiled(make_kjt(KEYS[::-1])))


def test_float_with_dtype_is_the_quantized_module():
    float_module = make_float()
    quantized = quantize_embeddings(torch.nn.Sequential(copy.deepcopy(float_module)), dtype=torch.qint8, inplace=True)[
        0
    ]
    compiled = trec.torch.compile(float_module, dtype="int8")
    assert_same(compiled(make_kjt()), quantized(make_kjt()))
    assert [c.data_type for c in compiled.embedding_bag_configs()] == [DataType.INT8] * 3
    assert [c.data_type for c in float_module.embedding_bag_configs()] == [DataType.FP32] * 3
    for name, tensor in quantized.state_dict().items():
        assert torch.equal(compiled.state_dict()[name], tensor)
    assert (
        trec.torch.compile(float_module, dtype="int8", output_dtype="float16")(make_kjt()).values().dtype
        is torch.float16
    )


def test_replace(module):
    model = torch.nn.ModuleDict({"a": Model(module), "b": Model(module), "c": Model(make_quantized())})
    expected = model["c"](make_kjt())
    assert trec.torch.replace(model) is model
    assert model["a"].sparse is model["b"].sparse is not model["c"].sparse
    assert torch.equal(model["c"](make_kjt()), expected)
    assert isinstance(trec.torch.replace(make_quantized()), trec.torch.CompiledEmbeddingBagCollection)


def test_load_of_a_feature_twice_in_a_table(tmp_path):
    module = make_quantized(configs(ads={"feature_names": ["ad", "ad"]}))
    trec.export(module, tmp_path)
    keys = ["ad", "page", "user"]
    assert_same(trec.torch.load(tmp_path)(make_kjt(keys)), module(make_kjt(keys)))


def test_load_from_directory_and_library(module, tmp_path):
    trec.export(module, tmp_path)
    so = trec.compile(tmp_path, tmp_path / "model.so")
    for path in (tmp_path, so):
        loaded = trec.torch.load(path)
        assert_same(loaded(make_kjt()), module(make_kjt()))
        assert loaded.state_dict().keys() == module.state_dict().keys()
        # In the order of the outputs: files know no other.
        configs = {config.name: config for config in module.embedding_bag_configs()}
        assert [config.name for config in loaded.embedding_bag_configs()] == list(module.embedding_bags)
        for got in loaded.embedding_bag_configs():
            expected = configs[got.name]
            for name in ("name", "num_embeddings", "embedding_dim", "feature_names", "data_type", "pooling"):
                assert getattr(got, name) == getattr(expected, name)
        loaded.embedding_bags.ads.weight.zero_()
        assert not loaded(make_kjt())["ad"].any()


def test_load_of_tensors(module, tmp_path):
    """They are used where they lie."""
    trec.export(module, tmp_path)
    so = trec.compile(tmp_path, tmp_path / "model.so")
    rows = {name: torch.from_numpy(table) for name, table in read_weights(tmp_path / "model.safetensors").items()}
    loaded = trec.torch.load(so, rows)
    assert_same(loaded(make_kjt()), module(make_kjt()))
    for table in rows.values():
        table.zero_()
    assert not loaded(make_kjt()).values().any()
