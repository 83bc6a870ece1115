"""bf16 and fp8 rows, which TorchRec cannot reach: against FBGEMM's operators, and against the formula in numpy."""

import numpy as np
import pytest
import torch
from conftest import KEYS, configs, make_float, make_kjt
from fbgemm_gpu.split_embedding_configs import SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_inference import (
    EmbeddingLocation,
    IntNBitTableBatchedEmbeddingBagsCodegen,
    PoolingMode,
)
from torchrec.modules.embedding_configs import DataType, PoolingType

import trec
import trec.torch
from trec.errors import QuantizeError
from trec.exporter import write_model
from trec.quantize import bf16_to_float, float_to_bf16, float_to_fp8, fp8_to_float, quantize_rows
from trec.spec import ModelSpec, TableSpec
from trec.testing import reference
from trec.testing.models import as_array
from trec.weights_file import TableRows, array_chunks

FP8_LARGEST = 240.0
OUTPUTS = {"float32": SparseType.FP32, "float16": SparseType.FP16, "bfloat16": SparseType.BF16}


def bit_patterns(count=200_000):
    """All magnitudes, and values at or next to the middle between two codes."""
    random = np.random.default_rng(0)
    near = random.choice(np.array([0, 1, 0x80000, 0x7FFFF, 0x80001, 0x8000, 0x7FFF, 0x8001], np.uint32), count)
    high = random.integers(0, 1 << 12, count, dtype=np.uint32) << np.uint32(20)
    bits = np.concatenate([random.integers(0, 1 << 32, count, dtype=np.uint32), high | near])
    return bits.view(np.float32)


def test_fp8_codes_are_fbgemms():
    values = bit_patterns()
    values = values[~np.isnan(values)]
    expected = torch.ops.fbgemm.FloatToHFP8Quantized(torch.from_numpy(values[None]), 4, 7, FP8_LARGEST)
    assert np.array_equal(float_to_fp8(values), expected.numpy()[0])


def test_fp8_values_are_fbgemms():
    codes = np.arange(256, dtype=np.uint8)
    expected = torch.ops.fbgemm.HFP8QuantizedToFloat(torch.from_numpy(codes[None]), 4, 7).numpy()[0]
    assert np.array_equal(fp8_to_float(codes).view(np.uint32), expected.view(np.uint32))


def test_fp8_saturates_and_refuses_nan():
    rows = np.array([[1e9, -np.inf]], np.float32)
    assert fp8_to_float(quantize_rows(rows, "fp8")).tolist() == [[240.0, -240.0]]
    rows[0, 1] = np.nan
    with pytest.raises(QuantizeError, match="row 0 holds nan"):
        quantize_rows(rows, "fp8")


def test_bf16_is_rounded_as_torch_does():
    values = bit_patterns()
    expected = torch.from_numpy(values).bfloat16()
    got = float_to_bf16(values)
    nan = np.isnan(values)
    assert np.array_equal(got[~nan], expected.view(torch.uint16).numpy()[~nan])
    assert np.isnan(bf16_to_float(got[nan])).all()


def load_one(directory, table, rows, **changes):
    spec = ModelSpec([table], **changes)
    write_model(spec, [TableRows(table.name, *rows.shape, lambda: array_chunks(rows))], directory)
    return spec, trec.load(trec.compile(directory, directory / "model.so"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_fp8_lookups_are_fbgemms(tmp_path, pooling, output, weighted):
    random = np.random.default_rng(1)
    for dim in (1, 5, 64):
        rows = random.integers(0, 256, (50, dim), dtype=np.uint8)
        mode = PoolingMode.MEAN if pooling == "mean" else PoolingMode.SUM
        tbe = IntNBitTableBatchedEmbeddingBagsCodegen(
            [("t", 50, dim, SparseType.FP8, EmbeddingLocation.HOST)], pooling_mode=mode, device=torch.device("cpu"),
            weight_lists=[(torch.from_numpy(rows), None)], output_dtype=OUTPUTS[output], row_alignment=1,
        )  # fmt: skip
        table = TableSpec("t", 50, dim, "fp8", ["f"], pooling, 1)
        _, model = load_one(tmp_path / str(dim), table, rows, weighted=weighted, output_dtype=output)
        # FBGEMM's kernel for this type stops at the first -1, so there is none.
        ids, lengths = random.integers(0, 50, 200), np.full(20, 10)
        weights = random.standard_normal(200).astype(np.float32) if weighted else None
        offsets = torch.arange(0, 201, 10)
        expected = tbe(torch.from_numpy(ids), offsets, None if weights is None else torch.from_numpy(weights))
        got = model(ids, lengths=lengths, weights=weights)["f"]
        assert reference.different_elements(np.ascontiguousarray(got), as_array(expected)) == 0


@pytest.mark.parametrize("dtype", ["bf16", "fp8"])
@pytest.mark.parametrize("weighted", [False, True])
def test_lookups_follow_the_formula(tmp_path, dtype, weighted):
    random = np.random.default_rng(2)
    rows = quantize_rows(random.standard_normal((30, 37)).astype(np.float32), dtype, 16)
    table = TableSpec("t", 30, 37, dtype, ["f"], "mean")
    spec, model = load_one(tmp_path, table, rows, weighted=weighted, output_dtype="bfloat16")
    ids, lengths = random.integers(-1, 30, 60), np.full(12, 5)
    weights = random.standard_normal(60).astype(np.float32) if weighted else None
    expected = reference.forward(spec, {"t": rows}, ids, lengths, weights)
    got = np.ascontiguousarray(model(ids, lengths=lengths, weights=weights)["f"])
    assert reference.different_elements(got, expected) == 0


def test_modules_with_these_rows(tmp_path):
    tables = configs(users={"pooling": PoolingType.SUM})
    module = make_float(tables)
    dtypes = {"ads": "bf16", "users": "fp8", "pages": "int8"}
    compiled = trec.torch.compile(module, dtype=dtypes)
    assert [c.data_type for c in compiled.embedding_bag_configs()] == [DataType.BF16, DataType.NFP8, DataType.INT8]
    spec = compiled._interface.spec
    rows = {name: stored.numpy() for name, stored in compiled._rows.items()}
    kjt = make_kjt(spec.features)
    expected = reference.forward(spec, rows, kjt.values().numpy(), kjt.lengths().numpy())
    assert reference.different_elements(compiled(kjt).values().numpy(), expected) == 0
    weights = module.embedding_bags.ads.weight.detach()
    one = make_kjt(spec.features, batch=1)
    one = type(one)(spec.features, torch.tensor([7]), lengths=torch.tensor([1, 0, 0, 0]))
    assert torch.equal(compiled(one)["ad"][0], weights[7].bfloat16().float())
    trec.export(module, tmp_path, dtype=dtypes)
    assert torch.equal(trec.torch.load(tmp_path)(kjt).values(), compiled(kjt).values())
    assert compiled.state_dict()["embedding_bags.ads.weight"].shape == (40, 32)


def test_bfloat16_source():
    module = make_float()
    halves = make_float().to(torch.bfloat16)
    widened = make_float().to(torch.bfloat16).float()
    for dtype in ("int8", "fp32", "bf16", "fp8"):
        got, expected = (trec.torch.compile(source, dtype=dtype)(make_kjt(KEYS)) for source in (halves, widened))
        assert torch.equal(got.values(), expected.values())
    exact = trec.torch.compile(module, dtype="bf16")(make_kjt(KEYS)).values()
    assert torch.equal(trec.torch.compile(halves, dtype="bf16")(make_kjt(KEYS)).values(), exact)
