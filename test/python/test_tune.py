"""trec.compile with tune=: measured once, compiled with ever after, the same bits."""

import json

import numpy as np
import pytest
from conftest import make_kjt, make_quantized

import trec
from trec.errors import CompileError

CASE = {"trec_bench": 1, "load": {"batch": 4, "length": 3}, "run": {"seconds": 0}}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A module, and a folder with model.so and model.tune.json."""
    module, directory = make_quantized(), tmp_path_factory.mktemp("tuned")
    (directory / "case.json").write_text(json.dumps(CASE))
    trec.compile(module, directory / "model.so", tune=directory / "case.json")
    return module, directory


def pooled(so):
    model = trec.load(so)
    kjt = make_kjt(model.features, batch=5)
    return model.run_into(None, kjt.values().numpy(), lengths=kjt.lengths().numpy())


def test_bits_are_those_of_the_cost_model(tuned, tmp_path):
    module, directory = tuned
    plain = pooled(trec.compile(module, tmp_path / "plain.so"))
    assert np.array_equal(pooled(directory / "model.so"), plain)


def test_the_cache_gives_the_same_bytes(tuned, tmp_path):
    module, directory = tuned
    cache = json.loads((directory / "model.tune.json").read_text())
    assert cache["trec_tune"] == 2
    assert {entry["load"] for entry in cache["entries"]} == {"b4 l3 uniform int64"}
    so = trec.compile(module, tmp_path / "m.so", tune_cache=directory / "model.tune.json")
    assert so.read_bytes() == (directory / "model.so").read_bytes()


def test_true_is_the_default_load_and_false_is_none(tuned, tmp_path):
    module, _ = tuned
    trec.compile(module, tmp_path / "m.so", tune=True, tune_cache=tmp_path / "cache.json")
    entries = json.loads((tmp_path / "cache.json").read_text())["entries"]
    assert {entry["load"] for entry in entries} == {"b256 l20 uniform int64"}
    trec.compile(module, tmp_path / "n.so", tune=False)
    assert not (tmp_path / "n.tune.json").exists()


def test_what_is_wrong_with_a_load_is_said(tuned, tmp_path):
    with pytest.raises(CompileError, match="absent.json: No such file"):
        trec.compile(tuned[0], tmp_path / "m.so", tune=tmp_path / "absent.json")


def test_a_gpu_needs_chips_to_tune_for(tuned, tmp_path):
    with pytest.raises(CompileError, match="expected --gpu with --tune-device=cuda"):
        trec.compile(tuned[0], tmp_path / "m.so", tune=True, tune_device="cuda")
