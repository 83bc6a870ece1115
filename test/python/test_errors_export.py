"""Every module that cannot be exported, compiled or replaced, with the text that a user reads."""

import pytest
import torch
from conftest import configs, make_float, make_quantized
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatCollection
from torchrec.modules.feature_processor_ import FeatureProcessorsCollection, PositionWeightedModuleCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection
from torchrec.quant.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.quant.embedding_modules import FeatureProcessedEmbeddingBagCollection as QuantizedProcessed

import trec
import trec.compiler
import trec.torch

CPU = torch.device("cpu")


def refused(module, text, tmp_path, **options):
    with pytest.raises(trec.ExportError, match=text) as caught:
        trec.export(module, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    return caught.value


class Holder(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.sparse = inner


def test_export_of_other_things(tmp_path):
    refused("no module", "expected a torch.nn.Module, got str; pass the model itself", tmp_path)
    refused(torch.nn.Linear(1, 1), "Linear holds no embedding collection; pass a model with one", tmp_path)


def test_export_of_sequences_with_integer_outputs(tmp_path):
    config = EmbeddingConfig(name="t", num_embeddings=4, embedding_dim=4, feature_names=["f"], data_type=DataType.INT8)
    module = EmbeddingCollection([config], CPU, output_dtype=torch.qint8)
    refused(Holder(module), "module 'sparse': output type torch.qint8, which hands out stored rows; use", tmp_path)


def test_export_of_feature_processors_in_python(tmp_path):
    class Processor(FeatureProcessorsCollection):
        def forward(self, features):
            return features

    config = EmbeddingBagConfig(name="t", num_embeddings=4, embedding_dim=4, feature_names=["f"])
    inner = FloatCollection(tables=[config], is_weighted=True, device=CPU)
    text = "its feature processor Processor runs in Python; use trec.torch.compile or replace"
    refused(FeatureProcessedEmbeddingBagCollection(inner, Processor()), text, tmp_path, dtype="int8")
    config = EmbeddingBagConfig(
        name="t", num_embeddings=4, embedding_dim=4, feature_names=["f"], data_type=DataType.INT8
    )
    quantized = QuantizedProcessed([config], True, CPU, feature_processor=Processor())
    refused(Holder(quantized), f"module 'sparse': {text}", tmp_path)


def test_export_of_subclasses_behind_a_feature_processor(tmp_path):
    class Mine(FloatCollection):
        pass

    config = EmbeddingBagConfig(name="t", num_embeddings=4, embedding_dim=4, feature_names=["f"])
    processor = PositionWeightedModuleCollection(max_feature_lengths={"f": 3})
    module = FeatureProcessedEmbeddingBagCollection(Mine(tables=[config], is_weighted=True, device=CPU), processor)
    text = "module 'sparse': Mine is a subclass whose forward may differ; compile a plain collection"
    refused(Holder(module), text, tmp_path, dtype="int8")
    module._embedding_bag_collection = torch.nn.Identity()
    refused(module, "module: Identity is not known; compile a plain collection", tmp_path, dtype="int8")


def test_export_of_sharded_modules(tmp_path):
    from torchrec.distributed.types import ShardedModule

    class Sharded(ShardedModule):
        def __init__(self):
            torch.nn.Module.__init__(self)

        create_context = input_dist = compute = output_dist = unsharded_module_type = None

    Sharded.__abstractmethods__ = frozenset()
    refused(Holder(Sharded()), "module 'sparse': Sharded is sharded; compile the unsharded module", tmp_path)


def test_export_of_subclasses(tmp_path):
    class Mine(EmbeddingBagCollection):
        pass

    module = Mine(configs(), False, CPU)
    refused(module, "Mine is a subclass whose forward may differ; compile a plain collection", tmp_path)


def test_export_of_pooling_none(tmp_path):
    module = EmbeddingBagCollection(configs(ads={"pooling": PoolingType.NONE})[:1], False, CPU)
    error = refused(module, "module, table 'ads': pooling NONE gives one row per id; use", tmp_path)
    assert error.table == "ads"


@pytest.mark.parametrize("dtype", [torch.qint8, torch.quint4x2])
def test_export_of_integer_outputs(tmp_path, dtype):
    module = EmbeddingBagCollection(configs(), False, CPU, output_dtype=dtype)
    refused(module, "output type torch.qu?int.*, for which FBGEMM's bags are undefined; use float32", tmp_path)


def test_export_of_meta_tensors(tmp_path):
    module = EmbeddingBagCollection(configs(), False, torch.device("meta"))
    refused(module, "table 'ads': its weights are (not on the CPU|on device 'meta'); load its weights", tmp_path)
    refused(make_meta_float(), "table 'ads': its weights are on device 'meta'; load its", tmp_path, dtype="int8")


def make_meta_float():
    tables = configs()
    for table in tables:
        table.data_type = DataType.FP32
    return FloatCollection(tables=tables, device=torch.device("meta"))


def test_export_of_doubles(tmp_path):
    module = make_float().to(torch.float64)
    refused(module, "table 'ads': weights of type torch.float64; convert them", tmp_path, dtype="int8")


def test_export_of_other_formats(tmp_path):
    from fbgemm_gpu.split_embedding_configs import SparseType

    module = make_quantized()
    tbe = module._emb_modules[0]
    name, rows, dim, _, location = tbe.embedding_specs[0]
    stored = tbe.split_embedding_weights_with_scale_bias(0)
    tbe.embedding_specs[0] = (name, rows, dim, SparseType.NFP8, location)
    tbe.split_embedding_weights_with_scale_bias = lambda split_scale_bias_mode: stored
    refused(module, "table 'ads': weights of type nfp8; quantize to one of fp32, fp16", tmp_path)


def test_export_of_virtual_tables(tmp_path):
    module = make_quantized()
    module._key_to_tables = {(pooling, True): tables for (pooling, _), tables in module._key_to_tables.items()}
    refused(module, "table 'ads': virtual tables hold no rows in memory; set", tmp_path)
    floats = make_float()
    floats.embedding_bag_configs()[0].use_virtual_table = True
    refused(floats, "table 'ads': virtual tables hold no rows in memory; set", tmp_path, dtype="int8")


def test_export_of_rows_that_fbgemm_misreads(tmp_path):
    tables = configs(ads={"data_type": DataType.FP32, "embedding_dim": 1})[:1]
    module = EmbeddingBagCollection(tables, False, CPU, row_alignment=3)
    refused(
        module, "row_alignment 3 makes rows of 6 bytes, which FBGEMM misreads for fp32; use a multiple of 4", tmp_path
    )


def test_export_of_unknown_bounds_modes(tmp_path):
    module = make_quantized()
    module._emb_modules[0].bounds_check_mode_int = 5
    refused(module, r"bounds check modes \[1, 5\]; pass bounds_check=", tmp_path)


def test_export_without_tables_or_features(tmp_path):
    refused(EmbeddingBagCollection([], False, CPU), "it has no tables; give it one", tmp_path)
    module = make_float()
    module.embedding_bag_configs()[0].feature_names = []
    refused(module, "table 'ads': it has no features; name at least one", tmp_path, dtype="int8")


def test_export_dtypes(tmp_path):
    refused(make_float(), "a float collection has no row format; pass dtype=, one of fp32, fp16, int8", tmp_path)
    refused(make_float(), "table 'ads': dtype 'int3'; expected one of fp32", tmp_path, dtype="int3")
    text = "table 'users': dtype names no type for it; expected"
    refused(make_float(), text, tmp_path, dtype={"ads": "int8", "pages": "int8"})
    text = "table 'users': it is quantized to int4 already, dtype is 'int8'; leave dtype out"
    refused(make_quantized(), text, tmp_path, dtype={"users": "int8"})
    refused(make_float(), "output_dtype 'int8'; expected one of float32", tmp_path, dtype="int8", output_dtype="int8")
    text = "its outputs are float32 already, output_dtype is 'float16'; leave output_dtype out"
    refused(make_quantized(), text, tmp_path, output_dtype="float16")


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


def test_compile_and_replace_of_other_things():
    with pytest.raises(trec.ExportError, match="expected an embedding collection, got Holder; use trec.torch.replace"):
        trec.torch.compile(Holder(make_quantized()))
    with pytest.raises(trec.ExportError, match="Holder holds no quantized collection; quantize it or pass dtype="):
        trec.torch.replace(Holder(make_float()))


def test_replace_changes_nothing_when_it_fails():
    holder = torch.nn.ModuleList([make_quantized(), make_float()])
    with pytest.raises(trec.ExportError, match="module '1', table 'ads': dtype"):
        trec.torch.replace(holder, dtype={"pages": "fp16"})
    assert type(holder[0]) is EmbeddingBagCollection


def test_compile_of_a_model_with_two_collections(tmp_path):
    holder = torch.nn.ModuleList([make_quantized(), make_quantized()])
    with pytest.raises(
        trec.ExportError, match="expected one collection, got a model with '0', '1', compile them one by"
    ):
        trec.compile(holder, tmp_path / "m.so")
    assert list(tmp_path.iterdir()) == []
