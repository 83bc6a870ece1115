"""Fixtures of the Python tests: small collections, exported models, and the guard on FBGEMM's kernels."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatCollection
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection
from torchrec.quant.embedding_modules import (
    EmbeddingBagCollection,
    EmbeddingCollection,
    FeatureProcessedEmbeddingBagCollection,
)
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from trec._fbgemm import require_vector_kernels
from trec.errors import TrecError
from trec.testing.models import as_array
from trec.testing.reference import different_elements

# The benchmarks are run from the checkout and are no part of the package.
sys.path.append(str(Path(__file__).resolve().parents[2] / "python"))


@pytest.fixture(scope="session", autouse=True)
def vector_kernels():
    try:
        require_vector_kernels()
    except TrecError as error:
        pytest.exit(f"FBGEMM would not run the kernels to compare with: {error}", returncode=3)


@pytest.fixture(autouse=True)
def quiet_warnings(caplog):
    caplog.set_level(logging.WARNING, logger="trec")


def configs(**changes):
    shapes = {"ads": (40, 16, DataType.INT8), "users": (30, 8, DataType.INT4), "pages": (20, 12, DataType.FP16)}
    features = {"ads": ["ad", "last_ad"], "users": ["user"], "pages": ["page"]}
    tables = [
        {"name": name, "num_embeddings": rows, "embedding_dim": dim, "data_type": kind, "feature_names": features[name]}
        for name, (rows, dim, kind) in shapes.items()
    ]
    tables[1]["pooling"] = PoolingType.MEAN
    return [EmbeddingBagConfig(**{**table, **changes.get(table["name"], {})}) for table in tables]


def rows_for(config, seed=0):
    """Codes and scale with bias as `table_name_to_quantized_weights` takes them."""
    random = np.random.default_rng([seed, config.num_embeddings])
    rows, dim = config.num_embeddings, config.embedding_dim
    if config.data_type in (DataType.FP16, DataType.FP32):
        kind = np.float16 if config.data_type is DataType.FP16 else np.float32
        return torch.from_numpy(random.standard_normal((rows, dim)).astype(kind).view(np.uint8)), None
    bits = {DataType.INT8: 8, DataType.INT4: 4, DataType.INT2: 2}[config.data_type]
    codes = random.integers(0, 256, (rows, dim * bits // 8), dtype=np.uint8)
    return torch.from_numpy(codes), torch.from_numpy(
        random.standard_normal((rows, 2)).astype(np.float16).view(np.uint8)
    )


def make_quantized(tables=None, weighted=False, **arguments):
    tables = tables if tables is not None else configs()
    weights = {table.name: rows_for(table) for table in tables}
    return EmbeddingBagCollection(
        tables, weighted, torch.device("cpu"), table_name_to_quantized_weights=weights, **arguments
    )


def make_float(tables=None, **arguments):
    torch.manual_seed(1)
    tables = tables if tables is not None else configs()
    for table in tables:
        table.data_type = DataType.FP32
    return FloatCollection(tables=tables, device=torch.device("cpu"), **arguments)


KEYS = ["ad", "last_ad", "page", "user"]


def make_kjt(keys=KEYS, batch=3, seed=0, weighted=False, ids=torch.int64, lengths=torch.int32, rows=20):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 5, len(keys) * batch)
    values = torch.from_numpy(random.integers(0, rows, int(counts.sum()))).to(ids)
    weights = torch.from_numpy(random.standard_normal(len(values)).astype(np.float32)) if weighted else None
    return KeyedJaggedTensor(list(keys), values, weights=weights, lengths=torch.from_numpy(counts).to(lengths))


def assert_same(got, expected):
    """Two KeyedTensors with equal keys, lengths and bits; a NaN is a NaN."""
    assert got.keys() == expected.keys()
    assert got.length_per_key() == expected.length_per_key()
    assert got.values().dtype == expected.values().dtype
    assert different_elements(as_array(got.values()), as_array(expected.values())) == 0


def assert_same_dicts(got, expected):
    """Two dicts of JaggedTensors with equal keys in equal order, lengths, weights and bits."""
    assert list(got) == list(expected)
    for key, jagged in expected.items():
        assert_same_bits(got[key].values(), jagged.values())
        assert_same_bits(got[key].lengths(), jagged.lengths())
        assert (got[key].weights_or_none() is None) == (jagged.weights_or_none() is None)
        if jagged.weights_or_none() is not None:
            assert_same_bits(got[key].weights(), jagged.weights())


def assert_same_bits(got, expected):
    assert got.dtype == expected.dtype and got.shape == expected.shape
    bits = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}[got.element_size()]
    assert torch.equal(got.contiguous().view(bits), expected.contiguous().view(bits))


def sequence_configs(**changes):
    """Tables of two types, with a feature shared by tables of one type."""
    shapes = {"ads": (40, DataType.INT8), "pages": (20, DataType.FP16), "users": (30, DataType.INT8)}
    features = {"ads": ["ad", "shared"], "pages": ["page"], "users": ["user", "shared"]}
    return [
        EmbeddingConfig(
            **{
                "name": name,
                "num_embeddings": rows,
                "embedding_dim": 8,
                "data_type": kind,
                "feature_names": features[name],
                **changes.get(name, {}),
            }
        )
        for name, (rows, kind) in shapes.items()
    ]


SEQUENCE_KEYS = ["ad", "shared", "page", "user"]


def sequence_kjt(keys=SEQUENCE_KEYS, **arguments):
    return make_kjt(keys, **arguments)


def make_sequence(tables=None, **arguments):
    tables = tables if tables is not None else sequence_configs()
    weights = {table.name: rows_for(table) for table in tables}
    return EmbeddingCollection(tables, torch.device("cpu"), table_name_to_quantized_weights=weights, **arguments)


def make_processed(processor=None, tables=None, is_weighted=True, **arguments):
    """With weights by position of features in an order of their own, unless another processor is given."""
    tables = tables if tables is not None else configs()
    if processor is None:
        processor = PositionWeightedModuleCollection({key: 20 + i for i, key in enumerate(KEYS)})
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in processor.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    weights = {table.name: rows_for(table) for table in tables}
    return FeatureProcessedEmbeddingBagCollection(
        tables, is_weighted, torch.device("cpu"), table_name_to_quantized_weights=weights,
        feature_processor=processor, **arguments,
    )  # fmt: skip
