"""trec.load: numpy and DLPack in, views of one array out."""

import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from conftest import assert_same, configs, make_kjt, make_quantized
from torchrec.modules.embedding_configs import DataType
from torchrec.sparse.jagged_tensor import KeyedTensor

import trec
import trec.torch
from trec.compiler import run_tool
from trec.exporter import write_model
from trec.quantize import quantize_rows
from trec.spec import ModelSpec, TableSpec
from trec.testing import reference
from trec.weights_file import Parameter, TableRows, array_chunks, read_weights, write_weights


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A module, its exported directory with model.so inside, and the loaded model."""
    module, directory = make_quantized(), tmp_path_factory.mktemp("model")
    trec.export(module, directory)
    so = trec.compile(directory, directory / "model.so")
    return module, directory, trec.load(so)


def parts(kjt):
    return kjt.values().numpy(), kjt.lengths().numpy()


def assert_matches(outputs, expected):
    keyed = KeyedTensor(
        list(outputs),
        [array.shape[1] for array in outputs.values()],
        torch.from_numpy(np.concatenate(list(outputs.values()), 1)),
    )
    assert_same(keyed, expected)


@pytest.mark.parametrize("ids", [torch.int32, torch.int64])
@pytest.mark.parametrize("lengths", [torch.int32, torch.int64])
def test_same_bits(built, ids, lengths):
    module, _, model = built
    assert model.features == ["ad", "last_ad", "page", "user"]
    kjt = make_kjt(model.features, batch=7, ids=ids, lengths=lengths)
    expected = module(kjt)
    assert_matches(model(*parts(kjt)), expected)
    assert_matches(model(kjt.values().numpy(), offsets=kjt.offsets().numpy()), expected)


@pytest.mark.parametrize("batch", [0, 1, 64])
def test_batch_sizes(built, batch):
    module, _, model = built
    kjt = make_kjt(model.features, batch=batch)
    outputs = model(*parts(kjt))
    assert [array.shape for array in outputs.values()] == [(batch, 16), (batch, 16), (batch, 12), (batch, 8)]
    if batch:
        assert_matches(outputs, module(kjt))


def test_outputs_are_views_of_one_array(built):
    outputs = built[2](*parts(make_kjt(built[2].features)))
    assert len({id(array.base) for array in outputs.values()}) == 1


def test_permuted_and_extra_keys(built):
    module, _, model = built
    keys = ["user", "extra", "page", "last_ad", "ad"]
    kjt = make_kjt(keys)
    assert_matches(model(*parts(kjt), keys=keys), module(kjt))


def test_dlpack(built):
    module, _, model = built
    kjt = make_kjt(model.features)
    assert_matches(model(kjt.values(), kjt.lengths()), module(kjt))


def test_non_contiguous_ids_are_read_right(built):
    _, _, model = built
    values, lengths = parts(make_kjt(model.features))
    spread = np.zeros(2 * len(values), values.dtype)
    spread[::2] = values
    for key, array in model(spread[::2], lengths).items():
        assert np.array_equal(array, model(values, lengths)[key])


def test_run_into(built):
    _, _, model = built
    kjt = make_kjt(model.features)
    output = np.empty((3, 52), np.float32)
    assert model.run_into(output, *parts(kjt)) is output
    assert np.array_equal(output[:, :16], model(*parts(kjt))["ad"])


def test_threads_give_the_same_bits(built):
    _, directory, model = built
    kjt = make_kjt(model.features, batch=500)
    several = trec.load(directory / "model.so", threads=3)
    for key, array in several(*parts(kjt)).items():
        assert np.array_equal(array, model(*parts(kjt))[key])


def test_concurrent_calls(built):
    _, _, model = built
    cases = [parts(make_kjt(model.features, batch=50, seed=seed)) for seed in range(4)]
    expected = [model.run_into(None, *case) for case in cases]
    wrong = []

    def work(case, want):
        for _ in range(200):
            if not np.array_equal(model.run_into(None, *case), want):
                wrong.append(case)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(cases, expected)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_weights_given_as_arrays_are_used_in_place(built):
    _, directory, model = built
    rows = {name: np.array(table) for name, table in read_weights(directory / "model.safetensors").items()}
    own = trec.load(directory / "model.so", weights=rows)
    case = parts(make_kjt(model.features))
    assert np.array_equal(own.run_into(None, *case), model.run_into(None, *case))
    rows["ads"][:] = 0
    assert not own(*case)["ad"].any()


def test_weights_by_path(built, tmp_path):
    _, directory, model = built
    shutil.copy(directory / "model.so", tmp_path / "other.so")
    loaded = trec.load(tmp_path / "other.so", weights=directory / "model.safetensors")
    case = parts(make_kjt(model.features))
    assert np.array_equal(loaded.run_into(None, *case), model.run_into(None, *case))


def test_embedded_weights(built, tmp_path):
    module, _, model = built
    so = trec.compile(module, tmp_path / "alone.so", weights="embed")
    assert not (tmp_path / "alone.safetensors").exists()
    case = parts(make_kjt(model.features))
    assert np.array_equal(trec.load(so).run_into(None, *case), model.run_into(None, *case))


def test_compile_module_writes_weights_beside_the_library(built, tmp_path):
    so = trec.compile(built[0], tmp_path / "new" / "m.so")
    assert so == tmp_path / "new" / "m.so" and (tmp_path / "new" / "m.safetensors").exists()
    case = parts(make_kjt(built[2].features))
    assert np.array_equal(trec.load(so).run_into(None, *case), built[2].run_into(None, *case))


def test_compile_to_a_temporary_file(built):
    for source in (built[0], built[1]):
        case = parts(make_kjt(built[2].features))
        assert np.array_equal(trec.load(trec.compile(source)).run_into(None, *case), built[2].run_into(None, *case))


def test_a_replaced_library_is_loaded_anew(built, tmp_path):
    path = tmp_path / "model.so"
    trec.compile(built[0], path)
    assert trec.load(path).features == ["ad", "last_ad", "page", "user"]
    trec.compile(make_quantized(configs()[1:2]), path)
    assert trec.load(path).features == ["user"]


def test_works_without_torch(built, tmp_path):
    _, directory, model = built
    values, lengths = parts(make_kjt(model.features))
    np.savez(tmp_path / "in.npz", values=values, lengths=lengths, output=model.run_into(None, values, lengths))
    code = f"""
import sys, numpy as np, trec
data = np.load({str(tmp_path / "in.npz")!r})
model = trec.load({str(directory / "model.so")!r})
assert np.array_equal(model.run_into(None, data["values"], data["lengths"]), data["output"])
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_info(built):
    info = built[2].info
    assert info["weighted"] is False and info["output"]["total_dim"] == 52
    assert [(table["name"], table["dim"], table["dtype"]) for table in built[2].tables] == [
        ("ads", 16, "int8"), ("pages", 12, "fp16"), ("users", 8, "int4"),
    ]  # fmt: skip
    assert info["cpu_level"] and info["counters"]["forwards"] > 0


@pytest.mark.parametrize("dtype", ["int8", "int4", "int2", "fp16", "fp32"])
@pytest.mark.parametrize("dim", [1, 3, 5, 31, 130])
def test_any_dim_against_the_formula(tmp_path, dtype, dim):
    """Dims that FBGEMM refuses have the scalar formula alone to be compared with."""
    random = np.random.default_rng(dim)
    table = TableSpec("t", 50, dim, dtype, ["f"], pooling="mean", row_alignment=16)
    spec = ModelSpec([table], weighted=True)
    rows = quantize_rows(random.standard_normal((50, dim)).astype(np.float32), dtype, 16)
    write_model(spec, [TableRows("t", 50, table.row_bytes, lambda: array_chunks(rows))], tmp_path)
    lengths = random.integers(0, 9, 13)
    values = random.integers(-1, 50, lengths.sum())
    weights = random.standard_normal(len(values)).astype(np.float32)
    expected = reference.forward(spec, {"t": rows}, values, lengths, weights)
    got = trec.load(trec.compile(tmp_path)).run_into(None, values, lengths, weights=weights)
    assert reference.different_elements(got, expected) == 0


def test_rows_taken_from_the_weights(tmp_path):
    """A table without a number of rows loads weights of any number of rows."""
    table = TableSpec("t", None, 8, "fp32", ["f"])
    write_model(ModelSpec([table]), None, tmp_path)
    so = trec.compile(tmp_path / "model.mlir", tmp_path / "m.so")
    for rows in (3, 9):
        weights = np.arange(rows * 8, dtype=np.float32).reshape(rows, 8)
        model = trec.load(so, weights={"t": weights.view(np.uint8)})
        assert np.array_equal(model(np.array([rows - 1]), np.array([1]))["f"], weights[-1:])


def test_output_dtype_float16(tmp_path):
    module = make_quantized(configs(users={"data_type": DataType.INT2}), output_dtype=torch.float16)
    trec.export(module, tmp_path)
    model = trec.load(trec.compile(tmp_path))
    kjt = make_kjt(model.features)
    assert_matches(model(*parts(kjt)), module(kjt))


def test_map_of_a_pruned_table(tmp_path):
    """Half of the ids have a row; the others add nothing."""
    rows = quantize_rows(np.random.default_rng(0).standard_normal((10, 8)).astype(np.float32), "fp32", 16)
    places = np.where(np.arange(20) % 2, -1, np.arange(20) // 2).astype(np.int32)
    spec = ModelSpec([TableSpec("t", 10, 8, "fp32", ["f"])], weights="w.safetensors").to_dict()
    spec["tables"][0]["remap"] = {"length": 20}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    tensors = [TableRows("t", 10, 32, lambda: array_chunks(rows)), Parameter("remap.t", places)]
    write_weights(tmp_path / "w.safetensors", tensors)
    run_tool("trec-import", tmp_path / "spec.json", "-o", tmp_path / "model")
    so = trec.compile(tmp_path / "model", tmp_path / "model" / "model.so")
    stored = read_weights(tmp_path / "model" / "model.safetensors")
    assert stored["remap.t"].dtype == np.int32
    for model in (trec.load(so), trec.load(so, weights={"t": rows, "remap.t": places})):
        got = model(np.arange(20), lengths=np.ones(20, np.int64))["f"]
        assert np.array_equal(got[::2], rows.view(np.float32)) and not got[1::2].any()
    with pytest.raises(trec.WeightsError, match=r"parameter 'remap.t': expected contiguous int32\[20\], got int64"):
        trec.load(so, weights={"t": rows, "remap.t": places.astype(np.int64)})
