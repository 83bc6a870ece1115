"""trec.torch.load of models that regroup: collections are made again of what each lookup reads."""

import copy
import pickle

import numpy as np
import pytest
import torch
from conftest import KEYS, assert_same_bits, make_kjt, make_quantized, rows_for
from test_remaps import MAPS, bags, set_maps
from test_remaps import random_kjt as remapped_kjt
from test_torch_regroup import assert_same_groups, expected_of, make_batches, make_weighted, regroup
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection
from torchrec.quant.embedding_modules import FeatureProcessedEmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec
import trec.torch
from trec.torch.place import CPU, Place
from trec.torch.regroup_files import place_of
from trec.weights_file import read_weights


def load_compiled(modules, tmp_path, **options):
    so = trec.compile(modules, tmp_path / "m.so", **options)
    return trec.torch.load(so)


@pytest.fixture(scope="module")
def modules():
    return [make_quantized(), make_weighted()]


@pytest.fixture(scope="module")
def loaded(modules, tmp_path_factory):
    return load_compiled(modules, tmp_path_factory.mktemp("regroup"), regroup=regroup())


def test_same_dict_as_torchrec(modules, loaded):
    assert type(loaded) is trec.torch.CompiledRegroupedCollections
    for batch in (0, 1, 33):
        kjts = make_batches(batch)
        assert_same_groups(loaded(*kjts), expected_of(modules, kjts))


def test_collections(modules, loaded):
    """Of what is looked up, in the order of the file."""
    assert [type(child).__name__ for child in loaded.collections] == ["CompiledEmbeddingBagCollection"] * 2
    assert [child.is_weighted() for child in loaded.collections] == [False, True]
    assert [[table.name for table in child.embedding_bag_configs()] for child in loaded.collections] == [
        ["ads", "pages", "users"], ["buyer"],
    ]  # fmt: skip
    compiled = trec.torch.compile(modules, regroup=regroup())
    expected = {name: tensor for name, tensor in compiled.state_dict().items() if ".shop." not in name}
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert_same_bits(tensor, expected[name])


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"])
def test_copies_and_edits(modules, loaded, way):
    twin, kjts = way(loaded), make_batches()
    twin.collections[1].embedding_bags["buyer"].weight.zero_()
    # The first of its group.
    assert not twin(*kjts)["dense"][:, :12].any()
    assert_same_groups(loaded(*kjts), expected_of(modules, kjts))
    twin.load_state_dict(loaded.state_dict())
    assert_same_groups(twin(*kjts), expected_of(modules, kjts))


def test_from_a_directory(modules, tmp_path):
    trec.export(modules, tmp_path / "m", regroup=regroup(), dynamic_rows=True)
    kjts = make_batches()
    assert_same_groups(trec.torch.load(tmp_path / "m")(*kjts), expected_of(modules, kjts))


def test_batches_whose_keys_differ(modules, loaded):
    compiled = trec.torch.compile(modules, regroup=regroup())
    strides, lengths = [[2], [1], [2], [2]], torch.tensor([1, 0, 2, 1, 1, 0, 2])
    inverse = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 0, 1], [0, 1, 0]])

    def batches():
        plain = KeyedJaggedTensor(
            KEYS, torch.arange(7), lengths=lengths, stride_per_key_per_rank=strides, inverse_indices=(KEYS, inverse)
        )
        return plain, make_kjt(["shop", "buyer"], 3, 1, weighted=True)

    assert_same_groups(loaded(*batches()), compiled(*batches()))


def make_processed(factor, **features):
    """Tables, by the keyword's name, of one feature each, with weights by position."""
    tables = [
        EmbeddingBagConfig(
            name=name, num_embeddings=20, embedding_dim=8, data_type=DataType.INT8, feature_names=[feature]
        )
        for name, feature in features.items()
    ]
    processor = PositionWeightedModuleCollection({feature: 8 for feature in set(features.values())})
    with torch.no_grad():
        for parameter in processor.parameters():
            parameter.copy_(factor * torch.arange(8))
    return FeatureProcessedEmbeddingBagCollection(
        tables, is_weighted=True, device=torch.device("cpu"), feature_processor=processor,
        table_name_to_quantized_weights={table.name: rows_for(table, factor) for table in tables},
    )  # fmt: skip


def test_one_batch_read_in_three_ways(modules, tmp_path):
    """Two processors have weights of one feature, and the collections have tables of one name."""
    modules = [modules[0], make_processed(2, one="x", two="x"), make_processed(3, one="x", three="y")]
    groups, names = [["x@one", "ad"], ["x", "x@two", "user", "y", "x"]], ["a", "b"]
    loaded = load_compiled(modules, tmp_path, regroup=regroup(groups, names), batches=[0, 0, 0])
    kjt = make_kjt([*KEYS, "y", "x"])
    assert_same_groups(loaded(kjt), expected_of(modules, [kjt] * 3, groups, names))
    processed = "CompiledFeatureProcessedEmbeddingBagCollection"
    kinds = [type(child).__name__ for child in loaded.collections]
    assert kinds == ["CompiledEmbeddingBagCollection", processed, processed]
    with torch.no_grad():
        for module in (modules[2], loaded.collections[2]):
            module.feature_processor.position_weights["x"] += 1
    assert_same_groups(loaded(kjt), expected_of(modules, [kjt] * 3, groups, names))


def test_maps_from_ids_to_rows(tmp_path):
    modules = [set_maps(bags(), MAPS, "array")]
    groups, names = [["c", "a@t4"], ["b", "a@t1"]], ["a", "b"]
    loaded = load_compiled(modules, tmp_path, regroup=regroup(groups, names))
    assert_same_groups(loaded(remapped_kjt(1)), expected_of(modules, [remapped_kjt(1)], groups, names))
    arrays = read_weights(tmp_path / "m.safetensors")
    del arrays["remap.t4"]
    with pytest.raises(trec.WeightsError, match="parameter 'remap.t4' is missing"):
        trec.torch.load(tmp_path / "m.so", arrays)


def test_relaxed_numbers_stay_relaxed(modules, tmp_path):
    so = trec.compile(modules, tmp_path / "m.so", regroup=regroup(), numerics="relaxed")
    assert [child.info["numerics"] for child in trec.torch.load(so).collections] == ["relaxed"] * 2


def test_tables_of_all_collections_are_placed_together():
    arrays = {name: np.zeros((rows, 8), np.uint8) for name, rows in (("a", 10), ("b", 30), ("1.a", 20))}
    metadata = {"tables": [{"name": name, "row_bytes": 8} for name in arrays]}
    place = Place(0, trec.Placement({"b": "device"}, device_bytes=(30 + 10) * 16, l2_fetch_bytes=64, l2_persist_bytes=5))
    first = place_of({"a": "a", "b": "b"}, arrays, metadata, place).placement
    second = place_of({"1.a": "a"}, arrays, metadata, place).placement
    assert first == trec.Placement({"a": "device", "b": "device"}, l2_fetch_bytes=64, l2_persist_bytes=5)
    assert second == trec.Placement({"a": "host"}, l2_fetch_bytes=64, l2_persist_bytes=5)
    assert place_of({"a": "a"}, arrays, metadata, CPU) is CPU
