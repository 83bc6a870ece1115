"""Managed collision: drop-ins that return the remapped features too, and models that search the ids themselves."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch
import torchrec.quant.embedding_modules as quant
from test_remaps import CPU, expect_same, random_weights, serve_from_c
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.modules.hash_mc_modules import HashZchManagedCollisionModule
from torchrec.modules.mc_embedding_modules import (
    ManagedCollisionEmbeddingBagCollection,
    ManagedCollisionEmbeddingCollection,
)
from torchrec.modules.mc_modules import (
    DistanceLFU_EvictionPolicy,
    ManagedCollisionCollection,
    MCHManagedCollisionModule,
)
from torchrec.quant.embedding_modules import (
    QuantManagedCollisionEmbeddingBagCollection,
    QuantManagedCollisionEmbeddingCollection,
)
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor

import trec
import trec.torch

ROWS = {"t1": 10, "t2": 7, "t3": 30}
FEATURES = {"t1": ["a", "d"], "t2": ["b"], "t3": ["c"]}
KEYS = ["a", "d", "b", "c"]
QCONFIG = torch.quantization.QConfig(
    activation=torch.quantization.PlaceholderObserver.with_args(dtype=torch.float),
    weight=torch.quantization.PlaceholderObserver.with_args(dtype=torch.qint8),
)


def configs_of(kind=EmbeddingBagConfig):
    types = {"t1": DataType.INT8, "t2": DataType.FP32, "t3": DataType.INT8}
    configs = [
        kind(name=name, embedding_dim=8, num_embeddings=rows, feature_names=list(FEATURES[name]), data_type=types[name])
        for name, rows in ROWS.items()
    ]
    if kind is EmbeddingBagConfig:
        configs[1].pooling = PoolingType.MEAN
    return configs


def searching(rows, **options):
    """A module that has been trained on ids of which some are seen often."""
    managed = MCHManagedCollisionModule(
        zch_size=rows, device=CPU, eviction_policy=DistanceLFU_EvictionPolicy(), eviction_interval=2, **options
    )
    managed.train()
    random = np.random.default_rng(rows)
    for _ in range(6):
        ids = torch.from_numpy((random.zipf(1.3, 40) % 10**12) - 1)
        managed.profile({"t": JaggedTensor(values=ids, lengths=torch.tensor([len(ids)]))})
    assert (managed._mch_sorted_raw_ids != torch.iinfo(torch.int64).max).sum() > rows // 3
    return managed


def collection_of(configs, **modules):
    made = {config.name: modules.get(config.name) or searching(config.num_embeddings) for config in configs}
    return ManagedCollisionCollection(made, configs)


def quantized(sequence=False, weighted=False, collection=None, **options):
    kind = EmbeddingConfig if sequence else EmbeddingBagConfig
    configs = configs_of(kind)
    options = {
        "device": CPU,
        "table_name_to_quantized_weights": random_weights(configs),
        "managed_collision_collection": collection or collection_of(configs),
        **options,
    }
    if sequence:
        return QuantManagedCollisionEmbeddingCollection(configs, **options).eval()
    return QuantManagedCollisionEmbeddingBagCollection(configs, weighted, **options).eval()


def random_kjt(seed=0, keys=KEYS, weighted=False):
    """Some ids are known to no module."""
    random = np.random.default_rng(seed)
    lengths = torch.from_numpy(random.integers(0, 6, 4 * len(keys)))
    ids = torch.from_numpy(random.integers(-2, 40, int(lengths.sum())))
    weights = torch.from_numpy(random.standard_normal(len(ids)).astype(np.float32)) if weighted else None
    return KeyedJaggedTensor(list(keys), ids, lengths=lengths, weights=weights)


@pytest.mark.parametrize("options", [{}, {"weighted": True}, {"sequence": True}], ids=["bags", "weighted", "sequence"])
def test_drop_in(options):
    module = quantized(**options)
    compiled = trec.torch.compile(module)
    for seed in range(5):
        batch = random_kjt(seed, weighted=options.get("weighted", False))
        expect_same(compiled(batch), module(batch))
        result, remapped = compiled(batch)
        assert type(result) is type(module(batch)[0]) and type(remapped) is KeyedJaggedTensor
    assert not compiled.training


def test_sequence_with_the_rows_that_ids_became():
    module = quantized(sequence=True, need_indices=True)
    got, expected = trec.torch.compile(module)(random_kjt()), module(random_kjt())
    for key in expected[0]:
        assert torch.equal(got[0][key].weights(), expected[0][key].weights())


def test_keys_of_any_order():
    module, batch = quantized(), random_kjt()
    compiled = trec.torch.compile(module)
    expected = module(batch)
    for keys in (["c", "b", "d", "a"], KEYS, ["d", "extra", "a", "c", "b"]):
        by_key = {**batch.to_dict(), "extra": batch["a"]}
        values = torch.cat([by_key[key].values() for key in keys])
        lengths = torch.cat([by_key[key].lengths() for key in keys])
        expect_same(compiled(KeyedJaggedTensor(keys, values, lengths=lengths)), expected)


def test_batches_that_do_not_fit():
    compiled = trec.torch.compile(quantized())
    with pytest.raises(trec.InputError, match="feature 'b' is missing, the batch has keys"):
        compiled(random_kjt(keys=["a", "d", "c"]))
    narrow = random_kjt()
    narrow._values = narrow._values.int()
    with pytest.raises(trec.InputError, match="values: expected int64, as the ids that are searched, got torch.int32"):
        compiled(narrow)
    surplus = random_kjt()
    surplus._values = torch.cat([surplus._values, torch.tensor([3])])
    with pytest.raises(trec.InputError, match="values"):
        compiled(surplus)


def test_empty_batches():
    module = quantized()
    empty = KeyedJaggedTensor(KEYS, torch.empty(0, dtype=torch.int64), lengths=torch.empty(0, dtype=torch.int64))
    expect_same(trec.torch.compile(module)(empty), module(empty))


# Whoever watches or changes TorchRec's modules sees what they do.
@pytest.mark.parametrize("change", ["hook", "hash", "training", "kind"])
def test_modules_that_do_more_than_search(change):
    first = searching(10, input_hash_func=(lambda ids, size: ids * 3 % 40) if change == "hash" else None).eval()
    module = quantized(collection=collection_of(configs_of(), t1=first))
    calls = []
    if change == "hook":
        first.register_forward_hook(lambda *arguments: calls.append(1))
    if change == "kind":
        first.__class__ = type("Mine", (MCHManagedCollisionModule,), {})
    if change == "training":
        first.train()
    twin = copy.deepcopy(module) if change == "training" else module
    compiled = trec.torch.compile(module)
    expect_same(compiled(random_kjt()), twin(random_kjt()))
    assert len(calls) == (2 if change == "hook" else 0)
    if change == "training":
        assert first._current_iter == twin._managed_collision_collection._managed_collision_modules["t1"]._current_iter


def test_state_and_members():
    module = quantized(register_tbes=True)
    compiled = trec.torch.compile(module)
    assert list(compiled.state_dict()) == list(module.state_dict())
    for name, tensor in module.state_dict().items():
        assert compiled.state_dict()[name].data_ptr() == tensor.data_ptr()
    assert compiled._managed_collision_collection is module._managed_collision_collection
    assert compiled.embedding_bag_configs() == module.embedding_bag_configs()
    assert compiled._return_remapped_features is module._return_remapped_features
    assert isinstance(compiled, trec.torch.CompiledManagedCollisionEmbeddingBagCollection)
    other = quantized(collection=collection_of(configs_of(), t1=searching(10, name="other")))
    other._managed_collision_collection._managed_collision_modules["t3"]._mch_sorted_raw_ids[:5] -= 100
    compiled.load_state_dict(other.state_dict(), strict=False)
    expect_same(compiled(random_kjt()), other(random_kjt()))


def test_buffers():
    module = quantized()
    compiled = trec.torch.compile(module)
    expected = dict(module.named_buffers())
    assert list(dict(compiled.named_buffers())) == list(expected)
    for name, tensor in compiled.named_buffers():
        assert tensor.data_ptr() == expected[name].data_ptr()


def test_training_of_the_parts_stays_as_it_is():
    module = quantized()
    module.training = True
    compiled = trec.torch.compile(module)
    assert compiled.training and compiled.embedding_bags.training
    assert not any(child.training for child in module._managed_collision_collection.modules())


def test_replace_and_copies():
    model = torch.nn.Sequential(quantized())
    expected = model(random_kjt())
    compiled = trec.torch.replace(model)
    assert type(compiled[0]) is trec.torch.CompiledManagedCollisionEmbeddingBagCollection
    for made in (compiled, copy.deepcopy(compiled)):
        expect_same(made(random_kjt()), expected)
    # TorchRec's managed collision modules cannot be pickled.
    for made in (compiled, quantized()):
        with pytest.raises((AttributeError, pickle.PicklingError), match="local object"):
            pickle.dumps(made)


def test_as_the_class_that_it_stands_for():
    configs = configs_of()
    arguments = {
        "device": CPU,
        "table_name_to_quantized_weights": random_weights(configs),
        "managed_collision_collection": collection_of(configs).eval(),
    }
    expected = QuantManagedCollisionEmbeddingBagCollection(configs, False, **arguments)
    made = trec.torch.CompiledManagedCollisionEmbeddingBagCollection(configs, False, **arguments)
    expect_same(made(random_kjt()), expected(random_kjt()))
    configs = configs_of(EmbeddingConfig)
    arguments |= {
        "table_name_to_quantized_weights": random_weights(configs),
        "managed_collision_collection": collection_of(configs).eval(),
    }
    expected = QuantManagedCollisionEmbeddingCollection(configs, **arguments)
    made = trec.torch.CompiledManagedCollisionEmbeddingCollection(configs, **arguments)
    expect_same(made(random_kjt()), expected(random_kjt()))


def floating(sequence=False):
    torch.manual_seed(0)
    configs = configs_of(EmbeddingConfig if sequence else EmbeddingBagConfig)
    for config in configs:
        config.data_type = DataType.FP32
    collection = collection_of(configs)
    if sequence:
        return ManagedCollisionEmbeddingCollection(EmbeddingCollection(tables=configs, device=CPU), collection).eval()
    inner = EmbeddingBagCollection(tables=configs, device=CPU)
    return ManagedCollisionEmbeddingBagCollection(inner, collection).eval()


def plainly_quantized(module, remapped):
    """What TorchRec makes of the collection inside, on ids that have been remapped."""
    inner = copy.deepcopy(module._embedding_module)
    inner.qconfig = QCONFIG
    kind = quant.EmbeddingCollection if isinstance(inner, EmbeddingCollection) else quant.EmbeddingBagCollection
    return kind.from_float(inner)(remapped)


@pytest.mark.parametrize("sequence", [False, True], ids=["bags", "sequence"])
def test_float_modules(sequence):
    module = floating(sequence)
    result, remapped = trec.torch.compile(module, dtype="int8")(random_kjt())
    expected = module._managed_collision_collection(random_kjt())
    expect_same(remapped, expected)
    expect_same(result, plainly_quantized(module, expected))


STRIDES = {"a": 2, "d": 1, "b": 4, "c": 3, "x": 5}


def strided_kjt(keys):
    """The same bags of each key, whatever the order of the keys."""
    bags = {key: np.random.default_rng(stride).integers(0, 6, stride) for key, stride in STRIDES.items()}
    ids = {key: np.random.default_rng(9).integers(-2, 40, bags[key].sum()) for key in keys}
    return KeyedJaggedTensor(
        list(keys),
        torch.from_numpy(np.concatenate(list(ids.values()))),
        lengths=torch.from_numpy(np.concatenate([bags[key] for key in keys])),
        stride_per_key_per_rank=[[STRIDES[key]] for key in keys],
        inverse_indices=(list(keys), torch.stack([torch.arange(6) % STRIDES[key] for key in keys])),
    )


@pytest.mark.parametrize("keys", [KEYS, ["x", *KEYS[::-1]]], ids=["same order", "other order"])
@pytest.mark.parametrize("sequence", [False, True], ids=["bags", "sequence"])
@pytest.mark.parametrize("by", ["search", "TorchRec"])
def test_batches_whose_keys_differ(by, sequence, keys):
    """As the float module, where the keys come in the order that it knows."""
    module = floating(sequence)
    if by == "TorchRec":
        module._managed_collision_collection.register_forward_hook(lambda *_: None)
    result, remapped = trec.torch.compile(module, dtype="fp32")(strided_kjt(keys))
    expected, _ = module(strided_kjt(KEYS))
    assert sorted(result.keys()) == sorted(expected.keys()) == sorted(KEYS)
    for key in KEYS:
        got, wanted = result[key], expected[key]
        if sequence:
            assert torch.equal(got.lengths(), wanted.lengths())
            got, wanted = got.values(), wanted.values()
        # The float module divides where FBGEMM multiplies.
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=0)
    assert remapped.keys() == KEYS and remapped.stride_per_key() == [STRIDES[key] for key in KEYS]
    assert torch.equal(remapped.lengths(), strided_kjt(KEYS).lengths())


# torchrec.quant's own gives rows of zeros.
@pytest.mark.parametrize("sequence", [False, True], ids=["bags", "sequence"])
def test_from_float_quantizes(sequence):
    module = floating(sequence)
    module.qconfig = QCONFIG
    kind = trec.torch.CompiledManagedCollisionEmbeddingCollection
    if not sequence:
        kind = trec.torch.CompiledManagedCollisionEmbeddingBagCollection
    names = set(module._embedding_module.__dict__)
    result, remapped = kind.from_float(module)(random_kjt())
    expect_same(result, plainly_quantized(module, remapped))
    assert set(module._embedding_module.__dict__) == names


@pytest.mark.parametrize("sequence", [False, True], ids=["bags", "sequence"])
def test_export_searches_the_ids_itself(sequence, tmp_path):
    module = quantized(sequence)
    trec.export(module, tmp_path)
    assert "maps <sorted> : tensor<30x2xi64>" in (tmp_path / "model.mlir").read_text()
    so = trec.compile(tmp_path, tmp_path / "model.so")
    served = trec.load(so, tmp_path / "model.safetensors")
    for seed in range(4):
        batch = random_kjt(seed)
        expected, _ = module(batch)
        expect_same(trec.torch.load(so)(batch), expected)
        got = served(batch.values().numpy(), lengths=batch.lengths().numpy(), keys=batch.keys())
        narrow = served(batch.values().numpy().astype(np.int32), lengths=batch.lengths().numpy(), keys=batch.keys())
        for key, values in got.items():
            rows = values[0] if sequence else values
            wanted = expected[key].values() if sequence else expected[key]
            assert np.array_equal(rows, wanted.numpy())
            assert np.array_equal(rows, narrow[key][0] if sequence else narrow[key])
    assert served.info["counters"]["bad_ids"] == 0


def test_a_retrained_model_of_other_sizes(tmp_path):
    module = quantized()
    trec.export(module, tmp_path / "first", dynamic_rows=True)
    so = trec.compile(tmp_path / "first", tmp_path / "model.so")
    configs = configs_of()
    for config in configs:
        config.num_embeddings *= 3
    retrained = QuantManagedCollisionEmbeddingBagCollection(
        configs, False, CPU, table_name_to_quantized_weights=random_weights(configs),
        managed_collision_collection=collection_of(configs),
    ).eval()  # fmt: skip
    trec.export(retrained, tmp_path / "next", dynamic_rows=True)
    weights = tmp_path / "next" / "model.safetensors"
    expected = retrained(random_kjt())[0]
    expect_same(trec.torch.load(so, weights)(random_kjt()), expected)
    features = trec.load(so, weights).features
    in_order = KeyedJaggedTensor.from_jt_dict({name: random_kjt()[name] for name in features})
    assert np.array_equal(serve_from_c(so, weights, in_order), expected.values().numpy())


def refused(module, text, tmp_path):
    with pytest.raises(trec.ExportError, match=re.escape(text)) as caught:
        trec.export(module, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    return caught.value


def test_modules_that_only_python_knows(tmp_path):
    hashing = HashZchManagedCollisionModule(zch_size=10, device=CPU, total_num_buckets=1)
    module = quantized(collection=collection_of(configs_of(), t1=hashing.eval()))
    text = (
        "module 'sparse', table 't1': its ids go through HashZchManagedCollisionModule, which is known to Python "
        "alone; use trec.torch.compile or replace, which run it in Python"
    )
    error = refused(torch.nn.ModuleDict({"sparse": module}), text, tmp_path)
    assert error.table == "t1"


def test_hashing_before_the_search(tmp_path):
    module = quantized(collection=collection_of(configs_of(), t2=searching(7, input_hash_func=lambda ids, size: ids)))
    refused(module, "table 't2': its MCHManagedCollisionModule hashes ids by a function in Python; use", tmp_path)
    expect_same(trec.torch.compile(module)(random_kjt()), module(random_kjt()))


def test_modules_in_training(tmp_path):
    module = quantized().train()
    refused(module, "table 't1': its MCHManagedCollisionModule is in training and takes new ids in; call", tmp_path)


def test_shards(tmp_path):
    module = quantized()
    managed = module._managed_collision_collection._managed_collision_modules["t3"]
    managed._output_global_offset = 30
    refused(module, "table 't3': its MCHManagedCollisionModule maps ids to rows 30 to 59 of 30; export", tmp_path)


def test_pruned_tables(tmp_path):
    configs = configs_of()
    configs[2].num_embeddings_post_pruning = 20
    weights = random_weights(configs)
    weights["t3"] = tuple(part[:20] for part in weights["t3"])
    module = QuantManagedCollisionEmbeddingBagCollection(
        configs, False, CPU, table_name_to_quantized_weights=weights,
        managed_collision_collection=collection_of(configs),
    ).eval()  # fmt: skip
    refused(module, "table 't3': its MCHManagedCollisionModule maps ids to rows 0 to 29 of 20; export", tmp_path)


def test_features_of_two_tables(tmp_path):
    configs = configs_of()
    configs[1].feature_names.append("a")
    module = QuantManagedCollisionEmbeddingBagCollection(
        configs, False, CPU, table_name_to_quantized_weights=random_weights(configs),
        managed_collision_collection=collection_of(configs),
    ).eval()  # fmt: skip
    text = "table 't2': feature 'a' is that of table 't1' too, whose ids it would get; give each table features of its"
    refused(module, text, tmp_path)
    with pytest.raises(trec.ExportError, match="feature 'a' is that of table 't1' too"):
        trec.torch.compile(module)


def test_modules_in_another_order(tmp_path):
    configs = configs_of()
    modules = {config.name: searching(config.num_embeddings) for config in reversed(configs)}
    module = quantized(collection=ManagedCollisionCollection(modules, configs))
    text = "its managed collision modules are of ['t3', 't2', 't1'], its tables are ['t1', 't2', 't3']; give the"
    refused(module, text, tmp_path)


def test_a_map_that_is_not_sorted(tmp_path):
    module = quantized()
    managed = module._managed_collision_collection._managed_collision_modules["t3"]
    managed._mch_sorted_raw_ids[:2] = torch.tensor([5, 4])
    so = trec.compile(module, tmp_path / "model.so")
    with pytest.raises(trec.WeightsError, match="parameter \"remap.t3\" has id 4 in entry 1 after id 5"):
        trec.load(so)
