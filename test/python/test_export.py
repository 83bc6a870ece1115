"""trec.export: what it writes, for what, and byte-exact rows."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import configs, make_float, make_quantized
from torchrec.modules.embedding_configs import DataType, PoolingType
from torchrec.quant.embedding_modules import EmbeddingBagCollection

import trec
from trec.quantize import quantize_rows
from trec.weights_file import read_weights


def stored_rows(module):
    return {name: bag.weight.view(torch.uint8).numpy() for name, bag in module.embedding_bags.items()}


def test_quantized_collection(tmp_path):
    module = make_quantized()
    assert trec.export(module, tmp_path / "a" / "b") == [tmp_path / "a" / "b"]
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["model.mlir", "model.safetensors"]
    written = read_weights(tmp_path / "a" / "b" / "model.safetensors")
    for name, rows in stored_rows(module).items():
        assert np.array_equal(written[name], rows)


def test_exporting_twice_gives_the_same_bytes(tmp_path):
    module = make_quantized()
    for name in ("one", "two"):
        trec.export(module, tmp_path / name)
    for file in ("model.mlir", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_ir_names_everything(tmp_path):
    trec.export(make_quantized(weighted=True, output_dtype=torch.float16), tmp_path, bounds_check="fatal")
    text = (tmp_path / "model.mlir").read_text()
    for part in (
        "@ads",
        "@users",
        "@pages",
        '"ad"',
        '"last_ad"',
        '"user"',
        '"page"',
        "40x16",
        "30x8",
        "20x12",
        "fatal",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    "dtype", ["fp32", "fp16", "int8", "int4", "int2", {"ads": "int8", "users": "int2", "pages": "fp16"}]
)
def test_float_collection(tmp_path, dtype):
    module = make_float()
    trec.export(module, tmp_path, dtype=dtype)
    written = read_weights(tmp_path / "model.safetensors")
    for config in module.embedding_bag_configs():
        weight = module.embedding_bags[config.name].weight.detach().numpy()
        kind = dtype if isinstance(dtype, str) else dtype[config.name]
        assert np.array_equal(written[config.name], quantize_rows(weight, kind, 16))


def test_model_with_collections(tmp_path):
    class Arch(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.sparse = torch.nn.ModuleDict({"left": make_quantized(), "right": make_quantized()})
            self.dense = torch.nn.Linear(2, 2)

    directories = trec.export(Arch(), tmp_path)
    assert directories == [tmp_path / "sparse.left", tmp_path / "sparse.right"]
    assert all((directory / "model.mlir").exists() for directory in directories)


def test_odd_dims_and_row_alignment(tmp_path):
    tables = configs(ads={"embedding_dim": 3})[:1]
    weights = {"ads": (torch.zeros(40, 3, dtype=torch.uint8), torch.zeros(40, 4, dtype=torch.uint8))}
    module = EmbeddingBagCollection(
        tables, False, torch.device("cpu"), table_name_to_quantized_weights=weights, row_alignment=1
    )
    trec.export(module, tmp_path)
    assert read_weights(tmp_path / "model.safetensors")["ads"].shape == (40, 7)


def test_large_float_table_is_never_held_twice(tmp_path):
    """The peak beside the table stays far below the quantized table itself."""
    code = f"""
import resource, torch, trec
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection
import trec.torch
config = EmbeddingBagConfig(name="t", embedding_dim=128, num_embeddings=2_000_000, feature_names=["f"])
module = EmbeddingBagCollection(tables=[config], device=torch.device("cpu"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
trec.export(module, {str(tmp_path)!r}, dtype="fp16")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout.split()[-1]) < 200_000
    assert os.path.getsize(tmp_path / "model.safetensors") > 500_000_000


def test_import_does_not_load_torch():
    code = "import sys, trec; trec.load; assert 'torch' not in sys.modules; trec.torch; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd="/")


def test_outputs_follow_the_grouping_by_pooling(tmp_path):
    poolings = {"ads": {"pooling": PoolingType.MEAN}, "users": {"pooling": PoolingType.SUM}}
    module = make_quantized(configs(**poolings, pages={"pooling": PoolingType.MEAN, "data_type": DataType.INT2}))
    trec.export(module, tmp_path)
    model = trec.load(trec.compile(tmp_path))
    assert [key["key"] for key in model.info["output"]["keys"]] == ["ad", "last_ad", "page", "user"]
