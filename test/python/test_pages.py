"""How trec.load holds a weights file."""

import sys

import numpy as np
import pytest
from conftest import make_kjt, make_quantized

import trec
from trec import abi, library
from trec.errors import InputError, LoadError
from trec.weights_file import TableRows, array_chunks, write_weights


@pytest.fixture(scope="module")
def so(tmp_path_factory):
    directory = tmp_path_factory.mktemp("model")
    trec.export(make_quantized(), directory)
    return trec.compile(directory, directory / "model.so")


def run(model):
    kjt = make_kjt(model.features, batch=7)
    return model(kjt.values().numpy(), kjt.lengths().numpy())


@pytest.mark.parametrize("pages", abi.PAGES)
def test_same_bits_and_what_came_of_it(so, pages):
    expected, model = run(trec.load(so)), trec.load(so, pages=pages)
    for key, rows in run(model).items():
        np.testing.assert_array_equal(rows.view(np.uint32), expected[key].view(np.uint32))
    weights = model.info["weights"]
    assert weights["pages"] == ("huge" if pages == "huge" else "map")
    assert weights["reason"] == ("auto: a small file" if pages == "auto" else "asked for")
    assert weights["bytes"] == so.with_suffix(".safetensors").stat().st_size
    assert weights["huge_bytes"] in ((0, weights["bytes"]) if pages == "huge" else (0,))


def test_progress(so):
    calls = []
    trec.load(so, pages="huge", progress=lambda done, total: calls.append((done, total)))
    size = so.with_suffix(".safetensors").stat().st_size
    assert calls == [(0, size), (size, size)]
    calls.clear()
    trec.load(so, progress=lambda done, total: calls.append((done, total)))
    assert not calls  # a mapped file is not read


def test_progress_on_a_terminal(so, capsys, monkeypatch):
    trec.load(so, pages="huge")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    trec.load(so, pages="huge")
    assert capsys.readouterr().err == "\r\x1b[Kloading weights: 0.0 of 0.0 GB\r\x1b[K"


def test_unknown_pages(so):
    with pytest.raises(InputError, match="unknown pages 'big', expected one of 'map', 'huge', 'auto'"):
        trec.load(so, pages="big")


def test_other_weights_stay_where_they_are(so, tmp_path):
    model = trec.load(so)
    rows = {table["name"]: np.zeros((table["rows"], table["row_bytes"]), np.uint8) for table in model.tables}
    with pytest.raises(InputError, match="pages is TREC_PAGES_HUGE without weights_path"):
        trec.load(so, rows, pages="huge")
    assert trec.load(so, rows, pages="auto").info["weights"]["bytes"] == 0
    trec.export(make_quantized(), tmp_path)
    embedded = trec.compile(tmp_path, tmp_path / "embedded.so", weights="embed")
    with pytest.raises(InputError, match="pages is TREC_PAGES_HUGE without weights_path"):
        trec.load(embedded, pages="huge")


def test_model_of_an_older_trec(so, monkeypatch):
    monkeypatch.setattr(library.Handle, "_has_weights_info", False)
    assert trec.load(so).info["weights"] == {}
    with pytest.raises(LoadError, match="pages='huge': the model was compiled by a trec that only maps weights"):
        trec.load(so, pages="huge")


def test_large_file_is_on_huge_pages(tmp_path):
    """Above the threshold of auto; so many bytes that most of them are there, where the system has huge pages."""
    with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="utf-8") as enabled:
        if "[never]" in enabled.read():
            pytest.skip("the system has no huge pages")
    block = np.zeros((1 << 20, 68), np.uint8)
    (tmp_path / "model.mlir").write_text(_LARGE)
    so = trec.compile(tmp_path / "model.mlir", tmp_path / "model.so")
    write_weights(tmp_path / "model.safetensors", [TableRows("t", len(block), 68, lambda: array_chunks(block))])
    weights = trec.load(so, pages="auto").info["weights"]
    assert weights["pages"] == "huge" and weights["reason"] == "auto: a large file, and enough memory"
    assert weights["huge_bytes"] >= 1 << 21


_LARGE = """
#layout = #trec.row_layout<header = f16, align = 4>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [64], f32>
module @large attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<1048576x64, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "f" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : !trec.jagged<!trec.row<64, int8, #layout>>
    %values = trec.dequantize %rows : !trec.jagged<!trec.row<64, int8, #layout>>
    %pooled = trec.pool sum %values : !trec.jagged<!trec.dequantized<64>>
    %out = trec.keyed_tensor %pooled : (tensor<?x64xf32>) -> !keyed
    return %out : !keyed
  }
}
"""
