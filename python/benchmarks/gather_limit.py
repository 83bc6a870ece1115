"""The gather limit: how fast the machine can touch the rows that a batch looks up, with nothing computed on them."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.batches import IndexSet
from trec.errors import ToolError

DISTANCES = (8, 16, 32, 64)
# Into the first or the second cache.
CACHES = (1, 2)


class _Run(ctypes.Structure):
    _fields_ = [
        ("rows", ctypes.c_void_p),
        ("row_bytes", ctypes.c_int64),
        ("ids", ctypes.c_void_p),
        ("num_ids", ctypes.c_int64),
    ]


class _Options(ctypes.Structure):
    _fields_ = [("ids_are_64_bits", ctypes.c_int32), ("distance", ctypes.c_int32), ("cache", ctypes.c_int32)]


def load_gather() -> Any:
    path = Path(__file__).resolve().parents[2] / "build" / "lib" / "libTrecGatherLimit.so"
    if not path.exists():
        raise ToolError(f"'{path}' is missing, build trec: ninja -C build")
    function = ctypes.CDLL(str(path)).trec_gather
    function.restype = ctypes.c_uint32
    # Plain addresses: a POINTER argument would be checked and converted on every call.
    function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    return function


class GatherLimit:
    """`function(*arguments[i])` touches the rows of set i."""

    def __init__(self, tables: list[np.ndarray], sets: list[IndexSet]) -> None:
        self.function = load_gather()
        self._options = _Options(sets[0].ids.dtype == np.int64, DISTANCES[0], CACHES[0])
        self._runs = [_runs_of(tables, batch) for batch in sets]
        options = ctypes.addressof(self._options)
        self.arguments = [(ctypes.addressof(runs), len(tables), options) for runs in self._runs]

    @property
    def choice(self) -> dict[str, int]:
        return {"distance": self._options.distance, "cache": self._options.cache}

    def set(self, distance: int, cache: int) -> None:
        self._options.distance, self._options.cache = distance, cache


def _runs_of(tables: list[np.ndarray], batch: IndexSet) -> Any:
    per_feature = batch.lengths.reshape(len(tables), -1).sum(axis=1, dtype=np.int64)
    runs = (_Run * len(tables))()
    address, size = batch.ids.ctypes.data, batch.ids.itemsize
    for run, rows, count in zip(runs, tables, per_feature.tolist()):
        run.rows, run.row_bytes, run.ids, run.num_ids = rows.ctypes.data, rows.shape[1], address, count
        address += count * size
    return runs
