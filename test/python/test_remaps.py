"""Tables with maps from ids to rows, as FBGEMM's lookup modules carry them: array, hash table, and the CPU's object."""

import copy
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection
from torchrec.quant.embedding_modules import (
    EmbeddingBagCollection,
    EmbeddingCollection,
    FeatureProcessedEmbeddingBagCollection,
)
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec
import trec.torch
from trec.testing.models import flatten
from trec.testing.reference import different_elements
from trec.torch.maps import hash_table_of

CPU = torch.device("cpu")
IDS = {"a": 40, "b": 25, "c": 60}


def table(name, feature, rows, data_type=DataType.INT8, pooling=PoolingType.SUM, features=None):
    return EmbeddingBagConfig(
        name=name, embedding_dim=8, num_embeddings=rows, feature_names=features or [feature], data_type=data_type,
        pooling=pooling,
    )  # fmt: skip


def random_weights(configs, seed=0):
    random = np.random.default_rng(seed)
    weights = {}
    for config in configs:
        codes = random.integers(0, 256, (config.num_embeddings, 8), dtype=np.uint8)
        header = random.standard_normal((config.num_embeddings, 2)).astype(np.float16).view(np.uint8)
        if config.data_type is DataType.FP32:
            codes, header = random.standard_normal((config.num_embeddings, 8)).astype(np.float32).view(np.uint8), None
        weights[config.name] = (torch.from_numpy(codes), header if header is None else torch.from_numpy(header))
    return weights


def random_map(ids, rows, seed=0):
    random = np.random.default_rng(seed)
    rows_of_ids = random.integers(0, rows, ids)
    return torch.from_numpy(np.where(random.random(ids) < 0.3, -1, rows_of_ids).astype(np.int32))


def set_maps(module, maps, by):
    """Gives FBGEMM's modules the maps of their tables, in the form that `by` names."""
    for configs, tbe in zip(module._key_to_tables.values(), module._emb_modules):
        found = [maps.get(config.name) for config in configs]
        if not any(rows is not None for rows in found):
            continue
        if by == "array":
            tbe.set_index_remappings_array(found)
        elif by == "object":
            tbe.set_index_remappings(found, use_array_for_index_remapping=False)
        else:
            set_hash_table(tbe, found)
    return module


def set_hash_table(tbe, maps):
    """As FBGEMM has it on a GPU."""
    tbe.set_index_remappings_array(maps)
    tbe.index_remappings_array = torch.empty(0, dtype=torch.int32)
    slots = [torch.empty(0, 2, dtype=torch.int32) if rows is None else hash_table_of(rows, 128) for rows in maps]
    tbe.index_remapping_hash_table = torch.cat(slots)
    tbe.index_remapping_hash_table_offsets = torch.tensor([0, *np.cumsum([len(part) for part in slots])])


BAG_TABLES = [
    table("t1", "a", 10),
    table("t2", "b", 7, DataType.FP32, PoolingType.MEAN),
    table("t3", "c", 60),
    table("t4", "a", 5, pooling=PoolingType.MEAN),
]
MAPS = {"t1": random_map(40, 10, 1), "t2": random_map(25, 7, 2), "t4": random_map(40, 5, 3)}


def bags(weighted=False, tables=BAG_TABLES, **options):
    return EmbeddingBagCollection(
        tables, is_weighted=weighted, device=CPU, table_name_to_quantized_weights=random_weights(tables), **options
    )


def sequence(**options):
    tables = [
        EmbeddingConfig(
            name=f"t{index}", embedding_dim=8, num_embeddings=rows, feature_names=[feature], data_type=DataType.INT8
        )
        for index, (feature, rows) in enumerate([("a", 10), ("b", 7), ("c", 60)], 1)
    ]
    return EmbeddingCollection(
        tables, device=CPU, table_name_to_quantized_weights=random_weights(tables), **options
    )


def processed(**options):
    tables = [BAG_TABLES[0], BAG_TABLES[1]]
    processor = PositionWeightedModuleCollection({"a": 6, "b": 6})
    with torch.no_grad():
        for parameter in processor.parameters():
            parameter.copy_(torch.linspace(-1, 2, len(parameter)))
    return FeatureProcessedEmbeddingBagCollection(
        tables, is_weighted=True, feature_processor=processor, device=CPU,
        table_name_to_quantized_weights=random_weights(tables), **options,
    )  # fmt: skip


def random_kjt(seed=0, kind=torch.int32, weighted=False, bad=False, lowest=0):
    random = np.random.default_rng(seed)
    lengths = {key: random.integers(0, 6, 5) for key in IDS}
    values = {key: random.integers(lowest, IDS[key], lengths[key].sum()) for key in IDS}
    if bad:
        values["a"][::3] = 40
        values["b"][::4] = -5
    ids = torch.from_numpy(np.concatenate(list(values.values()))).to(kind)
    weights = torch.from_numpy(random.standard_normal(len(ids)).astype(np.float32)) if weighted else None
    counts = torch.from_numpy(np.concatenate(list(lengths.values()))).to(kind)
    return KeyedJaggedTensor(list(IDS), ids, lengths=counts, weights=weights)


def expect_same(got, expected):
    names, arrays = flatten(got)
    expected_names, expected_arrays = flatten(expected)
    assert names == expected_names
    assert [different_elements(a, b) for a, b in zip(arrays, expected_arrays)] == [0] * len(expected_arrays)


@pytest.mark.parametrize("by", ["array", "object", "hash"])
@pytest.mark.parametrize("weighted", [False, True])
def test_bags_are_those_of_fbgemm(by, weighted):
    module = set_maps(bags(weighted), MAPS, by)
    compiled = trec.torch.compile(module)
    # For -1 FBGEMM reads what lies before an array.
    lowest = 0 if by == "array" else -1
    for seed in range(8):
        batch = (seed, torch.int32, weighted, seed % 2 == 1, lowest)
        expect_same(compiled(random_kjt(*batch)), module(random_kjt(*batch)))
    assert compiled.counters()["bad_ids"] > 0


@pytest.mark.parametrize("by", ["array", "object"])
def test_ids_of_64_bits(by):
    module = set_maps(bags(), MAPS, by)
    expect_same(trec.torch.compile(module)(random_kjt(3, torch.int64)), module(random_kjt(3, torch.int64)))


# FBGEMM fills tables by 32-bit hashes, and looks ids of 64 bits up by others.
def test_hash_table_and_ids_of_64_bits():
    module = set_maps(bags(), MAPS, "hash")
    compiled = trec.torch.compile(module)
    expected = module(random_kjt(3))
    expect_same(compiled(random_kjt(3, torch.int64)), expected)
    assert not torch.equal(module(random_kjt(3, torch.int64)).values(), expected.values())


@pytest.mark.parametrize("by", ["array", "object"])
def test_sequences_are_those_of_fbgemm(by):
    module = set_maps(sequence(need_indices=True), MAPS, by)
    compiled = trec.torch.compile(module)
    for seed in range(6):
        got, expected = compiled(random_kjt(seed, bad=seed > 3)), module(random_kjt(seed, bad=seed > 3))
        expect_same(got, expected)
        for key in got:
            assert torch.equal(got[key].weights(), expected[key].weights())


def test_minus_one_is_skipped_by_arrays_too():
    compiled = trec.torch.compile(set_maps(bags(), MAPS, "array"))
    expect_same(compiled(random_kjt(4, lowest=-1)), set_maps(bags(), MAPS, "object")(random_kjt(4, lowest=-1)))


# FBGEMM counts a table's ids by tables and not by features: the ids of the last feature are not mapped.
@pytest.mark.parametrize("by", ["array", "object"])
def test_a_table_of_several_features(by):
    tables = [table("t1", None, 40, features=["a", "b", "c"])]
    rows_of_ids = random_map(60, 40, 5)
    compiled = trec.torch.compile(set_maps(bags(tables=tables), {"t1": rows_of_ids}, by))
    batch = random_kjt(1)
    expected = random_kjt(1)
    expected.values()[:] = torch.where(batch.values() < 0, -1, rows_of_ids[batch.values().long().clamp(min=0)])
    expect_same(compiled(batch), bags(tables=tables)(expected))


def test_replace_and_copies():
    model = torch.nn.Sequential(set_maps(bags(), MAPS, "array"))
    expected = model(random_kjt(1))
    compiled = trec.torch.replace(model)
    for module in (compiled, copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        expect_same(module(random_kjt(1)), expected)
    compiled.share_memory()
    expect_same(compiled(random_kjt(1)), expected)


def test_an_array_is_read_in_place():
    module = set_maps(bags(register_tbes=True), MAPS, "array")
    compiled = trec.torch.compile(module)
    assert list(compiled.state_dict()) == list(module.state_dict())
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    name = next(name for name in state if name.endswith("index_remappings_array") and state[name].numel())
    state[name][:] = -1
    compiled.load_state_dict(state)
    expect_same(compiled(random_kjt(1)), module(random_kjt(1)))
    assert not compiled(random_kjt(1)).values()[:, :8].any()


@pytest.mark.parametrize("by", ["array", "object", "hash"])
def test_export_and_load(by, tmp_path):
    module = set_maps(bags(), MAPS, by)
    trec.export(module, tmp_path)
    so = trec.compile(tmp_path, tmp_path / "model.so")
    batch = random_kjt(2)
    expected = module(random_kjt(2))
    model = trec.load(so, tmp_path / "model.safetensors")
    served = model(batch.values().numpy(), lengths=batch.lengths().numpy(), keys=batch.keys())
    for key, values in expected.to_dict().items():
        assert different_elements(np.ascontiguousarray(served[key]), values.contiguous().numpy()) == 0
    expect_same(trec.torch.load(so)(batch), expected)
    expect_same(trec.torch.load(tmp_path)(batch), expected)
    kinds = {parameter["name"]: parameter["map"] for parameter in trec.load(so).info["parameters"]}
    assert kinds == dict.fromkeys(["remap.t1", "remap.t2", "remap.t4"], "array" if by == "array" else "hash_table")


def test_a_map_to_rows_that_are_not_there():
    module = set_maps(bags(), {"t1": torch.tensor([3, 10], dtype=torch.int32)}, "array")
    with pytest.raises(trec.WeightsError, match="maps id 1 to row 10, but table \"t1\" has 10 rows"):
        trec.torch.compile(module)


def test_maps_that_do_not_fit(tmp_path):
    so = trec.compile(set_maps(bags(), MAPS, "hash"), tmp_path / "model.so")
    arrays = dict(trec.weights_file.read_weights(tmp_path / "model.safetensors"))
    missing = {name: array for name, array in arrays.items() if name != "remap.t2"}
    with pytest.raises(trec.WeightsError, match="parameter 'remap.t2' are missing"):
        trec.load(so, missing)
    with pytest.raises(trec.WeightsError, match=r"expected contiguous int32\[128, 2\], got int64\[128, 2\]"):
        trec.load(so, {**arrays, "remap.t2": arrays["remap.t2"].astype(np.int64)})
    with pytest.raises(trec.WeightsError, match=r"expected contiguous int32\[128, 2\], got int32\[256\]"):
        trec.load(so, {**arrays, "remap.t2": arrays["remap.t2"].reshape(-1)})
    full = np.zeros((128, 2), np.int32)
    with pytest.raises(trec.WeightsError, match="has no empty slot among its 128"):
        trec.load(so, {**arrays, "remap.t2": full})


def serve_from_c(so, weights, batch):
    """The embeddings that the example program computes of ids in the model's order of features."""
    folder = so.parent
    source = Path(__file__).resolve().parents[1] / "Integration/CPU/example.c"
    subprocess.run(["gcc", "-I", folder, source, so, f"-Wl,-rpath,{folder}", "-o", folder / "example"], check=True)
    values, lengths = batch.values().numpy().astype(np.int64), batch.lengths().numpy().astype(np.int32)
    sizes = np.array([batch.stride(), len(batch.keys()), len(values)])
    (folder / "batch").write_bytes(sizes.tobytes() + values.tobytes() + lengths.tobytes())
    subprocess.run([folder / "example", weights, folder / "batch", folder / "output"], check=True)
    return np.fromfile(folder / "output", np.float32).reshape(batch.stride(), -1)


def retrained(rows, ids, by):
    tables = [table("t1", "a", rows[0]), table("t2", "b", rows[1], DataType.FP32, PoolingType.MEAN)]
    maps = {"t1": random_map(ids, rows[0], ids)} if by else {}
    module = EmbeddingBagCollection(
        tables, is_weighted=False, device=CPU, table_name_to_quantized_weights=random_weights(tables, rows[0])
    )
    return set_maps(module, maps, by)


@pytest.mark.parametrize("by", [None, "array", "object"])
def test_a_retrained_model_of_other_sizes(by, tmp_path):
    trec.export(retrained((10, 7), 40, by), tmp_path / "first", dynamic_rows=True)
    so = trec.compile(tmp_path / "first", tmp_path / "first" / "model.so")
    assert "!trec.table<?x8, int8" in (tmp_path / "first" / "model.mlir").read_text()
    for rows, ids in (((10, 7), 40), ((100, 1), 300), ((3, 2000), 1)):
        module = retrained(rows, ids, by)
        trec.export(module, tmp_path / "next", dynamic_rows=True)
        weights = tmp_path / "next" / "model.safetensors"
        limit = ids if by else rows[0]
        values = torch.tensor([0, limit - 1, limit // 2, limit // 2, rows[1] - 1])
        batch = KeyedJaggedTensor(["a", "b"], values, lengths=torch.tensor([2, 2, 1, 0]))
        expected = module(copy.deepcopy(batch))
        expect_same(trec.torch.load(so, weights)(batch), expected)
        served = trec.load(so, weights)(batch.values().numpy(), lengths=batch.lengths().numpy())
        assert different_elements(np.ascontiguousarray(served["a"]), expected["a"].contiguous().numpy()) == 0
        assert different_elements(serve_from_c(so, weights, batch), expected.values().numpy()) == 0
        # The ids of a model with a hash table have no end.
        if by != "object":
            with pytest.raises(trec.OutOfBoundsError, match=f"expected -1 or 0 to {limit - 1}"):
                trec.load(so, weights, bounds_check="fatal")([limit], lengths=[1, 0])


def test_rows_are_left_open_by_compile_too(tmp_path):
    so = trec.compile(retrained((10, 7), 40, "array"), tmp_path / "model.so", dynamic_rows=True)
    info = trec.load(so).info
    assert [entry["rows"] for entry in info["tables"]] == [None, None]
    assert [entry["count"] for entry in info["parameters"]] == [None]
    with pytest.raises(trec.InputError, match="dynamic_rows applies to modules"):
        trec.compile(tmp_path, dynamic_rows=True)


@pytest.mark.parametrize("by", ["array", "object"])
def test_an_empty_batch(by):
    module = set_maps(bags(), MAPS, by)
    empty = KeyedJaggedTensor(list(IDS), torch.empty(0, dtype=torch.int32), lengths=torch.empty(0, dtype=torch.int32))
    assert trec.torch.compile(module)(empty).values().shape == (0, 32)
    with pytest.raises(RuntimeError):
        module(empty)


def test_weights_by_position_and_maps():
    module = set_maps(processed(), MAPS, "array")
    processor = module.feature_processor
    compiled = trec.torch.compile(module)
    assert compiled.is_fused
    expect_same(compiled(random_kjt(1)), module(random_kjt(1)))
    with torch.no_grad():
        processor.position_weights["a"] *= 3
    expect_same(compiled(random_kjt(1)), module(random_kjt(1)))
