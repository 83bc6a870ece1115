"""The demo as a user runs it, and that it fails where one bit differs; the C example's own errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_quantized

import trec

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--max-rows", "50", "--dim", "16", "--seconds", "0.01"]


def run_demo(*arguments, setup=""):
    code = f"import runpy, sys; sys.argv = ['demo.py', *{arguments!r}]; {setup}\n"
    code += f"sys.exit(runpy.run_path({str(ROOT / 'python/demo.py')!r})['main']())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")


def test_demo(tmp_path):
    result = run_demo(*SMALL, "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("every bit equal") == 3 and "t_cat_25" in result.stdout and "256" in result.stdout
    assert {"model.so", "model.h", "model.safetensors", "model.mlir", "example"} <= set(
        os.listdir(tmp_path / "embedding_bag_collection")
    )


def test_demo_fails_where_a_bit_differs():
    spoil = "import trec.runtime as r; old = r.Model.run_into; "
    spoil += "r.Model.run_into = lambda self, *a: (lambda x: (x.view('i4').__ixor__(1), x)[1])(old(self, *a))"
    result = run_demo(*SMALL, setup=spoil)
    assert result.returncode == 1 and result.stdout.count("DIFFERENT") == 1, result.stderr


def test_demo_refuses_the_scalar_path():
    setup = "import trec._fbgemm as f; f.loaded_library = lambda: None"
    result = run_demo(*SMALL, setup=setup)
    assert result.returncode == 1 and "demo: fbgemm.so is not loaded" in result.stderr


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    trec.compile(make_quantized(), folder / "model.so")
    source = ROOT / "test/Integration/CPU/example.c"
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", folder, source, folder / "model.so"]
    subprocess.run([*command, f"-Wl,-rpath,{folder}", "-o", folder / "example"], check=True)
    return folder


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "expected WEIGHTS BATCH EMBEDDINGS"),
        (["model.safetensors", "none", "out"], "cannot open the batch"),
        (["model.safetensors", "short", "out"], "cannot read the batch"),
        (["none", "batch", "out"], "none"),
        (["model.safetensors", "batch", "no/out"], "cannot write the embeddings"),
    ],
)
def test_example_errors(example, arguments, text):
    (example / "short").write_bytes(b"\0" * 20)
    (example / "batch").write_bytes((1).to_bytes(8, "little") + (4).to_bytes(8, "little") + b"\0" * 24)
    result = subprocess.run(["./example", *arguments], cwd=example, capture_output=True, text=True)
    assert result.returncode == (2 if not arguments else 1) and text in result.stderr
