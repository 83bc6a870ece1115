"""Case files of the benchmarks: what they mean, what they multiply out to, and what is wrong with bad ones."""

import copy
import importlib
import json
import os
import sys
import types

import fbgemm_gpu
import pytest
from benchmarks.case import Distribution, FixedLength, NormalLength, Table, UniformLength
from benchmarks.catalogue import FAMILIES, distinct, family_names, find_cases
from benchmarks.fields import CaseError
from benchmarks.schema import read_cases
from benchmarks.tbe_spec import SpecTypes, read_tbe_spec

SMALL = {
    "trec_bench": 1,
    "family": "mine",
    "model": {"tables": [{"count": 2, "rows": 100, "dim": 8, "dtype": "int8"}]},
    "load": {"batch": 4, "length": 3},
}


def changed(path, value, base=SMALL):
    """A copy with one field set, or removed where the value is None."""
    document = copy.deepcopy(base)
    owner = document
    *steps, last = path.split(".")
    for step in steps:
        owner = owner[int(step)] if step.isdecimal() else owner.setdefault(step, {})
    last = int(last) if last.isdecimal() else last
    if value is None:
        del owner[last]
    else:
        owner[last] = value
    return document


def only(document):
    (case,) = read_cases(document, "f.json")
    return case


def test_defaults():
    case = only(SMALL)
    assert case.model.tables == (Table(100, 8, "int8"),) * 2 and case.model.row_alignment == 16
    assert (case.model.kind, case.model.pooling, case.model.output) == ("bags", "sum", "float32")
    assert (case.load.batch, case.load.length, case.load.ids) == (4, FixedLength((3,)), "int64")
    assert case.load.distribution == Distribution() and case.run.pages == "small"
    assert case.name == "2x100 int8 d8 b4 l3"


def test_names_tell_what_differs_from_the_usual():
    document = changed("model", {"tables": SMALL["model"]["tables"], "weighted": True, "pooling": "mean"})
    document = changed("load", {"batch": 4, "length": {"min": 0, "max": 9}, "ids": "int32"}, document)
    document = changed("run", {"pages": "huge"}, changed("label", "x", document))
    assert only(document).name == "2x100 int8 d8 b4 l0..9 int32 mean weighted huge pages x"


def test_lists_multiply_out():
    document = changed("model.tables.0.dim", [8, 16])
    document = changed("load.batch", [1, 2, 3], changed("run.pages", ["small", "huge"], document))
    cases = read_cases([document, SMALL], "f.json")
    assert len(cases) == 13 and len({case.name for case in cases[:12]}) == 12


def test_cycles_give_each_table_its_own():
    group = {"count": 5, "rows": {"cycle": [10, 20]}, "dim": {"cycle": [8, 16, 32]}, "dtype": "int4", "features": 2}
    case = only(
        changed("load.length", {"cycle": [1, 2, 3]}, changed("model.tables", [group, *SMALL["model"]["tables"]]))
    )
    assert [(t.rows, t.dim) for t in case.model.tables] == [
        (10, 8), (20, 16), (10, 32), (20, 8), (10, 16), (100, 8), (100, 8)
    ]  # fmt: skip
    assert len(case.model.feature_tables) == 12 and case.load.length == FixedLength((1, 2, 3))
    assert case.name.startswith("7 tables mixed types mixed dims")


@pytest.mark.parametrize(
    "length, expected",
    [
        ({"min": 0, "max": 40}, UniformLength(0, 40)),
        ({"mean": 20, "sigma": 2.5}, NormalLength(20, 2.5)),
    ],
)
def test_lengths(length, expected):
    assert only(changed("load.length", length)).load.length == expected


def test_tables_of_a_sequence_come_by_type():
    tables = [{"rows": 10, "dim": 8, "dtype": dtype} for dtype in ("int8", "fp16", "int8")]
    case = only(changed("model", {"kind": "sequence", "tables": tables}))
    assert [table.dtype for table in case.model.tables] == ["int8", "int8", "fp16"]


@pytest.mark.parametrize(
    "path, value, text",
    [
        ("trec_bench", 2, "f.json: trec_bench: expected version 1, got 2"),
        ("family", None, "f.json: family: missing"),
        ("family", 3, "f.json: family: expected a string, got 3"),
        ("modle", {}, "f.json: modle: unknown, expected one of about, family, label, load, model, run, trec_bench"),
        ("model", 3, "f.json: model: expected an object, got 3"),
        ("model.tables", [], "model.tables: expected a list of objects that is not empty, got []"),
        ("model.tables.0.rows", 0, "model.tables[0].rows: expected an integer of at least 1, got 0"),
        ("model.tables.0.rows", True, "model.tables[0].rows: expected an integer of at least 1, got true"),
        ("model.tables.0.rows", {"cycle": []}, "model.tables[0].rows.cycle: expected a list that is not empty"),
        ("model.tables.0.rows", {"cycle": [3, -1]}, "rows.cycle: expected an integer of at least 1, got -1"),
        ("model.tables.0.rows", {"cycles": [3]}, "model.tables[0].rows.cycle: missing"),
        ("model.tables.0.dim", [], "model.tables.0.dim: expected a value or some, got an empty list"),
        ("model.tables.0.dtype", "int3", 'dtype: expected one of fp32, fp16, int8, int4, int2, got "int3"'),
        ("model.tables.0", {"rows": 5, "dim": 3, "dtype": "int4"}, "a dim whose int4 codes fill whole bytes, got 3"),
        ("model.kind", "bag", 'model.kind: expected one of bags, sequence, processed, got "bag"'),
        ("model.weighted", 1, "model.weighted: expected true or false, got 1"),
        ("model.row_alignment", 0, "model.row_alignment: expected an integer of at least 1, got 0"),
        ("load.batch", 0, "load.batch: expected an integer of at least 1, got 0"),
        ("load.length", 0, "load.length: expected bags that are not all empty, got 0"),
        ("load.length", -1, "load.length: expected an integer of at least 0, got -1"),
        ("load.length", {"min": 3, "max": 2}, "load.length.max: expected at least min, 3, got 2"),
        ("load.length", {"mean": 3}, "load.length.sigma: missing"),
        ("load.ids", "int16", "load.ids: expected one of int32, int64"),
        ("load.distribution", "zipf", 'load.distribution: expected "uniform" or {"zipf": exponent}, got "zipf"'),
        ("load.distribution", {"zipf": "x"}, 'load.distribution.zipf: expected a number of at least 0, got "x"'),
        (
            "load.distribution",
            {"zipf": 1, "heavy_hitters": [0.9, 0.2]},
            "load.distribution.heavy_hitters: expected probabilities that sum to at most 1",
        ),
        ("run.pages", "big", "run.pages: expected one of small, huge"),
        ("run.peers", ["trec", "x"], "run.peers: expected a list of some of fbgemm, trec, trec_certified, trec_map, trec_huge, trec_module, torchrec, aten"),
        ("run.seconds", -1, "run.seconds: expected a number of at least 0, got -1"),
    ],
)
def test_bad_fields(path, value, text):
    with pytest.raises(CaseError) as caught:
        read_cases(changed(path, value), "f.json")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "model, text",
    [
        (
            {"kind": "sequence", "tables": [{"rows": 5, "dim": {"cycle": [8, 16]}, "dtype": "int8", "count": 2}]},
            "one dim",
        ),
        ({"kind": "processed", "weighted": True}, "model.weighted: expected false, because the kind is processed"),
        ({"output": "uint8"}, "model.output: expected uint8 of a sequence of int8 tables alone"),
        ({"kind": "sequence", "output": "uint8", "tables": [{"rows": 5, "dim": 8, "dtype": "int4"}]}, "int8 tables alone"),
        ({"row_alignment": 1, "tables": [{"rows": 5, "dim": 1, "dtype": "fp16"}]}, "rows of at least 4 bytes"),
        ({"row_alignment": 3, "tables": [{"rows": 5, "dim": 4, "dtype": "fp16"}]}, "a multiple of 2 for fp16"),
    ],
)
def test_fields_that_do_not_go_together(model, text):
    with pytest.raises(CaseError, match=text):
        read_cases(changed("model", {**SMALL["model"], **model}), "f.json")


def test_bad_documents():
    with pytest.raises(CaseError, match=r"f.json\[1\]: expected an object, got 3"):
        read_cases([SMALL, 3], "f.json")
    with pytest.raises(CaseError, match=r"f.json\[1\]: family: missing"):
        read_cases([SMALL, changed("family", None)], "f.json")


def test_bad_files(tmp_path):
    with pytest.raises(CaseError, match="No such file"):
        find_cases(tmp_path / "none.json", SpecTypes())
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(CaseError, match="bad.json: not JSON"):
        find_cases(tmp_path / "bad.json", SpecTypes())


def test_one_name_for_one_case():
    first, same = read_cases([SMALL, SMALL], "f.json")
    assert distinct([first, same]) == [first]
    other = only(changed("run", {"seconds": 9}))
    with pytest.raises(CaseError, match="two cases are called 'mine: 2x100 int8 d8 b4 l3', give one of them a label"):
        distinct([first, other])


@pytest.mark.parametrize("name", [*family_names(), "quick"])
def test_families(name):
    """Every family can be read, is called as its file, and has distinct cases; --quick draws on families."""
    cases = find_cases(FAMILIES / f"{name}.json", SpecTypes())
    assert distinct(cases) == cases
    assert {case.family for case in cases} <= ({name} if name != "quick" else set(family_names()))


TBE = {
    "T": 3, "E": 1000, "D": 16, "mixed_dim": False, "weighted": True, "use_cpu": True, "Es": None, "Ds": None,
    "max_indices": None, "embedding_specs": None, "feature_table_map": None, "indices_params_list": None,
    "batch_params": {"B": 8, "sigma_B": None, "vbe_distribution": "normal", "vbe_num_ranks": None, "Bs": None},
    "indices_params": {
        "heavy_hitters": [0.1, 0.05], "zipf_q": 0.1, "zipf_s": 1.2, "index_dtype": "torch.int32",
        "offset_dtype": "torch.int32",
    },
    "pooling_params": {"L": 20, "sigma_L": None, "length_distribution": "normal", "Ls": None},
}  # fmt: skip


def read_tbe(document, types=SpecTypes()):
    (case,) = read_tbe_spec(document, "tbe.json", types)
    return case


@pytest.fixture
def tbe_data_config(monkeypatch):
    """FBGEMM's own class; its package would import what only its command line needs."""
    package = types.ModuleType("fbgemm_gpu.tbe.bench")
    package.__path__ = [os.path.join(os.path.dirname(fbgemm_gpu.__file__), "tbe", "bench")]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    return importlib.import_module("fbgemm_gpu.tbe.bench.tbe_data_config").TBEDataConfig


def test_tbe_spec_is_read_as_fbgemm_writes_it(tmp_path, tbe_data_config):
    """What FBGEMM's own class reads and writes again means the same."""
    (tmp_path / "tbe.json").write_text(tbe_data_config.from_json(json.dumps(TBE)).json(format=True))
    (case,) = find_cases(tmp_path / "tbe.json", SpecTypes("int8", "fp32", "mean"))
    assert case.model.tables == (Table(1000, 16, "int8"),) * 3
    assert (case.model.weighted, case.model.pooling, case.model.output) == (True, "mean", "float32")
    assert case.load.batch == 8 and case.load.length == FixedLength((20,)) and case.load.ids == "int32"
    found = case.load.distribution
    assert (found.exponent, found.q, len(found.hitters)) == (1.2, 0.1, 2) and abs(sum(found.hitters) - 0.15) < 1e-6


def test_tbe_spec_defaults_are_those_of_fbgemms_cpu_benchmark():
    case = read_tbe(TBE)
    assert {table.dtype for table in case.model.tables} == {"int4"} and case.model.output == "float16"


@pytest.mark.parametrize(
    "path, value, check",
    [
        ("Es", [10, 20, 30], lambda case: [t.rows for t in case.model.tables] == [10, 20, 30]),
        ("Ds", [8, 16, 8], lambda case: [t.dim for t in case.model.tables] == [8, 16, 8]),
        ("mixed_dim", True, lambda case: all(8 <= t.dim <= 24 and t.dim % 8 == 0 for t in case.model.tables)),
        ("embedding_specs", [[5, 8], [6, 8], [7, 8]], lambda case: [t.rows for t in case.model.tables] == [5, 6, 7]),
        ("pooling_params.sigma_L", 4, lambda case: case.load.length == NormalLength(20, 4)),
        ("pooling_params.Ls", [1, 2.0, 3], lambda case: case.load.length == FixedLength((1, 2, 3))),
    ],
)
def test_tbe_spec_fields(path, value, check):
    assert check(read_tbe(changed(path, value, TBE)))


def test_tbe_spec_features_of_tables():
    document = changed("embedding_specs", [[5, 8], [6, 8]], changed("feature_table_map", [0, 1, 1], TBE))
    assert [(t.rows, t.features) for t in read_tbe(document).model.tables] == [(5, 1), (6, 2)]


def test_tbe_spec_uniform_lengths_keep_mean_and_deviation():
    document = changed("pooling_params.sigma_L", 4, changed("pooling_params.length_distribution", "uniform", TBE))
    assert read_tbe(document).load.length == UniformLength(13, 27)


@pytest.mark.parametrize(
    "path, value, text",
    [
        ("T", 0, "tbe.json: T: expected an integer of at least 1, got 0"),
        ("Es", [1, 2], "Es: expected 3 integers of at least 1, got [1, 2]"),
        ("Ls", [1], "tbe.json: Ls: unknown"),
        ("embedding_specs", [[5, 8]], "feature_table_map: expected a table for each of the 3 features"),
        ("embedding_specs", [[5], 3], "embedding_specs: expected a list of [rows, dim]"),
        ("embedding_specs", [[0, 8]], "embedding_specs: expected rows and dims of at least 1"),
        ("feature_table_map", [0, 0, 7], "feature_table_map: expected each of the tables 0 to 2 at least once"),
        ("batch_params.sigma_B", 2, "batch_params.sigma_B: expected null: TorchRec's quantized modules take one"),
        ("batch_params.Bs", [8, 8, 8], "batch_params.Bs: expected null"),
        ("pooling_params.Ls", [1], "pooling_params.Ls: expected 3 numbers of at least 0"),
        ("pooling_params.sigma_L", -1, "pooling_params.sigma_L: expected a number of at least 0"),
        ("indices_params.index_dtype", "int32", "index_dtype: expected one of torch.int32, torch.int64"),
        ("indices_params.heavy_hitters", [2], "heavy_hitters: expected probabilities that sum to at most 1"),
        ("indices_params_list", [{}], "indices_params_list: expected ids of one distribution"),
    ],
)
def test_bad_tbe_specs(path, value, text):
    with pytest.raises(CaseError) as caught:
        read_tbe(changed(path, value, TBE))
    assert text in str(caught.value)


def test_shapes(tmp_path):
    (tmp_path / "shapes.json").write_text("[[123, 8], [456, 16]]")
    (case,) = find_cases(tmp_path / "shapes.json", SpecTypes("fp16", "fp32"))
    assert case.model.tables == (Table(123, 8, "fp16"), Table(456, 16, "fp16"))
    assert (case.load.batch, case.load.length) == (32, FixedLength((13,)))
    (tmp_path / "shapes.json").write_text("[[123, 8], [456]]")
    with pytest.raises(CaseError, match=r"shapes.json: \[1\]: expected \[rows, dim\]"):
        find_cases(tmp_path / "shapes.json", SpecTypes())
