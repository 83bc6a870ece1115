"""Index sets: the batches that all peers are given, drawn many at a time."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Optional

import numpy as np

from benchmarks.case import Distribution, Load, Model

# Of all index sets of a case together, so that they stay small beside the tables.
MAX_INDEX_BYTES = 256 << 20
MIN_SETS, MAX_SETS = 16, 4096
# How many times the caches the rows of all sets together are.
CACHE_MULTIPLE = 3
LINE_BYTES = 64
# Larger than any table, and prime: multiplying by it permutes the rows of each.
_SCATTER = 2_654_435_761


@dataclass
class IndexSet:
    """One batch; ids lie feature by feature, `lengths` has one element for each feature and sample."""

    ids: np.ndarray
    lengths: np.ndarray
    offsets: np.ndarray
    weights: Optional[np.ndarray]


@dataclass
class Ring:
    """The sets that take turns, and what one of them touches on average."""

    sets: list[IndexSet]
    ids_per_set: float
    row_bytes_per_set: float
    line_bytes_per_set: float


@lru_cache(maxsize=4)
def _cumulative(rows: int, exponent: float, q: float) -> np.ndarray:
    weights = (np.arange(1, rows + 1, dtype=np.float64) + q) ** -exponent
    return np.cumsum(weights, out=weights)


def draw_ids(random: np.random.Generator, distribution: Distribution, rows: int, count: int) -> np.ndarray:
    """Rows of one table; where some are drawn more often, these lie scattered over the table."""
    if not distribution.exponent:
        return random.integers(0, rows, count)
    hitters = distribution.hitters[:rows]
    ranks = np.empty(count, np.int64)
    uniform = random.random(count)
    is_hitter = uniform < sum(hitters)
    ranks[is_hitter] = np.searchsorted(np.cumsum(hitters), uniform[is_hitter], side="right")
    others = rows - len(hitters)
    if others:
        cumulative = _cumulative(others, distribution.exponent, distribution.q + len(hitters))
        drawn = random.random(count - int(is_hitter.sum())) * cumulative[-1]
        ranks[~is_hitter] = len(hitters) + np.minimum(np.searchsorted(cumulative, drawn), others - 1)
    return np.minimum(ranks, rows - 1) * _SCATTER % rows


def lines_of_row(row_bytes: int) -> float:
    """Cache lines that a row lies in, averaged over where a row may start."""
    step = np.gcd(row_bytes, LINE_BYTES)
    starts = np.arange(0, LINE_BYTES, step)
    return float(np.mean((starts + row_bytes - 1) // LINE_BYTES + 1))


def count_sets(traffic: float, index_bytes: float, cache_bytes: int) -> int:
    """Enough sets that the rows of one have left the caches before it is used again, if the memory allows."""
    wanted = int(np.ceil(CACHE_MULTIPLE * cache_bytes / max(1.0, traffic)))
    allowed = int(MAX_INDEX_BYTES / max(1.0, index_bytes))
    return int(np.clip(wanted, MIN_SETS, max(MIN_SETS, min(MAX_SETS, allowed))))


def make_ring(model: Model, load: Load, cache_bytes: int, seed: int) -> Ring:
    random = np.random.default_rng(seed)
    tables = model.feature_tables
    per_bag = load.length.draw(random, (16, len(tables), load.batch)).mean(axis=(0, 2)) * load.batch
    widths = np.array([model.row_bytes(table) for table in tables])
    lines = np.array([lines_of_row(width) * LINE_BYTES for width in widths])
    id_bytes = np.dtype(load.ids).itemsize
    count = count_sets(per_bag @ lines, per_bag.sum() * id_bytes, cache_bytes)
    sets = _draw_sets(random, model, load, count)
    totals = sum(s.lengths.reshape(len(tables), -1).sum(axis=1, dtype=np.int64) for s in sets) / count
    return Ring(sets, float(totals.sum()), float(totals @ widths), float(totals @ lines))


def _draw_sets(random: np.random.Generator, model: Model, load: Load, count: int) -> list[IndexSet]:
    """All sets in few large arrays, which the sets are slices of."""
    tables = model.feature_tables
    lengths = load.length.draw(random, (count, len(tables), load.batch)).astype(np.int32)
    by_feature = lengths.sum(axis=2, dtype=np.int64)
    feature = np.repeat(np.tile(np.arange(len(tables)), count), by_feature.ravel())
    ids = np.empty(len(feature), load.ids)
    rows = np.array([table.rows for table in tables])
    rows_of_id = rows[feature]
    for size in np.unique(rows):
        chosen = rows_of_id == size
        ids[chosen] = draw_ids(random, load.distribution, int(size), int(chosen.sum()))
    weights = random.uniform(0.5, 1.5, len(ids)).astype(np.float32) if model.weighted else None
    ends = np.cumsum(by_feature.sum(axis=1))
    return [
        _slice(ids, lengths[i].ravel(), weights, (int(end) - int(by_feature[i].sum()), int(end)))
        for i, end in enumerate(ends)
    ]


def _slice(ids: np.ndarray, lengths: np.ndarray, weights: Optional[np.ndarray], place: tuple[int, int]) -> IndexSet:
    begin, end = place
    offsets = np.zeros(len(lengths) + 1, ids.dtype)
    np.cumsum(lengths, out=offsets[1:])
    return IndexSet(ids[begin:end], lengths, offsets, None if weights is None else weights[begin:end])
