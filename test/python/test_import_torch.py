"""trec-import-torch: archives of bags in every form give what trec.export writes of the same module, byte for byte."""

import pytest
import torch
from archives import (
    TABLE_BATCH,
    assert_imports_as_exported,
    assert_refused,
    assert_same_files,
    import_archive,
    make_dlrm,
    names_in_archive,
    rename_tables,
    save_script,
    save_traced,
)
from conftest import assert_same, configs, make_quantized, make_sequence
from fbgemm_gpu.split_embedding_configs import SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen
from torchrec.fx import symbolic_trace
from torchrec.inference.dlrm_predict import DLRMPredictModule
from torchrec.inference.modules import quantize_embeddings, quantize_inference_model
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, PoolingType
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

import trec
import trec.torch
from trec.errors import ExportError
from trec.testing.cases import draw_case
from trec.testing.models import draw_batch, seeded_draw


SMALL = configs()
MIXED = [
    EmbeddingBagConfig(name=f"table{i}", num_embeddings=7 + i, embedding_dim=8 * (i + 1), feature_names=features,
                       data_type=kind, pooling=pooling)
    for i, (features, kind, pooling) in enumerate([
        (["a", "b"], DataType.INT8, PoolingType.SUM),
        (["d", "d"], DataType.FP16, PoolingType.MEAN),
        (["b"], DataType.INT4, PoolingType.SUM),
        (["c"], DataType.INT2, PoolingType.SUM),
        (["é \"f\"", "a"], DataType.FP32, PoolingType.MEAN),
    ])
]  # fmt: skip

VARIANTS = {
    "plain": {},
    "weighted": {"weighted": True},
    "float16": {"output_dtype": torch.float16},
    "bfloat16": {"output_dtype": torch.bfloat16},
    "alignment": {"row_alignment": 4},
    "cached order": {"cache_features_order": True},
    "split state": {"quant_state_dict_split_scale_bias": True},
}


@pytest.mark.parametrize("tables", [SMALL, MIXED], ids=["small", "mixed"])
@pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)
def test_registered_table_batches(tmp_path, arguments, tables):
    module = make_quantized(tables, register_tbes=True, **arguments)
    archive = save_traced(module, tmp_path / "model.pt")
    assert_imports_as_exported(module, archive, tmp_path)


@pytest.mark.parametrize("registered", [False, True], ids=["bare", "traced through"])
@pytest.mark.parametrize("tables", [SMALL, MIXED], ids=["small", "mixed"])
@pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)
def test_bare_tensors(tmp_path, arguments, tables, registered):
    """Tables without a shared feature have lost their names; everything else is there."""
    names = names_in_archive(tables)
    module = make_quantized(tables, register_tbes=registered, **arguments)
    archive = save_traced(module, tmp_path / "model.pt", leaves=[])
    _, warnings = import_archive(archive, tmp_path / "imported")
    made_up = [name for table, name in names.items() if name != table]
    assert warnings.count("warning") == len(made_up) and all(f"'{name}'" in warnings for name in made_up)
    trec.export(make_quantized(rename_tables(tables, names), **arguments), tmp_path / "exported")
    assert_same_files(tmp_path / "imported", tmp_path / "exported")


@pytest.mark.parametrize("seed", range(25))
def test_random_modules_give_the_same_bits(tmp_path, seed):
    draw = seeded_draw(seed)
    case = draw_case(draw, ["bags"])
    case.module.register_tbes = True
    case.module.tbes = torch.nn.ModuleList(case.module._emb_modules)
    archive = save_traced(case.module, tmp_path / "model.pt")
    assert_imports_as_exported(case.module, archive, tmp_path)
    compiled = trec.torch.load(tmp_path / "imported")
    for _ in range(3):
        batch = draw_batch(draw, case.shape)
        if len(batch.lengths):
            assert_same(compiled(batch.kjt()), case.module(batch.plain()))


def test_inference_model(tmp_path):
    """DLRM as torchrec.inference prepares it: table batches registered, order of features cached."""
    model = quantize_inference_model(make_dlrm())
    archive = save_traced(model, tmp_path / "model.pt")
    assert_imports_as_exported(model, archive, tmp_path)
    assert (tmp_path / "imported" / "sparse_arch.embedding_bag_collection" / "model.mlir").exists()


def test_predict_module(tmp_path):
    """The wrapper of torchrec.inference, which builds its batch of a dict of tensors."""
    dlrm = make_dlrm()
    bags = dlrm.sparse_arch.embedding_bag_collection
    model = DLRMPredictModule(bags, 4, [16, 8], [8, 1], ["f0", "f1", "f2"], torch.device("cpu"))
    model = quantize_inference_model(model)
    assert_imports_as_exported(model, save_traced(model, tmp_path / "model.pt"), tmp_path)


def test_traced_model_of_bare_tensors(tmp_path):
    """Tracing has put the collection into the archive's own module."""
    model = quantize_embeddings(make_dlrm(), torch.qint8, True)
    printed, warnings = import_archive(save_traced(model, tmp_path / "model.pt", leaves=[]), tmp_path / "imported")
    assert printed == [str(tmp_path / "imported")] and "t_f0" in warnings
    trec.export(model.sparse_arch.embedding_bag_collection, tmp_path / "exported")
    assert_same_files(tmp_path / "imported", tmp_path / "exported")


def with_fp8(module, exponent_bits=4):
    """TorchRec has no name for FBGEMM's own fp8; its modules take table batches of it as any others."""
    for index, old in enumerate(module.tbes):
        specs = [(*spec[:3], SparseType.FP8, spec[4]) for spec in old.embedding_specs]
        random = torch.Generator().manual_seed(index)
        rows = [torch.randint(0, 120, (spec[1], spec[2]), dtype=torch.uint8, generator=random) for spec in specs]
        batch = IntNBitTableBatchedEmbeddingBagsCodegen(
            specs, old.feature_table_map, weight_lists=[(row, None) for row in rows], device="cpu",
            pooling_mode=old.pooling_mode, output_dtype=SparseType.FP32, row_alignment=old.row_alignment,
            fp8_exponent_bits=exponent_bits, fp8_exponent_bias=7,
        )  # fmt: skip
        module.tbes[index] = module._emb_modules[index] = batch
    return module


@pytest.mark.parametrize("leaves", [[TABLE_BATCH], []], ids=["module", "traced through"])
@pytest.mark.parametrize("make", [make_quantized, make_sequence])
def test_fp8_rows(tmp_path, make, leaves):
    module = with_fp8(make(register_tbes=True))
    printed, _ = import_archive(save_traced(module, tmp_path / "model.pt", leaves), tmp_path / "imported")
    trec.export(module, tmp_path / "exported")
    weights = [(tmp_path / name / "model.safetensors").read_bytes()[-300:] for name in ("imported", "exported")]
    assert printed and weights[0] == weights[1]
    assert "fp8" in (tmp_path / "imported" / "model.mlir").read_text()
    if leaves:
        assert_same_files(tmp_path / "imported", tmp_path / "exported")


def test_fp8_of_another_format(tmp_path):
    module = with_fp8(make_quantized(register_tbes=True), exponent_bits=5)
    expected = "fp8 of 4 bits of exponent with bias 7, got 5 bits with bias 7"
    assert_refused(save_traced(module, tmp_path / "model.pt"), f"module 'tbes.0': expected {expected}")
    with pytest.raises(ExportError, match="fp8 of 5 bits of exponent with bias 7"):
        trec.export(module, tmp_path / "exported")


class Pair(torch.nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.left = left
        self.inner = torch.nn.ModuleDict({"right": right})

    def forward(self, batch: KeyedJaggedTensor) -> list[KeyedTensor]:
        return [self.left(batch), self.inner["right"](batch)]


def pair(**arguments):
    return Pair(make_quantized(SMALL, **arguments), make_quantized(MIXED, **arguments))


def test_several_collections(tmp_path):
    model = pair(register_tbes=True)
    archive = save_traced(model, tmp_path / "model.pt")
    assert_imports_as_exported(model, archive, tmp_path)


def test_scripted_model_of_traced_collections(tmp_path):
    model = pair(register_tbes=True)
    traced = Pair(*(symbolic_trace(m, leaf_modules=[TABLE_BATCH]) for m in (model.left, model.inner["right"])))
    archive = save_script(traced, tmp_path / "model.pt")
    assert_imports_as_exported(model, archive, tmp_path)


def test_several_collections_without_names_are_numbered(tmp_path):
    model = pair()
    printed, _ = import_archive(save_traced(model, tmp_path / "model.pt", leaves=[]), tmp_path / "imported")
    assert printed == [str(tmp_path / "imported" / f"collection{i}") for i in (0, 1)]
    assert "@t_page" in (tmp_path / "imported" / "collection0" / "model.mlir").read_text()
    assert "@t_page" not in (tmp_path / "imported" / "collection1" / "model.mlir").read_text()


def test_a_collection_called_twice_is_one(tmp_path):
    model = pair(register_tbes=True)
    model.inner["right"] = model.left
    printed, _ = import_archive(save_traced(model, tmp_path / "model.pt"), tmp_path / "imported")
    assert printed == [str(tmp_path / "imported" / "left")]


class FromTensors(torch.nn.Module):
    def __init__(self, bags):
        super().__init__()
        self.bags = bags

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        keys = ["ad", "last_ad", "page", "user"]
        return self.bags(KeyedJaggedTensor(keys=keys, values=values, lengths=lengths)).values()


def test_batch_built_of_tensors(tmp_path):
    model = FromTensors(make_quantized(SMALL, register_tbes=True))
    assert_imports_as_exported(model, save_traced(model, tmp_path / "model.pt"), tmp_path)


def test_device_weights(tmp_path):
    """An archive saved on a GPU has its rows in weights_dev."""
    module = make_quantized(SMALL, register_tbes=True)
    assert len(module.tbes) == 2
    for batch in module.tbes:
        batch.weights_dev, batch.dev_size, batch.host_size = batch.weights_host, batch.host_size, 0
    archive = save_traced(module, tmp_path / "model.pt")
    assert_imports_as_exported(make_quantized(SMALL), archive, tmp_path)


def test_importing_again_gives_the_same_files(tmp_path):
    archive = save_traced(make_quantized(SMALL, register_tbes=True), tmp_path / "model.pt")
    for name in ("one", "two", "one"):
        import_archive(archive, tmp_path / name)
    assert_same_files(tmp_path / "one", tmp_path / "two")
