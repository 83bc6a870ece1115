"""One benchmark case: a model, the batches that it is given, and how they are timed."""

from dataclasses import dataclass
from typing import Union

import numpy as np

from trec.spec import row_bytes

KINDS = ("bags", "sequence", "processed")
PAGES = ("small", "huge")
ROWS = ("random", "quantized")
PEERS = ("fbgemm", "trec", "trec_certified", "trec_map", "trec_huge", "trec_module", "torchrec", "aten")


@dataclass(frozen=True)
class Table:
    rows: int
    dim: int
    dtype: str
    features: int = 1


@dataclass(frozen=True)
class FixedLength:
    """Feature i has `values[i % n]` ids a bag."""

    values: tuple[int, ...]

    def draw(self, random: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
        of_feature = np.resize(np.array(self.values, np.int64), shape[1])
        return np.broadcast_to(of_feature[None, :, None], shape)

    @property
    def longest(self) -> int:
        return max(self.values)

    def __str__(self) -> str:
        return str(self.values[0]) if len(set(self.values)) == 1 else "mixed"


@dataclass(frozen=True)
class UniformLength:
    """Both ends inclusive."""

    low: int
    high: int

    def draw(self, random: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
        return random.integers(self.low, self.high + 1, shape)

    @property
    def longest(self) -> int:
        return self.high

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True)
class NormalLength:
    """Rounded; never below 0 nor above four deviations over the mean."""

    mean: float
    sigma: float

    def draw(self, random: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
        return np.clip(np.rint(random.normal(self.mean, self.sigma, shape)), 0, self.longest).astype(np.int64)

    @property
    def longest(self) -> int:
        return int(np.ceil(self.mean + 4 * self.sigma))

    def __str__(self) -> str:
        return f"{self.mean:g}±{self.sigma:g}"


Length = Union[FixedLength, UniformLength, NormalLength]


@dataclass(frozen=True)
class Distribution:
    """Which rows are looked up: all alike where `exponent` is 0, else rank x with weight (x + q) ** -exponent.

    The first ranks have the probabilities `hitters` where these are given, and the others share what is left.
    """

    exponent: float = 0.0
    q: float = 0.0
    hitters: tuple[float, ...] = ()

    def __str__(self) -> str:
        if not self.exponent:
            return "uniform"
        return f"zipf{self.exponent:g}" + (f"+{len(self.hitters)}hot" if self.hitters else "")


@dataclass(frozen=True)
class Model:
    tables: tuple[Table, ...]
    kind: str = "bags"
    pooling: str = "sum"
    weighted: bool = False
    output: str = "float32"
    row_alignment: int = 16
    # Random bytes, or what quantization makes of floats.
    rows: str = "random"

    @property
    def table_bytes(self) -> int:
        return sum(t.rows * self.row_bytes(t) for t in self.tables)

    def row_bytes(self, table: Table) -> int:
        return row_bytes(table.dim, table.dtype, self.row_alignment)

    def output_dim(self, table: Table) -> int:
        return row_bytes(table.dim, table.dtype, 1) if self.output == "uint8" else table.dim

    @property
    def feature_tables(self) -> list[Table]:
        """The table of each feature."""
        return [table for table in self.tables for _ in range(table.features)]


@dataclass(frozen=True)
class Load:
    batch: int
    length: Length
    ids: str = "int64"
    distribution: Distribution = Distribution()


@dataclass(frozen=True)
class Run:
    pages: str = "small"
    peers: tuple[str, ...] = ("fbgemm", "trec")
    seconds: float = 1.5


@dataclass(frozen=True)
class Case:
    family: str
    model: Model
    load: Load
    run: Run
    label: str = ""

    @property
    def name(self) -> str:
        """Says what makes the case: `8x1M int8 d128 b256 l20`, what differs from the usual, and the label."""
        model, load = self.model, self.load
        parts = [_tables(model.tables), f"b{load.batch}", f"l{load.length}"]
        unusual = [
            (str(load.distribution), "uniform"), (load.ids, "int64"), (model.kind, "bags"), (model.pooling, "sum"),
            ("weighted" if model.weighted else "", ""), (_OUTPUTS[model.output], "fp32"),
            (f"align{model.row_alignment}", "align16"), (f"{model.rows} rows", "random rows"),
            (self.run.pages + " pages", "small pages"), (self.label, ""),
        ]  # fmt: skip
        return " ".join(parts + [text for text, usual in unusual if text != usual])


_OUTPUTS = {"float32": "fp32", "float16": "fp16 out", "bfloat16": "bf16 out", "uint8": "stored out"}


def _short(number: int) -> str:
    for size, suffix in ((1_000_000, "M"), (1_000, "k")):
        if number >= size and number % (size // 10) == 0:
            return f"{number / size:g}{suffix}"
    return str(number)


def _tables(tables: tuple[Table, ...]) -> str:
    """The number of tables, and each of their properties where all have it alike."""

    def common(values: list[str], mixed: str) -> str:
        return values[0] if len(set(values)) == 1 else mixed

    rows = common([f"x{_short(table.rows)}" for table in tables], " tables")
    dtype = common([table.dtype for table in tables], "mixed types")
    return f"{len(tables)}{rows} {dtype} {common([f'd{table.dim}' for table in tables], 'mixed dims')}"
