"""Values that a row format cannot hold, and a model of which one collection is refused."""

import pytest
import torch
from conftest import make_float, make_quantized
from torchrec.quant.embedding_modules import EmbeddingBagCollection

import trec
import trec.torch


def test_export_of_nan_as_fp8(tmp_path):
    module = make_float()
    module.embedding_bags.ads.weight.data[7, 2] = float("nan")
    with pytest.raises(trec.QuantizeError, match="row 7 holds nan, expected numbers, fp8 has no nan"):
        trec.export(module, tmp_path, dtype="fp8")


def test_export_of_values_that_do_not_fit(tmp_path):
    module = make_float()
    module.embedding_bags.ads.weight.data[7, 2] = float("nan")
    with pytest.raises(trec.QuantizeError, match="row 7 spans nan to nan"):
        trec.export(module, tmp_path, dtype="int8")


def test_replace_changes_nothing_when_it_fails():
    holder = torch.nn.ModuleList([make_quantized(), make_float()])
    with pytest.raises(trec.ExportError, match="module '1', table 'ads': dtype"):
        trec.torch.replace(holder, dtype={"pages": "fp16"})
    assert type(holder[0]) is EmbeddingBagCollection
