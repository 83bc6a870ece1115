"""The models of a case: TorchRec's quantized module and the one that trec compiles from it, on the same rows."""

from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
import torch
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection
from torchrec.quant.embedding_modules import (
    EmbeddingBagCollection,
    EmbeddingCollection,
    FeatureProcessedEmbeddingBagCollection,
)

from benchmarks.batches import IndexSet
from benchmarks.case import Case, Model, Table
from benchmarks.models import Models
from benchmarks.pages import huge_bytes, set_pages
from trec.quantize import quantize_rows
from trec.torch.build import DATA_TYPES, parts_around
from trec.torch.classes import class_for
from trec.torch.collect import OUTPUT_DTYPES, Collection, CollectOptions, find_collections

_CPU = torch.device("cpu")
# Rows are drawn up to here and then repeat. Prime, so that a wrong row is a different one.
PERIOD = 65_521
# Standard deviation of the floats that rows hold.
SPREAD = 0.05


def draw_rows(random: np.random.Generator, model: Model, table: Table) -> np.ndarray:
    """The first rows of a table as stored, with zeros in the padding."""
    count = min(table.rows, PERIOD)
    if model.rows == "quantized" or table.dtype in ("fp16", "fp32"):
        floats = random.standard_normal((count, table.dim), np.float32) * np.float32(SPREAD)
        return quantize_rows(floats, table.dtype, model.row_alignment)
    rows = np.zeros((count, model.row_bytes(table)), np.uint8)
    bits = {"int8": 8, "int4": 4, "int2": 2}[table.dtype]
    header = np.empty((count, 2), np.float16)
    header[:, 0] = random.uniform(0.001, 0.011, count)
    header[:, 1] = random.standard_normal(count) * 0.1
    rows[:, :4] = header.view(np.uint8)
    codes = table.dim * bits // 8
    rows[:, 4 : 4 + codes] = random.integers(0, 256, (count, codes), np.uint8)
    return rows


def fill(array: np.ndarray, block: np.ndarray) -> None:
    for begin in range(0, len(array), len(block)):
        part = array[begin : begin + len(block)]
        part[:] = block[: len(part)]


def _configs(model: Model) -> list[Any]:
    feature = iter(range(len(model.feature_tables)))
    configs: list[Any] = []
    for index, table in enumerate(model.tables):
        names = [f"f{next(feature)}" for _ in range(table.features)]
        common: dict[str, Any] = {
            "name": f"t{index}", "num_embeddings": table.rows, "embedding_dim": table.dim, "feature_names": names,
            "data_type": DATA_TYPES[table.dtype],
        }  # fmt: skip
        if model.kind == "sequence":
            configs.append(EmbeddingConfig(**common))
        else:
            pooling = PoolingType.SUM if model.pooling == "sum" else PoolingType.MEAN
            configs.append(EmbeddingBagConfig(**common, pooling=pooling))
    return configs


def _processor(configs: list[Any], longest: int) -> Any:
    processor = PositionWeightedModuleCollection({name: longest for c in configs for name in c.feature_names})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in processor.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
    return processor


def _quantized(model: Model, longest: int) -> Any:
    configs = _configs(model)
    common = {"device": _CPU, "output_dtype": OUTPUT_DTYPES[model.output], "row_alignment": model.row_alignment}
    if model.kind == "sequence":
        return EmbeddingCollection(configs, **common)
    if model.kind == "bags":
        return EmbeddingBagCollection(configs, is_weighted=model.weighted, **common)
    processor = _processor(configs, longest)
    return FeatureProcessedEmbeddingBagCollection(configs, is_weighted=True, feature_processor=processor, **common)


def _collected(module: Any) -> Collection:
    (found,) = find_collections(module, CollectOptions())
    return found


def compile_ahead(case: Case, models: Models) -> None:
    """Leaves the model of a case in the folder of `models`; its rows are not filled."""
    models.library_for(_collected(_quantized(case.model, case.load.length.longest)).spec)


class Workload:
    """Built once for the cases that differ in their batches alone."""

    def __init__(self, case: Case, models: Models) -> None:
        self.model = case.model
        self.pages = case.run.pages
        self.key = workload_key(case)
        # ATen's copy of the rows; made when it is first needed.
        self.aten_rows: Optional[list[torch.Tensor]] = None
        self.module = _quantized(case.model, case.load.length.longest)
        for tbe in self.tbes:
            set_pages(tbe.weights_host.numpy(), case.run.pages)
        random = np.random.default_rng(0)
        found = _collected(self.module)
        self.rows: dict[str, np.ndarray] = {}
        for table, stored in zip(case.model.tables, found.tables):
            array = stored.stored().numpy()
            fill(array, draw_rows(random, case.model, table))
            self.rows[stored.spec.name] = array
        # What a weights file of these rows holds.
        self.tensors = found.tensors()
        parts = parts_around(models.library_for(found.spec), found)
        self.compiled = class_for(parts).of_parts(parts)

    @property
    def tbes(self) -> list[Any]:
        return list(self.module._emb_modules)

    @property
    def feature_names(self) -> list[str]:
        return list(self.module._feature_names)

    @property
    def feature_rows(self) -> list[np.ndarray]:
        """The stored rows that each feature looks up."""
        arrays = list(self.rows.values())
        return [array for array, table in zip(arrays, self.model.tables) for _ in range(table.features)]

    def memory(self) -> tuple[int, int]:
        """Bytes of all rows, and how many of them are on huge pages."""
        arrays = [tbe.weights_host.numpy() for tbe in self.tbes]
        return sum(a.nbytes for a in arrays), sum(map(huge_bytes, arrays))

    def weights_of(self, batch: IndexSet) -> Any:
        """What each id's row is multiplied by, or None; weights by position are looked up ahead of time."""
        if self.model.kind != "processed":
            return batch.weights
        by_feature = self.module.feature_processor.position_weights
        per_key = batch.lengths.reshape(len(self.feature_names), -1)
        parts = []
        for name, lengths in zip(self.feature_names, per_key):
            positions = np.concatenate([np.arange(length) for length in lengths])
            parts.append(by_feature[name].detach().numpy()[positions])
        return np.concatenate(parts)


def workload_key(case: Case) -> tuple[Any, ...]:
    """Cases with one key share a workload."""
    longest = case.load.length.longest if case.model.kind == "processed" else 0
    return case.model, case.run.pages, longest


def by_workload(cases: list[Case]) -> Iterator[Case]:
    """The cases in their order, but those with one workload together."""
    groups: dict[Any, list[Case]] = {}
    for case in cases:
        groups.setdefault(workload_key(case), []).append(case)
    for group in groups.values():
        yield from group
