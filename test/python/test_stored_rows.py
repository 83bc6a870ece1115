"""EmbeddingCollections with int8 output: the rows of INT8 tables as they are stored, as uint8."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch
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
from test_managed import collection_of
from test_managed import configs_of as managed_configs
from test_managed import random_kjt as managed_kjt
from test_remaps import random_kjt as remapped_kjt
from test_remaps import sequence as make_remapped
from test_remaps import set_maps
from torchrec.inference.modules import quantize_inference_model
from torchrec.modules.embedding_configs import DataType, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection as FloatSequence
from torchrec.quant.embedding_modules import QuantManagedCollisionEmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec
import trec.torch

CPU = torch.device("cpu")
# TorchRec's names for FBGEMM's INT8.
NAMES = [torch.qint8, torch.quint8, torch.int8, torch.uint8]
ALL_INT8 = {"pages": {"data_type": DataType.INT8}}


def int8_configs(**changes):
    return sequence_configs(**{**ALL_INT8, **changes})


def make_stored(tables=None, output_dtype=torch.qint8, **arguments):
    return make_sequence(int8_configs() if tables is None else tables, output_dtype=output_dtype, **arguments)


@pytest.mark.parametrize("row_alignment", [1, 4, 16])
@pytest.mark.parametrize("need_indices", [False, True])
@pytest.mark.parametrize("output_dtype", NAMES)
def test_same_bytes(output_dtype, need_indices, row_alignment):
    module = make_stored(output_dtype=output_dtype, need_indices=need_indices, row_alignment=row_alignment)
    compiled = trec.torch.compile(module)
    assert compiled.output_dtype() is module.output_dtype() is output_dtype
    for batch in (1, 5, 300):
        for ids in (torch.int32, torch.int64):
            given = {"batch": batch, "ids": ids}
            assert_same_dicts(compiled(kjt(**given)), module(kjt(**given)))
    for copied in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert copied.output_dtype() is output_dtype
        assert_same_dicts(copied(kjt()), module(kjt()))


@pytest.mark.parametrize("dim", [1, 3, 4, 28, 60, 124, 125, 300, 1000])
@pytest.mark.parametrize("cpu", ["x86-64-v2", "native"])
def test_rows_are_header_and_codes(dim, cpu):
    tables = int8_configs(**{name: {**ALL_INT8["pages"], "embedding_dim": dim} for name in ("ads", "pages", "users")})
    module = make_stored(tables)
    got = trec.torch.compile(module, cpu=cpu)(kjt())
    batch = kjt()
    for key, table in {"ad": "ads", "page": "pages", "shared@users": "users"}.items():
        ids = batch[key.split("@")[0]].values()
        assert_same_bits(got[key].values(), module.embeddings[table].weight[ids, : 4 + dim])


def test_weights_are_left_out():
    """As TorchRec's."""
    module = make_stored()
    assert_same_dicts(trec.torch.compile(module)(kjt(weighted=True)), module(kjt(weighted=True)))


def test_ids_without_a_row():
    """Where FBGEMM stops at -1, and leaves the rest as its memory was, the row is zeros."""
    module = make_stored(need_indices=True)
    compiled = trec.torch.compile(module)

    def batch(*ids):
        return KeyedJaggedTensor(SEQUENCE_KEYS, torch.tensor(ids), lengths=torch.tensor([3, 1, 1, 1]))

    got, whole = compiled(batch(5, -1, 7, -1, 2, -1)), module(batch(5, 0, 7, 0, 2, 0))
    for key, skipped in {"ad": 1, "shared@ads": 0, "shared@users": 0, "user": 0}.items():
        rows = whole[key].values().clone()
        rows[skipped] = 0
        assert_same_bits(got[key].values(), rows)
    assert got["ad"].weights().tolist() == [5, -1, 7]
    assert_same_dicts(compiled(batch(99, -7, 1, 50, 2, 3)), module(batch(99, -7, 1, 50, 2, 3)))
    with pytest.raises(trec.OutOfBoundsError, match='feature "ad", table "ads", sample 0, position 2: id 99'):
        trec.torch.compile(module, bounds_check="fatal")(batch(0, 0, 99, 0, 0, 0))


def test_empty():
    module = make_stored()
    compiled = trec.torch.compile(module)
    no_samples = KeyedJaggedTensor(SEQUENCE_KEYS, torch.zeros(0).long(), lengths=torch.zeros(0).int())
    no_ids = KeyedJaggedTensor(SEQUENCE_KEYS, torch.zeros(0).long(), lengths=torch.zeros(8).int())
    for given in (no_samples, no_ids):
        assert_same_dicts(compiled(given), module(given))


def test_batches_whose_keys_differ():
    compiled = trec.torch.compile(make_stored())
    strides = [[2], [1], [0], [3]]
    lengths = torch.tensor([2, 0, 1, 1, 3, 0])
    got = compiled(
        KeyedJaggedTensor(SEQUENCE_KEYS, torch.arange(7), lengths=lengths, stride_per_key_per_rank=strides)
    )
    plain = compiled(KeyedJaggedTensor(SEQUENCE_KEYS, torch.arange(7), lengths=torch.tensor([2, 1, 0, 4])))
    for key, jagged in plain.items():
        assert_same_bits(got[key].values(), jagged.values())
    assert got["user"].lengths().tolist() == [1, 3, 0]


def test_a_feature_twice_in_a_table():
    module = make_stored(int8_configs(users={"feature_names": ["user", "user"]}))
    compiled = trec.torch.compile(module)
    assert_same_dicts(compiled(kjt()), module(kjt()))
    assert_same_dicts(torch.jit.script(compiled)(kjt()), module(kjt()))


def test_tables_of_different_dims():
    tables = int8_configs(pages={**ALL_INT8["pages"], "embedding_dim": 20})
    weights = {table.name: rows_for(table) for table in tables}
    compiled = trec.torch.CompiledEmbeddingCollection(
        tables, CPU, output_dtype=torch.quint8, table_name_to_quantized_weights=weights
    )
    assert compiled.output_dtype() is torch.quint8
    got = compiled(kjt())
    assert {key: jagged.values().shape[1] for key, jagged in got.items()} == {
        "ad": 12, "shared@ads": 12, "page": 24, "user": 12, "shared@users": 12,
    }  # fmt: skip
    assert_same_bits(got["page"].values()[:, 4:], weights["pages"][0][kjt()["page"].values()])


def all_kept(ids, rows, seed):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, rows, ids).astype(np.int32))


@pytest.mark.parametrize("by", ["array", "object"])
def test_pruned_tables(by):
    maps = {"t1": all_kept(40, 10, 1), "t2": all_kept(25, 7, 2)}
    module = set_maps(make_remapped(output_dtype=torch.qint8), maps, by)
    compiled = trec.torch.compile(module)
    for seed in range(4):
        assert_same_dicts(compiled(remapped_kjt(seed, bad=seed > 1)), module(remapped_kjt(seed, bad=seed > 1)))
    maps["t1"][3] = -1
    module = set_maps(make_remapped(output_dtype=torch.qint8), maps, by)
    ids = torch.tensor([2, 3, 4], dtype=torch.int32)
    got = trec.torch.compile(module)(KeyedJaggedTensor(["a", "b", "c"], ids, lengths=torch.tensor([3, 0, 0])))
    expected = module.embeddings.t1.weight[maps["t1"][ids].long(), :12].clone()
    expected[1] = 0
    assert_same_bits(got["a"].values(), expected)


def test_managed_collision(tmp_path):
    tables = [dataclasses.replace(config, data_type=DataType.INT8) for config in managed_configs(EmbeddingConfig)]
    module = QuantManagedCollisionEmbeddingCollection(
        tables, CPU, output_dtype=torch.qint8, managed_collision_collection=collection_of(tables),
        table_name_to_quantized_weights={table.name: rows_for(table) for table in tables},
    ).eval()  # fmt: skip
    compiled = trec.torch.compile(module)
    trec.export(module, tmp_path)
    loaded = trec.load(trec.compile(tmp_path))
    for seed in range(4):
        (expected, remapped), (got, _) = module(managed_kjt(seed)), compiled(managed_kjt(seed))
        assert_same_dicts(got, expected)
        given = managed_kjt(seed)
        outputs = loaded(given.values().numpy(), given.lengths().numpy(), keys=given.keys())
        assert all(np.array_equal(outputs[key][0], expected[key].values().numpy()) for key in expected)


@pytest.mark.parametrize("dynamic_rows", [False, True])
def test_export_and_load(tmp_path, dynamic_rows):
    module = make_stored()
    trec.export(module, tmp_path, dynamic_rows=dynamic_rows)
    so = trec.compile(tmp_path, tmp_path / "model.so")
    loaded = trec.torch.load(so)
    assert loaded.output_dtype() is torch.uint8
    assert_same_dicts(loaded(kjt()), module(kjt()))
    model, given = trec.load(so), kjt()
    assert model.info["output"]["dtype"] == "uint8"
    assert [(key["key"], key["dim"]) for key in model.info["output"]["keys"]][:2] == [("ad", 12), ("shared@ads", 12)]
    outputs = model(given.values().numpy(), given.lengths().numpy(), keys=SEQUENCE_KEYS)
    for key, jagged in module(kjt()).items():
        rows, lengths = outputs[key]
        assert rows.dtype == np.uint8 and np.array_equal(rows, jagged.values().numpy())
        assert np.array_equal(lengths, jagged.lengths().numpy())


def test_float_with_dtype_is_the_quantized_module():
    tables = int8_configs()
    for table in tables:
        table.data_type = DataType.FP32
    model = torch.nn.ModuleDict({"sparse": FloatSequence(tables=tables)})
    quantized = quantize_inference_model(copy.deepcopy(model), output_dtype=torch.quint8)["sparse"]
    compiled = trec.torch.replace(model, dtype="int8", output_dtype="uint8")["sparse"]
    assert compiled.output_dtype() is torch.uint8
    assert_same_dicts(compiled(kjt()), quantized(kjt()))


@pytest.mark.parametrize("need_indices", [False, True])
def test_traced_and_scripted(need_indices):
    compiled = trec.torch.compile(make_stored(need_indices=need_indices))
    for program in (torchrec.fx.symbolic_trace(compiled), torch.jit.script(compiled)):
        assert_same_dicts(program(kjt()), compiled(kjt()))


def test_edits_in_place():
    module = make_stored()
    compiled = trec.torch.compile(module)
    module.embeddings.ads.weight[:, :2] = 1
    assert compiled(kjt())["ad"].values()[:, :2].eq(1).all()
    assert_same_dicts(compiled(kjt()), module(kjt()))
