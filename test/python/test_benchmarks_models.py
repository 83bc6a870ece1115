"""Compiled models that the benchmarks keep in a folder, for a machine without the compiler."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.models import Models
from benchmarks.schema import read_cases
from benchmarks.workload import Workload, compile_ahead

from trec.errors import ToolError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = {
    "trec_bench": 1, "family": "test", "load": {"batch": [2, 3], "length": 3},
    "model": {"tables": [{"count": 2, "rows": 50, "dim": 8, "dtype": ["int8", "int4"]}]},
    "run": {"seconds": 0, "peers": ["fbgemm", "trec"]},
}  # fmt: skip


@pytest.fixture
def no_compiler(monkeypatch):
    def refuse(name, *_):
        raise ToolError(f"cannot find '{name}'")

    monkeypatch.setattr("trec.exporter.run_tool", refuse)
    monkeypatch.setattr("trec.compiler.run_tool", refuse)


def test_a_kept_model_needs_no_compiler(tmp_path, request):
    case = read_cases(DOCUMENT, "test")[0]
    compile_ahead(case, Models("native", tmp_path))
    (kept,) = tmp_path.iterdir()
    request.getfixturevalue("no_compiler")
    assert Workload(case, Models("native", tmp_path)).compiled.cpu_level
    assert list(tmp_path.iterdir()) == [kept]


def test_a_missing_model_is_named(tmp_path, no_compiler):
    case = read_cases(DOCUMENT, "test")[0]
    with pytest.raises(ToolError, match=r"\.so' is not there, and cannot find 'trec-import'"):
        compile_ahead(case, Models("native", tmp_path))


def test_models_of_other_cpus_and_tables_are_others(tmp_path):
    for case in read_cases(DOCUMENT, "test"):
        for cpu in ("x86-64-v2", "x86-64-v3"):
            compile_ahead(case, Models(cpu, tmp_path))
    assert len(list(tmp_path.iterdir())) == 4


def test_compile_only(tmp_path):
    (tmp_path / "case.json").write_text(json.dumps(DOCUMENT))
    command = [sys.executable, str(ROOT / "python/benchmarks"), tmp_path / "case.json", "--models", tmp_path / "models"]
    ahead = subprocess.run([*command, "--compile-only"], capture_output=True, text=True)
    assert ahead.returncode == 0 and "[4/4] test: 2x50 int4 d8 b3 l3" in ahead.stderr and not ahead.stdout
    assert len(list((tmp_path / "models").iterdir())) == 2
    timed = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": ""})
    assert timed.returncode == 0 and "2x50 int4 d8 b3 l3" in timed.stdout
