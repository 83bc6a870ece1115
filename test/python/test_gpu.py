"""What can be said of GPUs where there is none: devices, arrays, and the parts that device tests are made of."""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from trec.testing.cuda import contract, fbgemm
from trec.testing.cuda.models import KINDS, Case, make_batches, make_case, make_tensors
from trec.testing.cuda.modules import check_modules
from trec.testing.cuda.prepare import prepare, prepared
from trec.testing.cuda.run import Tally, arguments, load
from trec.testing.reference import different_elements

import trec
import trec.library
import trec.torch
from trec import cuda
from trec.exporter import write_model
from trec.spec import ModelSpec, TableSpec
from trec.torch import place
from trec.weights_file import TableRows, write_weights


def test_device_names():
    assert [cuda.device_index(name) for name in ("cpu", "cuda", "cuda:0", "cuda:3")] == [None, 0, 0, 3]
    for name in ("gpu", "cuda:", "cuda:-1", "cuda:x", ""):
        with pytest.raises(trec.InputError, match="device: expected 'cpu', 'cuda' or 'cuda:N'"):
            cuda.device_index(name)


def test_current_stream(monkeypatch):
    """By what torch's compiler calls, and without it by torch's public interface."""
    assert place.find_current_stream(types.SimpleNamespace(_cuda_getCurrentRawStream=abs)) is abs
    monkeypatch.setattr(torch.cuda, "current_stream", lambda gpu: types.SimpleNamespace(cuda_stream=0x700 + gpu))
    assert place.find_current_stream(types.SimpleNamespace())(3) == 0x703


def test_no_driver(monkeypatch):
    def fail(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda.ctypes, "CDLL", fail)
    with pytest.raises(trec.UnsupportedGPUError, match="no GPU driver: libcuda.so.1: cannot open"):
        cuda.native_chip()


@pytest.mark.parametrize(
    "given, on_host",
    [
        ({}, set()),
        ({"tables": {"b": "host"}}, {"b"}),
        ({"device_bytes": 60}, set()),
        ({"device_bytes": 59}, {"d"}),  # of equally large ones the last
        ({"device_bytes": 39}, {"b", "d"}),
        ({"device_bytes": 59, "tables": {"d": "device"}}, {"b"}),
        ({"device_bytes": 59, "tables": {"a": "host"}}, {"a"}),
        ({"device_bytes": 1}, {"a", "b", "c", "d"}),
    ],
)
def test_placement(given, on_host):
    assert trec.Placement(**given).on_host({"a": 10, "b": 20, "c": 10, "d": 20}) == on_host


def test_what_a_torch_module_says_of_the_cache():
    """Its tables lie where they are to be already."""
    given = trec.Placement({"a": "host"}, device_bytes=60, l2_fetch_bytes=32, l2_persist_bytes=5)
    assert place.Place(0, given).options("auto").placement == trec.Placement(l2_fetch_bytes=32, l2_persist_bytes=5)


def test_placements_that_make_no_sense():
    for given, text in (
        ({"tables": {"a": "gpu"}}, "placement: expected 'device' or 'host' for table 'a', got 'gpu'"),
        ({"device_bytes": 0}, "placement: expected device_bytes of at least 1, got 0"),
        ({"l2_fetch_bytes": 16}, "placement: expected l2_fetch_bytes of 32, 64 or 128, got 16"),
        ({"l2_persist_bytes": 0}, "placement: expected l2_persist_bytes of at least 1, got 0"),
    ):
        with pytest.raises(trec.InputError, match=text):
            trec.Placement(**given)
    with pytest.raises(trec.InputError, match="device_bytes is 9, expected at least 10 for the tables on the device"):
        trec.Placement({"a": "device"}, device_bytes=9).on_host({"a": 10, "b": 20})
    with pytest.raises(trec.InputError, match=r"there is no table 'x', the model has \['a'\]"):
        trec.Placement({"x": "host"}).on_host({"a": 10})
    with pytest.raises(trec.InputError, match="placement: expected a model on a GPU"):
        trec.load("any.so", placement=trec.Placement(device_bytes=5))
    with pytest.raises(trec.InputError, match="placement: expected a model on a GPU"):
        trec.torch.compile(None, placement=trec.Placement({"a": "host"}))


FAKE_DRIVER = Path(__file__).resolve().parents[2] / "build" / "test" / "Runtime" / "libTrecFakeCuda.so"
ON_FAKE_DRIVER = """
import sys
import trec

given = {"placement": trec.Placement(**eval(sys.argv[2]))} if sys.argv[2] else {}
try:
    model = trec.load(sys.argv[1], device="cuda", **given)
    shown = ("place", "bytes", "persistent_bytes") if "persist" in sys.argv[2] else ("place", "bytes")
    print({table["name"]: tuple(table[field] for field in shown) for table in model.info["tables"]})
except trec.TrecError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def for_gpus(tmp_path_factory):
    if not FAKE_DRIVER.exists():
        pytest.skip("the stand-in for the driver of GPUs is not built")
    folder = tmp_path_factory.mktemp("gpu")
    tables = [TableSpec("ads", 10, 4, "fp32", ["a"]), TableSpec("pages", 20, 3, "fp32", ["b"])]
    write_model(ModelSpec(tables), None, folder)
    rows = [TableRows(table.name, table.num_embeddings, table.row_bytes, lambda table=table: [bytes(
        table.num_embeddings * table.row_bytes)]) for table in tables]  # fmt: skip
    write_weights(folder / "model.safetensors", rows)
    (folder / "libcuda.so.1").symlink_to(FAKE_DRIVER)
    return trec.compile(folder, folder / "model.so", gpu="sm_90")


@pytest.mark.parametrize(
    "given, told",
    [
        ("", "{'ads': ('device', 160), 'pages': ('device', 320)}"),
        ("{'tables': {'ads': 'host'}}", "{'ads': ('host', 160), 'pages': ('device', 320)}"),
        ("{'device_bytes': 1000, 'l2_fetch_bytes': 32}", "{'ads': ('device', 160), 'pages': ('host', 320)}"),
        ("{'l2_persist_bytes': 300}", "{'ads': ('device', 160, 160), 'pages': ('device', 320, 44)}"),
        ("{'l2_persist_bytes': 10**9}", "InputError: l2_persist_bytes is 1000000000, expected at most 33554432, which GPU 0"),
        ("{'device_bytes': 100}", "InputError: device_bytes is 100, expected at least "),
        ("{'tables': {'users': 'host'}}", "InputError: placement: there is no table 'users', the model has ['ads', 'pages']"),
    ],
)
def test_placement_of_loaded_models(for_gpus, given, told):
    """On the stand-in for the driver, in a process of its own."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(for_gpus.parent)}
    command = [sys.executable, "-c", ON_FAKE_DRIVER, str(for_gpus), given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip().startswith(told)


def test_placement_of_an_older_model(for_gpus, monkeypatch):
    library = trec.library.Library(str(for_gpus))
    older = type(library.api).from_buffer_copy(library.api)
    older.size = trec.abi.Api.table_info.offset
    library.api = older
    options = trec.library.Options(gpu=0, placement=trec.Placement(device_bytes=5))
    with pytest.raises(trec.LoadError, match="compiled by a trec that places all tables on the device"):
        trec.library.Handle(library, trec.library.Weights(), options)


OLDER_ON_FAKE_DRIVER = """
import sys
import trec

library = trec.library.Library(sys.argv[1])
api = type(library.api).from_buffer_copy(library.api)
# Fills no more of the struct than it knows.
api.table_info = type(api.table_info)(lambda *_: 0)
library.api = api
for given in ({"device_bytes": 5000}, {"l2_persist_bytes": 5}):
    options = trec.library.Options(gpu=0, placement=trec.Placement(**given))
    try:
        trec.library.Handle(library, trec.library.Weights(path=sys.argv[1][:-2] + "safetensors"), options)
        print("made")
    except trec.LoadError as error:
        print(error)
"""


def test_what_an_older_model_does_not_keep(for_gpus):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(for_gpus.parent)}
    command = [sys.executable, "-c", OLDER_ON_FAKE_DRIVER, str(for_gpus)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "made\nplacement: the model was compiled by a trec that asks the cache to keep nothing\n"


class OnDevice:
    __cuda_array_interface__ = {"shape": (2,), "typestr": "<i8", "data": (64, False), "version": 3}


def test_arrays_on_a_device():
    assert cuda.is_on_device(OnDevice())
    assert not cuda.is_on_device(np.zeros(2)) and not cuda.is_on_device([1, 2])


def with_float_rows(seed):
    """The case of a seed, with rows and outputs for which GPUs have the numbers of CPUs."""
    case = make_case(seed)
    case.numerics = "fbgemm"
    case.spec.output_dtype = "float32"
    for spec in case.collections():
        spec.output_dtype = "float32"
        for table in spec.tables:
            table.dtype = "fp16" if table.dtype.startswith("int") else table.dtype
    return case


@pytest.mark.parametrize("seed", range(2 * len(KINDS)))
def test_the_contract_is_the_one_of_cpus_for_float_rows(tmp_path, seed):
    """So what the device tests expect of maps, weights, orders of keys and regroups is held to compiled code."""
    from trec.testing.cuda.prepare import _compile

    case = with_float_rows(seed)
    _compile(case, tmp_path, ["--cpu=native"])
    tensors = make_tensors(case)
    model = load(tmp_path, case, tensors, "cpu")
    for batches in make_batches(case, 3):
        given = [arguments(batch, lambda array: array) for batch in batches]
        if "regroup" in case.name:
            got = model(*given)
        elif "sequence" in case.name:
            del given[0]["weights"]
            got = {key: rows for key, (rows, _) in model(**given[0]).items()}
        else:
            got = model(**given[0])
        for key, want in contract.expected(case, tensors, batches).items():
            assert different_elements(np.ascontiguousarray(got[key]), want) == 0


def test_the_check_of_modules_on_a_cpu(tmp_path):
    from trec.testing.cuda.prepare import _compile

    cases = [with_float_rows(seed) for seed in range(len(KINDS))]
    for case in cases:
        _compile(case, tmp_path, ["--cpu=native"])
    tally = Tally()
    check_modules(tmp_path, cases, tally, device="cpu")
    assert tally.by_peer["checks"] == 8 and tally.by_peer["contract"] > 1000 and not tally.wrong
    off_by_one = Tally()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trec.testing.cuda.modules.expected", lambda case, tensors, batches: {
            key: value + 1 for key, value in contract.expected(case, tensors, batches).items()
        })  # fmt: skip
        check_modules(tmp_path, cases, off_by_one, device="cpu")
    assert off_by_one.wrong


def test_modules_are_checked_with_the_numbers_of_the_contract():
    from trec.testing.cuda.modules import _torch_cases

    names = [case.name for case in _torch_cases([make_case(seed) for seed in range(2 * len(KINDS), 6 * len(KINDS))])]
    assert [name.split("-")[1] for name in names] == ["bags", "weighted", "sequence", "positions"]
    assert all(name.endswith("-fbgemm") for name in names)


def test_the_check_of_the_extension(tmp_path, monkeypatch, capsys):
    from trec.testing.cuda.prepare import _compile

    cases = [next(case for case in map(with_float_rows, range(len(KINDS))) if case.name.split("-")[1] == "bags")]
    _compile(cases[0], tmp_path, ["--cpu=native"])
    with monkeypatch.context() as patch:
        patch.setattr("trec.torch.extension._extension", None)
        patch.setattr("trec.torch.compiled.CALL_PATH", "python: no file")
        check_modules(tmp_path, cases, Tally(), device="cpu")
        assert f"NOT TESTED: calls of {cases[0].name} by the extension: python: no file" in capsys.readouterr().out

    class Idle:
        calls = 0

        def __call__(self, features):
            return None

    monkeypatch.setattr("trec.torch.compiled.make_caller", lambda _: Idle())
    tally = Tally()
    check_modules(tmp_path, cases, tally, device="cpu")
    assert tally.wrong == [f"{cases[0].name}: the extension has made no call"]


def test_codes_are_rounded_to_half_once():
    case = next(case for case in map(make_case, range(60)) if case.spec.tables[0].dtype == "int8")
    table = case.spec.tables[0]
    row = np.zeros((1, table.row_bytes), np.uint8)
    row[0, :4] = np.array([0.1, 1000], np.float16).view(np.uint8)
    row[0, 4:] = 3
    exact = float(np.float16(0.1)) * 3 + 1000
    assert contract._dequantized(table, row)[0, 0] == np.float32(np.float16(exact))


def test_a_quarter_of_the_cases_is_compared_with_fbgemm():
    taken = [case.name.split("-")[1] for case in map(make_case, range(36)) if fbgemm.takes(case)]
    assert len(taken) >= 9 and {kind: taken.count(kind) >= 3 for kind in taken} == dict.fromkeys(
        ("bags", "weighted", "sequence"), True
    )  # fmt: skip


@pytest.mark.parametrize(
    "dtypes, output, taken",
    [
        (["int8", "int2"], "float32", False), (["int8", "int2"], "float16", True), (["int2"], "bfloat16", True),
        (["int8", "int4"], "float32", True),
    ],
)  # fmt: skip
def test_fbgemm_is_no_peer_where_it_stores_other_columns(dtypes, output, taken):
    tables = [TableSpec(dtype, 4, 16, dtype, [f"f_{dtype}"]) for dtype in dtypes]
    assert fbgemm.takes(Case("case", 0, ModelSpec(tables, output_dtype=output))) == taken


def test_prepared_cases_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("trec.testing.cuda.prepare._compile", lambda *_: None)
    prepare(tmp_path, range(3, 6), [])
    assert [case.name for case in prepared(tmp_path)] == [make_case(seed).name for seed in (3, 4, 5)]
