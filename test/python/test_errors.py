"""Every error of the package, provoked, with the text that a user reads."""

import os
import stat
import subprocess

import numpy as np
import pytest
import torch
from conftest import KEYS, configs, make_kjt, make_quantized
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec
import trec.compiler
import trec.torch
from trec import library
from trec.weights_file import read_weights


@pytest.fixture(scope="module")
def compiled():
    return trec.torch.compile(make_quantized())


@pytest.fixture(scope="module")
def weighted():
    return trec.torch.compile(make_quantized(weighted=True))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    trec.export(make_quantized(), path)
    trec.compile(path, path / "model.so")
    return path


@pytest.fixture(scope="module")
def model(directory):
    return trec.load(directory / "model.so")


# Tools


def test_tool_errors_are_passed_on(tmp_path):
    (tmp_path / "model.mlir").write_text("module {")
    with pytest.raises(trec.CompileError, match="model.mlir"):
        trec.compile(tmp_path / "model.mlir", tmp_path / "m.so")


def test_a_tool_that_dies_is_named(tmp_path, monkeypatch):
    fake = tmp_path / "trec-compile"
    fake.write_text("#!/bin/sh\nkill -SEGV $$\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(trec.compiler, "find_tool", lambda name: str(fake))
    with pytest.raises(trec.CompileError, match="trec-compile ended with status -11 and no message"):
        trec.compile(tmp_path)


def test_missing_tool(monkeypatch):
    monkeypatch.setattr(trec.compiler.os, "access", lambda *_: False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        trec.ToolError, match="cannot find 'trec-import': it is neither at '.*build/bin/trec-import' nor on"
    ):
        trec.compiler.find_tool("trec-import")


def test_tool_on_path(tmp_path, monkeypatch):
    fake = tmp_path / "trec-unknown"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trec.compiler.find_tool("trec-unknown") == str(fake)


def test_compile_options(directory):
    with pytest.raises(trec.CompileError, match="sm_1"):
        trec.compile(directory, gpu="sm_1")
    with pytest.raises(trec.InputError, match="weights: expected 'external' or 'embed', got 'inside'"):
        trec.compile(directory, weights="inside")
    with pytest.raises(trec.InputError, match="dtype applies to modules, '.*' has been exported already"):
        trec.compile(directory, dtype="int8")
    with pytest.raises(trec.CompileError, match="(?i)cpu"):
        trec.compile(directory, cpu="no-such-cpu")


# Loading


def test_load_of_other_files(tmp_path):
    with pytest.raises(trec.LoadError, match="cannot open '.*none.so': No such file"):
        trec.load(tmp_path / "none.so")
    (tmp_path / "text.so").write_text("text")
    with pytest.raises(trec.LoadError, match="text.so' is not a compiled model: .*"):
        trec.load(tmp_path / "text.so")
    subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", tmp_path / "empty.so"], check=True)
    with pytest.raises(trec.LoadError, match="empty.so' is not a compiled model: .*trec_model_query"):
        trec.load(tmp_path / "empty.so")


def test_load_for_another_machine(directory, tmp_path):
    so = trec.compile(directory, tmp_path / "foreign.so", target="aarch64-linux-gnu", cpu="armv8-a")
    with pytest.raises(trec.LoadError, match="foreign.so' is for aarch64, this machine is x86_64$"):
        trec.load(so)
    with pytest.raises(trec.CompileError, match="CPU 'native' is one of x86_64-linux-gnu"):
        trec.compile(directory, target="aarch64-linux-gnu")


def test_load_of_another_version(directory, monkeypatch):
    monkeypatch.setattr(library.abi, "ABI_VERSION", 99)
    with pytest.raises(trec.LoadError, match="99"):
        library.Library(str(directory / "model.so"))


def test_missing_weights(directory, tmp_path):
    (tmp_path / "model.so").write_bytes((directory / "model.so").read_bytes())
    text = r"'.*model.so' has no weights in it and '.*model.safetensors' does not exist, pass weights="
    with pytest.raises(trec.WeightsError, match=text):
        trec.load(tmp_path / "model.so")
    with pytest.raises(
        trec.WeightsError, match="weights of '.*model.so' are not at '.*model.safetensors', pass weights="
    ):
        trec.torch.load(tmp_path / "model.so")
    with pytest.raises(trec.WeightsError, match="none.safetensors"):
        trec.load(directory / "model.so", weights=tmp_path / "none.safetensors")


def test_wrong_weights(directory, tmp_path):
    rows = {name: np.array(table) for name, table in read_weights(directory / "model.safetensors").items()}
    so = directory / "model.so"
    with pytest.raises(trec.WeightsError, match="weights of table 'ads' are missing, got \\['pages', 'users'\\]"):
        trec.load(so, weights={name: rows[name] for name in ("users", "pages")})
    with pytest.raises(
        trec.WeightsError, match=r"table 'ads': expected contiguous uint8\[rows, 32\], got uint8\[40, 16\]"
    ):
        trec.load(so, weights={**rows, "ads": rows["ads"][:, :16]})
    with pytest.raises(trec.WeightsError, match="ads"):
        trec.load(so, weights={**rows, "ads": rows["ads"][:7]})
    (tmp_path / "w.safetensors").write_bytes(b"\0" * 5)
    with pytest.raises(trec.WeightsError, match="w.safetensors"):
        trec.load(so, weights=tmp_path / "w.safetensors")
    trec.export(make_quantized(configs(ads={"embedding_dim": 64})), tmp_path / "other")
    with pytest.raises(trec.WeightsError, match=r"table 'ads': expected rows of 32 bytes, got \[40, 80\]"):
        trec.torch.load(so, tmp_path / "other" / "model.safetensors")
    tensors = {name: torch.from_numpy(table) for name, table in rows.items()}
    gaps = torch.zeros(40, 48, dtype=torch.uint8)[:, :32]
    with pytest.raises(trec.WeightsError, match=r"rows of bytes without gaps, got uint8\[40, 32\] with strides \[48, 1\]"):
        trec.torch.load(so, {**tensors, "ads": gaps})
    with pytest.raises(trec.WeightsError, match=r"'ads': expected rows of bytes without gaps, got int8"):
        trec.torch.load(so, {**tensors, "ads": tensors["ads"].view(torch.int8)})


def test_load_options(directory):
    so = directory / "model.so"
    with pytest.raises(trec.InputError, match="device: expected 'cpu', 'cuda' or 'cuda:N', got 'gpu'"):
        trec.load(so, device="gpu")
    with pytest.raises(trec.UnsupportedGPUError, match='model "model" has no code for GPUs: compile it with --gpu'):
        trec.load(so, device="cuda:1")
    with pytest.raises(trec.InputError, match="stream: the model is on the CPU"):
        trec.load(so)(np.zeros(0, np.int64), np.zeros(3, np.int64), stream=5)
    with pytest.raises(trec.InputError, match="unknown bounds_check 'some', expected one of 'fatal', 'warning'"):
        trec.load(so, bounds_check="some")
    with pytest.raises(trec.InputError, match="expected at least 1 thread, got 0"):
        trec.load(so, threads=0)


# Batches, numpy


def batch(values=(1, 2, 3, 4), lengths=(1, 1, 1, 1)):
    return {"values": np.array(values, np.int64), "lengths": np.array(lengths, np.int32)}


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"lengths": None}, "expected exactly one of lengths and offsets, got none"),
        ({"offsets": np.zeros(5, np.int32)}, "expected exactly one of lengths and offsets, got both"),
        ({"values": np.zeros(4)}, "values: expected int32 or int64, got float64"),
        ({"values": np.zeros(4, np.uint8)}, "values: expected int32 or int64, got uint8"),
        ({"values": np.zeros((2, 2), np.int64)}, r"values: expected one dimension, got shape \[2, 2\]"),
        ({"lengths": np.ones(4, np.int16)}, "lengths: expected int32 or int64, got int16"),
        ({"lengths": np.ones(5, np.int32)}, r"lengths: expected 4 \* B elements, got 5"),
        ({"lengths": None, "offsets": np.zeros(4, np.int64)}, r"offsets: expected 4 \* B \+ 1 elements, got 4"),
        ({"lengths": None, "offsets": np.zeros(0, np.int64)}, r"offsets: expected 4 \* B \+ 1 elements, got 0"),
        ({"lengths": np.array([2, -1, 2, 1], np.int32)}, "-1"),
        ({"lengths": None, "offsets": np.array([0, 2, 1, 3, 4])}, "1"),
        ({"lengths": np.array([1, 1, 1, 2], np.int32)}, "5"),
        ({"lengths": np.array([1, 1, 1, 0], np.int32)}, "4"),
        ({"weights": np.zeros(4, np.float32)}, "weights"),
        ({"weights": np.zeros(4)}, "weights: expected float32, got float64"),
        ({"keys": ["ad", "user", "page", "x"]}, "feature 'last_ad' is missing, the batch has keys"),
    ],
)
def test_batches(model, changes, text):
    with pytest.raises(trec.InputError, match=text):
        model(**{**batch(), **changes})


def test_fields_of_a_bad_length(model):
    with pytest.raises(trec.InputError) as caught:
        model(**batch(lengths=[1, 1, -5, 7]))
    assert caught.value.value == -5


def test_output_buffer(model):
    with pytest.raises(
        trec.InputError, match=r"output: expected a contiguous float32\[1, 52\] array, got float64\[1, 52\]"
    ):
        model.run_into(np.zeros((1, 52)), **batch())


def test_fatal_bounds_check_names_everything(directory):
    model = trec.load(directory / "model.so", bounds_check="fatal")
    values, lengths = np.array([1, 2, 77, 3, 4, 5]), np.array([0, 3, 1, 0, 1, 0, 0, 1])
    with pytest.raises(trec.OutOfBoundsError) as caught:
        model(values, lengths)
    error = caught.value
    assert (error.feature, error.table, error.sample, error.position, error.value, error.limit) == (
        "ad",
        "ads",
        1,
        2,
        77,
        40,
    )
    assert isinstance(error, (ValueError, IndexError, trec.TrecError))
    for part in ("ad", "ads", "77", "40"):
        assert part in str(error)


@pytest.mark.parametrize("policy", ["warning", "ignore"])
def test_lenient_bounds_checks(directory, policy, caplog):
    model = trec.load(directory / "model.so", bounds_check=policy)
    bad, good = model(**batch(values=[99, 1, 1, 1])), model(**batch(values=[0, 1, 1, 1]))
    assert np.array_equal(bad["ad"], good["ad"])
    assert model.info["counters"]["bad_ids"] == 1
    assert len(caplog.records) == (policy == "warning")


# Batches, torch


@pytest.mark.parametrize(
    "values, text",
    [
        (torch.zeros(4), "values: expected int32 or int64, got torch.float32"),
        (torch.zeros(2, 2, dtype=torch.int64), r"values: expected one dimension, got shape \[2, 2\]"),
        (torch.zeros(4, dtype=torch.int64, device="meta"), "values: expected a tensor on the cpu, got device 'meta'"),
    ],
)
def test_kjt_values(compiled, values, text):
    with pytest.raises(trec.InputError, match=text):
        compiled(KeyedJaggedTensor(KEYS, values, lengths=torch.ones(4, dtype=torch.int32)))


def test_kjt_missing_feature(compiled):
    with pytest.raises(
        ValueError, match=r"feature 'user' is missing, the batch has keys \['ad', 'last_ad', 'page'\]"
    ) as caught:
        compiled(make_kjt(KEYS[:3]))
    assert caught.value.feature == "user"


def test_kjt_bounds(compiled):
    ids = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(trec.InputError, match="expected lengths or offsets, got none"):
        compiled(KeyedJaggedTensor(KEYS, ids, stride=1))
    with pytest.raises(
        trec.InputError, match="lengths: expected 8 elements of int32 or int64 on the cpu, got 4 of torch.int64"
    ):
        compiled(KeyedJaggedTensor(KEYS, ids, lengths=torch.ones(4, dtype=torch.int64), stride=2))
    with pytest.raises(trec.InputError, match="lengths: expected 4 elements .* got 4 of torch.int16 on 'cpu'"):
        compiled(KeyedJaggedTensor(KEYS, ids, lengths=torch.ones(4, dtype=torch.int16)))
    with pytest.raises(trec.InputError, match="4"):
        compiled(KeyedJaggedTensor(KEYS, torch.zeros(9, dtype=torch.int64), lengths=torch.ones(4, dtype=torch.int64)))


def test_kjt_strides(compiled):
    lengths = torch.ones(6, dtype=torch.int64)
    ids = torch.zeros(6, dtype=torch.int64)
    kjt = KeyedJaggedTensor(KEYS, ids, lengths=lengths, stride_per_key_per_rank=[[1], [3], [1], [1]])
    with pytest.raises(
        trec.InputError, match=r"expected inverse_indices, because stride_per_key \[1, 3, 1, 1\] differs between keys"
    ):
        compiled(kjt)


STRIDES = [[1], [3], [1], [1]]


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"stride_per_key_per_rank": STRIDES[:3]}, "stride_per_key: expected 4 numbers, got 3"),
        (
            {"stride_per_key_per_rank": [[2]] * 4},
            r"lengths: expected 8 elements .* \[2, 2, 2, 2\], got 6 of torch.int64",
        ),
        ({"lengths": None}, "expected lengths or offsets, got none"),
        ({"inverse_indices": (KEYS[:3], torch.zeros(3, 2, dtype=torch.int64))}, "feature 'user' is missing"),
        ({"inverse_indices": (KEYS, torch.zeros(3, 2, dtype=torch.int64))}, "inverse_indices: expected 4 rows"),
        (
            {"inverse_indices": (KEYS, torch.full((4, 2), 1))},
            "inverse_indices: expected 0 to 0 for feature 'ad', got 1 to 1",
        ),
        ({"inverse_indices": (KEYS, torch.full((4, 2), -1))}, "got -1 to -1"),
    ],
)
def test_kjt_of_different_batch_sizes(compiled, changes, text):
    arguments = {"lengths": torch.ones(6, dtype=torch.int64), "stride_per_key_per_rank": STRIDES, **changes}
    with pytest.raises(trec.InputError, match=text):
        compiled(KeyedJaggedTensor(KEYS, torch.zeros(6, dtype=torch.int64), **arguments))


def test_kjt_weights(weighted):
    with pytest.raises(trec.InputError, match="the collection is weighted, but the batch has no weights"):
        weighted(make_kjt())
    kjt = make_kjt(weighted=True)
    double = KeyedJaggedTensor(KEYS, kjt.values(), kjt.weights().double(), lengths=kjt.lengths())
    with pytest.raises(
        trec.InputError, match="weights: expected one dimension of float32 on the cpu, got torch.float64"
    ):
        weighted(double)
    with pytest.raises(trec.InputError, match="weights"):
        weighted(KeyedJaggedTensor(KEYS, kjt.values(), kjt.weights()[:-1], lengths=kjt.lengths()))


def test_kjt_fatal_bounds_check():
    compiled = trec.torch.compile(make_quantized(), bounds_check="fatal")
    with pytest.raises(trec.OutOfBoundsError, match="99"):
        compiled(KeyedJaggedTensor(KEYS, torch.tensor([1, 99]), lengths=torch.tensor([1, 0, 0, 1])))


def test_a_model_of_another_machine_says_so(tmp_path):
    """A level that this machine lacks, if there is one."""
    flags = open("/proc/cpuinfo", encoding="utf-8").read()
    lacking = next(
        (cpu for cpu, flag in (("x86-64-v4", "avx512f"), ("diamondrapids", "amx_tile")) if flag not in flags), None
    )
    if lacking is None:
        pytest.skip("the machine has every level")
    so = trec.compile(make_quantized(), tmp_path / "m.so", cpu=lacking)
    with pytest.raises(trec.UnsupportedCPUError, match="(?i)(amx|avx|lacks)"):
        trec.load(so)


def test_environment_is_not_read():
    """The package finds its tools by its place and PATH; no variable of its own changes what it does."""
    package = os.path.dirname(trec.__file__)
    for folder, _, files in os.walk(package):
        for file in files:
            if file.endswith(".py"):
                assert "environ" not in open(os.path.join(folder, file), encoding="utf-8").read(), file
