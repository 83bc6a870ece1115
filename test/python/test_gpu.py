"""What can be said of GPUs where there is none: devices, arrays, and the parts that device tests are made of."""

import numpy as np
import pytest
from trec.testing.cuda import contract
from trec.testing.cuda.models import KINDS, make_batches, make_case, make_tensors
from trec.testing.cuda.modules import check_modules
from trec.testing.cuda.prepare import prepare, prepared
from trec.testing.cuda.run import Tally, arguments, load
from trec.testing.reference import different_elements

import trec
from trec import cuda


def test_device_names():
    assert [cuda.device_index(name) for name in ("cpu", "cuda", "cuda:0", "cuda:3")] == [None, 0, 0, 3]
    for name in ("gpu", "cuda:", "cuda:-1", "cuda:x", ""):
        with pytest.raises(trec.InputError, match="device: expected 'cpu', 'cuda' or 'cuda:N'"):
            cuda.device_index(name)


def test_no_driver(monkeypatch):
    def fail(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda.ctypes, "CDLL", fail)
    with pytest.raises(trec.UnsupportedGPUError, match="no GPU driver: libcuda.so.1: cannot open"):
        cuda.native_chip()


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
    assert tally.by_peer["checks"] == 4 and tally.by_peer["contract"] > 1000 and not tally.wrong
    off_by_one = Tally()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trec.testing.cuda.modules.expected", lambda case, tensors, batches: {
            key: value + 1 for key, value in contract.expected(case, tensors, batches).items()
        })  # fmt: skip
        check_modules(tmp_path, cases, off_by_one, device="cpu")
    assert off_by_one.wrong


def test_codes_are_rounded_to_half_once():
    case = next(case for case in map(make_case, range(60)) if case.spec.tables[0].dtype == "int8")
    table = case.spec.tables[0]
    row = np.zeros((1, table.row_bytes), np.uint8)
    row[0, :4] = np.array([0.1, 1000], np.float16).view(np.uint8)
    row[0, 4:] = 3
    exact = float(np.float16(0.1)) * 3 + 1000
    assert contract._dequantized(table, row)[0, 0] == np.float32(np.float16(exact))


def test_prepared_cases_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("trec.testing.cuda.prepare._compile", lambda *_: None)
    prepare(tmp_path, range(3, 6), [])
    assert [case.name for case in prepared(tmp_path)] == [make_case(seed).name for seed in (3, 4, 5)]
