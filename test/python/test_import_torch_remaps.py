"""trec-import-torch: pruned tables whose ids are remapped give what trec.export writes, byte for byte."""

import pytest
import torch
from archives import (
    assert_imports_as_exported,
    assert_refused,
    assert_same_files,
    edit,
    import_archive,
    names_in_archive,
    rename_tables,
    save_script,
    save_traced,
)
from conftest import assert_same
from test_remaps import BAG_TABLES, MAPS, bags, expect_same, random_kjt, random_map, sequence, set_maps
from test_remaps import processed as make_processed
from torchrec.fx import symbolic_trace
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

import trec
import trec.torch

WAYS = ["array", "object", "hash"]
SEQUENCE_MAPS = {"t1": random_map(40, 10, 1), "t2": random_map(25, 7, 2)}
MODULES = {
    "bags": lambda by: set_maps(bags(register_tbes=True), MAPS, by),
    "weighted": lambda by: set_maps(bags(True, register_tbes=True), MAPS, by),
    "sequence": lambda by: set_maps(sequence(register_tbes=True), SEQUENCE_MAPS, by),
    "processed": lambda by: set_maps(make_processed(register_tbes=True), MAPS, by),
}


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("kind", MODULES)
def test_registered_table_batches(tmp_path, kind, by):
    module = MODULES[kind](by)
    archive = save_traced(module, tmp_path / "model.pt")
    assert_imports_as_exported(module, archive, tmp_path)
    loaded = trec.torch.load(tmp_path / "imported")
    for seed in range(3):
        batch = random_kjt(seed, weighted=kind == "weighted", bad=seed == 2)
        expect_same(loaded(batch), module(random_kjt(seed, weighted=kind == "weighted", bad=seed == 2)))


@pytest.mark.parametrize("registered", [False, True], ids=["bare", "traced through"])
@pytest.mark.parametrize("by", WAYS)
def test_bare_tensors(tmp_path, by, registered):
    """The ids' own check says how many there were before pruning."""
    names = names_in_archive(BAG_TABLES)
    module = set_maps(bags(register_tbes=registered), MAPS, by)
    archive = save_traced(module, tmp_path / "model.pt", leaves=[])
    import_archive(archive, tmp_path / "imported")
    renamed = bags(tables=rename_tables(BAG_TABLES, names))
    trec.export(set_maps(renamed, {names[table]: rows for table, rows in MAPS.items()}, by), tmp_path / "exported")
    assert_same_files(tmp_path / "imported", tmp_path / "exported")
    expect_same(trec.torch.load(tmp_path / "imported")(random_kjt(1)), module(random_kjt(1)))


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("rows", [[-1] * 40, [*range(10)]], ids=["all pruned", "as they are"])
def test_maps_without_effect(tmp_path, by, rows):
    maps = {**MAPS, "t1": torch.tensor(rows, dtype=torch.int32)}
    module = set_maps(bags(register_tbes=True), maps, by)
    assert_imports_as_exported(module, save_traced(module, tmp_path / "model.pt"), tmp_path)


@pytest.mark.parametrize("by", ["array", "hash"])
def test_maps_of_64_bits(tmp_path, by):
    """FBGEMM keeps them in the type of its ids."""
    module = set_maps(bags(register_tbes=True), MAPS, by)
    for tbe in module.tbes:
        for name in ("index_remappings_array", "index_remapping_hash_table"):
            setattr(tbe, name, getattr(tbe, name).long())
    assert_imports_as_exported(module, save_traced(module, tmp_path / "model.pt"), tmp_path)


class Twice(torch.nn.Module):
    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.bags = module

    def forward(self, features: KeyedJaggedTensor) -> list[KeyedTensor]:
        return [self.bags(features), self.bags(features)]


@pytest.mark.parametrize("by", WAYS)
def test_a_collection_that_is_called_twice_is_one(tmp_path, by):
    module = Twice(symbolic_trace(set_maps(bags(), MAPS, by)))
    printed, _ = import_archive(save_script(module, tmp_path / "model.pt"), tmp_path / "imported")
    assert printed == [str(tmp_path / "imported" / "bags")]


def test_objects_are_restored_right(tmp_path):
    """FBGEMM itself gives tables the pairs of others when it restores the object."""
    module = MODULES["bags"]("object")
    archive = save_traced(module, tmp_path / "model.pt")
    import_archive(archive, tmp_path / "imported")
    loaded = trec.torch.load(tmp_path / "imported")
    for seed in range(8):
        assert_same(loaded(random_kjt(seed)), module(random_kjt(seed)))


DAMAGE = {
    "attribute": (b"\r\0\0\0table_offsets", b"\r\0\0\0table_offsetz", "cannot be loaded: an object lacks attributes"),
    "records": (b"data.pkl", b"dada.pkl", "got a zip archive without its records"),
    "directory": (b"PK\x05\x06", b"PK\x05\x07", "cannot be loaded, for it is damaged: PytorchStreamReader failed"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_objects(tmp_path, what):
    old, new, expected = DAMAGE[what]
    archive = save_traced(MODULES["bags"]("object"), tmp_path / "model.pt")
    edit(archive, lambda name, data: data.replace(old, new) if name == "data.pkl" else data)
    assert_refused(archive, "module 'tbes.0': PrunedMapCPU: ", expected)
