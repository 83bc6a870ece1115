"""A loaded `.so` and the models made from it: what the numpy and the torch interface have in common."""

import ctypes
import json
import logging
import os
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Optional

from trec import abi
from trec.errors import (
    InputError,
    LoadError,
    OutOfBoundsError,
    TrecError,
    UnsupportedCPUError,
    UnsupportedGPUError,
    WeightsError,
)
from trec.pages import huge_bytes
from trec.spec import BAGS, REGROUP

logger = logging.getLogger("trec")

_CLASSES: dict[int, type[TrecError]] = {
    abi.INVALID_ARGUMENT: InputError,
    abi.INVALID_INPUT: InputError,
    abi.OUT_OF_BOUNDS: OutOfBoundsError,
    abi.WEIGHTS_MISMATCH: WeightsError,
    abi.IO_ERROR: WeightsError,
    abi.UNSUPPORTED_CPU: UnsupportedCPUError,
    abi.VERSION_MISMATCH: LoadError,
    abi.UNSUPPORTED_GPU: UnsupportedGPUError,
}


def new_error() -> abi.Error:
    return abi.Error(size=ctypes.sizeof(abi.Error))


def _message(error: abi.Error) -> str:
    return error.message.decode(errors="replace")


# Numbers of ELF files, and what Python calls these machines.
_MACHINES = {62: "x86_64", 183: "aarch64"}


def _explain_machine(path: str) -> str:
    """Why a file for another machine is not loaded, of which the dynamic linker says that there is none."""
    try:
        with open(path, "rb") as file:
            start = file.read(20)
    except OSError:
        return ""
    theirs = _MACHINES.get(int.from_bytes(start[18:20], "little")) if start.startswith(b"\x7fELF") else None
    ours = platform.machine()
    return f"is for {theirs}, this machine is {ours}" if theirs and theirs != ours else ""


class Library:
    """One `.so` in memory. Never unloaded: a model of it may still run on some other thread."""

    def __init__(self, path: str) -> None:
        try:
            self._dll = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
            query = abi.Query((abi.QUERY_SYMBOL, self._dll))
        except (OSError, AttributeError) as error:
            reason = _explain_machine(path) or f"is not a compiled model: {error}"
            raise LoadError(f"'{path}' {reason}") from error
        error = new_error()
        api = query(abi.ABI_VERSION, ctypes.byref(error))
        if not api:
            raise LoadError(f"'{path}': {_message(error)}")
        self.api = api.contents
        self.metadata: dict[str, Any] = json.loads(self.api.metadata)
        self.features: list[str] = self.metadata["features"]
        self.tables: list[dict[str, Any]] = self.metadata["tables"]
        self.parameters: list[dict[str, Any]] = self.metadata.get("parameters", [])
        self.is_pooled: bool = self.metadata.get("kind", BAGS) in (BAGS, REGROUP)
        self.groups: list[dict[str, Any]] = self.metadata["output"].get("groups", [])
        whole = {"features": self.features, "weighted": self.metadata["weighted"]}
        self.batches: list[dict[str, Any]] = self.metadata.get("batches", [whole])
        # Models of these take an array of outputs.
        self.num_outputs = len(self.groups) if self.is_pooled else len(self.metadata["output"]["keys"])

    def exception(self, status: int, error: abi.Error) -> TrecError:
        """The exception for a failed call, with names in place of the numbers of feature and table."""
        result = _CLASSES.get(status, TrecError)(_message(error) or f"status {status}")
        result.feature = self.features[error.feature] if 0 <= error.feature < len(self.features) else None
        result.table = self.tables[error.table]["name"] if 0 <= error.table < len(self.tables) else None
        for name in ("sample", "position", "limit"):
            number = getattr(error, name)
            setattr(result, name, number if number >= 0 else None)
        result.value = error.value if error.limit >= 0 or error.value != -1 else None
        return result

    def fail(self, status: int, error: bytes) -> NoReturn:
        """Raises the exception for a failed call, of which C code has the error."""
        raise self.exception(status, abi.Error.from_buffer_copy(error))


_loaded: dict[str, tuple[tuple[int, ...], Library]] = {}
_loaded_lock = threading.Lock()


def open_library(path: "str | os.PathLike[str]") -> Library:
    """Loads a `.so`, or returns it as loaded before, unless the file has been replaced since."""
    real = os.path.realpath(path)
    try:
        status = os.stat(real)
    except OSError as error:
        raise LoadError(f"cannot open '{path}': {error.strerror}") from error
    identity = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    with _loaded_lock:
        known = _loaded.get(real)
        if known and known[0] == identity:
            return known[1]
        library = Library(real) if known is None else _open_copy(real)
        _loaded[real] = (identity, library)
        return library


def _open_copy(path: str) -> Library:
    # The dynamic loader knows libraries by name: under the old one it would hand out the old contents.
    with tempfile.TemporaryDirectory(prefix="trec-") as directory:
        return Library(shutil.copy(path, os.path.join(directory, Path(path).name)))


def library_from_bytes(contents: bytes) -> Library:
    """Loads a `.so` that lives in memory."""
    with tempfile.TemporaryDirectory(prefix="trec-") as directory:
        path = os.path.join(directory, "model.so")
        Path(path).write_bytes(contents)
        return Library(path)


@dataclass
class Weights:
    """Where a model's rows are: a file, or the address and number of rows of each table in the model's order.

    With tables also the address and number of entries of each parameter. On the device rows lie `device_row_bytes`
    apart.
    """

    path: Optional[str] = None
    tables: Optional[Sequence[tuple[int, int]]] = None
    parameters: Sequence[tuple[int, int]] = ()
    on_device: bool = False


def device_row_bytes(row_bytes: int) -> int:
    """Bytes from one row to the next in device memory."""
    return -(-row_bytes // 16) * 16


Progress = Callable[[int, int], None]


def _show_progress(done: int, total: int) -> None:
    """One line on a terminal, overwritten as the work goes on and taken away at its end."""
    if sys.stderr.isatty():
        text = "" if done == total else f"loading weights: {done / 1e9:.1f} of {total / 1e9:.1f} GB"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Placement:
    """Where the tables of a model on a GPU lie: `tables` names some as "device" or "host".

    Of the others the largest go to the host, and of equally large ones the last first, until what is left takes at most
    `device_bytes` of the GPU's memory. `l2_fetch_bytes` (32, 64 or 128) is how much at most is fetched into its cache
    where less is read, by all of this process, from then on. `l2_persist_bytes` of the cache are set aside, likewise,
    for the tables that are read most for their size: those that lie within so many bytes.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    device_bytes: Optional[int] = None
    l2_fetch_bytes: Optional[int] = None
    l2_persist_bytes: Optional[int] = None

    def __post_init__(self) -> None:
        for name, place in self.tables.items():
            if place not in ("device", "host"):
                raise InputError(f"placement: expected 'device' or 'host' for table '{name}', got {place!r}")
        if self.device_bytes is not None and self.device_bytes < 1:
            raise InputError(f"placement: expected device_bytes of at least 1, got {self.device_bytes}")
        if self.l2_fetch_bytes not in (None, 32, 64, 128):
            raise InputError(f"placement: expected l2_fetch_bytes of 32, 64 or 128, got {self.l2_fetch_bytes}")
        if self.l2_persist_bytes is not None and self.l2_persist_bytes < 1:
            raise InputError(f"placement: expected l2_persist_bytes of at least 1, got {self.l2_persist_bytes}")

    def check_names(self, names: Sequence[str]) -> None:
        unknown = [name for name in self.tables if name not in names]
        if unknown:
            raise InputError(f"placement: there is no table '{unknown[0]}', the model has {list(names)}")

    def on_host(self, sizes: Mapping[str, int]) -> set[str]:
        """The tables that go to the host, of tables with these bytes."""
        self.check_names(list(sizes))
        result = {name for name, place in self.tables.items() if place == "host"}
        left = sum(size for name, size in sizes.items() if name not in result)
        free = [name for name in reversed(sizes) if name not in self.tables]
        for name in sorted(free, key=lambda name: -sizes[name]):
            if self.device_bytes is None or left <= self.device_bytes:
                break
            result.add(name)
            left -= sizes[name]
        if self.device_bytes is not None and left > self.device_bytes:
            raise InputError(
                f"placement: device_bytes is {self.device_bytes}, expected at least {left} for the tables on the device"
            )
        return result


@dataclass
class Options:
    bounds_check: Optional[str] = None
    threads: int = 1
    pages: str = "map"
    progress: Progress = _show_progress
    exactness: str = "auto"
    # The number of a GPU.
    gpu: Optional[int] = None
    placement: Placement = Placement()

    def __post_init__(self) -> None:
        if self.gpu is None and self.placement != Placement():
            raise InputError("placement: expected a model on a GPU")
        if self.bounds_check not in abi.BOUNDS:
            names = ", ".join(f"'{name}'" for name in abi.BOUNDS if name)
            raise InputError(f"unknown bounds_check {self.bounds_check!r}, expected one of {names}")
        if self.threads < 1:
            raise InputError(f"expected at least 1 thread, got {self.threads}")
        if self.pages not in abi.PAGES:
            names = ", ".join(f"'{name}'" for name in abi.PAGES)
            raise InputError(f"unknown pages {self.pages!r}, expected one of {names}")
        if self.exactness not in abi.EXACTNESS:
            names = ", ".join(f"'{name}'" for name in abi.EXACTNESS)
            raise InputError(f"unknown exactness {self.exactness!r}, expected one of {names}")


def _log_warning(user: Any, error: Any) -> None:
    logger.warning("%s", _message(error.contents))


_WARNING = abi.Warning_(_log_warning)
# What a field still has that an older model does not know.
_UNKNOWN = 2**64 - 1


def _data_array(places: Sequence[tuple[int, int]], row_bytes: Sequence[int]) -> tuple[Any, int]:
    array = (abi.TableData * max(1, len(places)))()
    for entry, size, (address, rows) in zip(array, row_bytes, places):
        entry.data, entry.rows, entry.row_bytes = address, rows, size
    return ctypes.cast(array, ctypes.POINTER(abi.TableData)), len(places)


class Handle:
    """A created model; destroyed with the object."""

    def __init__(self, library: Library, weights: Weights, options: Options) -> None:
        self.library, self.gpu = library, options.gpu
        self._destroy: Callable[[Any], None] = library.api.destroy
        self.pointer = ctypes.c_void_p()
        create = abi.CreateOptions(size=ctypes.sizeof(abi.CreateOptions))
        create.weights_path = os.fsencode(weights.path) if weights.path is not None else None
        if weights.tables is not None:
            row_bytes = [table["row_bytes"] for table in library.tables]
            if weights.on_device:
                row_bytes = [device_row_bytes(size) for size in row_bytes]
                create.tables_location = abi.DEVICE_CUDA
            create.tables, create.num_tables = _data_array(weights.tables, row_bytes)
            entry_bytes = [parameter["entry_bytes"] for parameter in library.parameters]
            create.parameters, create.num_parameters = _data_array(weights.parameters, entry_bytes)
        create.bounds_check = abi.BOUNDS[options.bounds_check]
        create.threads = options.threads
        create.exactness = abi.EXACTNESS[options.exactness]
        create.warning = _WARNING
        create.pages = abi.PAGES[options.pages]
        if create.pages and not self._has_weights_info:
            raise LoadError(f"pages='{options.pages}': the model was compiled by a trec that only maps weights")
        if options.exactness == "check":
            self._require_exactness()
        create.progress = abi.Progress(lambda _, done, total: options.progress(done, total))
        if options.gpu is not None:
            create.device, create.device_index = abi.DEVICE_CUDA, options.gpu
            self._set_placement(create, options.placement)
        error = new_error()
        self.status = library.api.create(ctypes.byref(create), ctypes.byref(self.pointer), ctypes.byref(error))
        if self.status != abi.OK:
            exception = library.exception(self.status, error)
            exception.status = self.status  # type: ignore[attr-defined]
            raise exception
        self.address: int = self.pointer.value or 0
        if options.placement.l2_persist_bytes and self._table_info(0).persistent_bytes == _UNKNOWN:
            raise LoadError("placement: the model was compiled by a trec that asks the cache to keep nothing")

    @property
    def cpu_level(self) -> Optional[str]:
        """None on a GPU."""
        level = self.library.api.cpu_level(self.pointer)
        return level and level.decode()

    def poll(self) -> None:
        """Raises, or warns of, what a GPU has found wrong in earlier calls and was not said yet."""
        error = new_error()
        status = self.library.api.poll(self.pointer, ctypes.byref(error))
        if status != abi.OK:
            raise self.library.exception(status, error)

    @property
    def _has_weights_info(self) -> bool:
        return self.library.api.size > abi.Api.weights_info.offset

    def _set_placement(self, create: abi.CreateOptions, placement: Placement) -> None:
        if placement == Placement():
            return
        if not self._has_table_info:
            raise LoadError("placement: the model was compiled by a trec that places all tables on the device")
        names = [table["name"] for table in self.library.tables]
        placement.check_names(names)
        if placement.tables:
            places = (abi.PLACES[placement.tables.get(name, "auto")] for name in names)
            create.placements = (ctypes.c_int32 * len(names))(*places)
            create.num_placements = len(names)
        create.device_bytes = placement.device_bytes or 0
        create.l2_fetch_bytes = placement.l2_fetch_bytes or 0
        create.l2_persist_bytes = placement.l2_persist_bytes or 0

    @property
    def _has_table_info(self) -> bool:
        return self.library.api.size > abi.Api.table_info.offset

    def table_infos(self) -> list[dict[str, Any]]:
        """Of each table what the metadata say; on a GPU also where it is, and how many bytes it takes there."""
        if self.gpu is None or not self._has_table_info:
            return self.library.tables
        names, result = {number: name for name, number in abi.PLACES.items()}, []
        for index, table in enumerate(self.library.tables):
            info = self._table_info(index)
            persistent = {"persistent_bytes": info.persistent_bytes} if info.persistent_bytes != _UNKNOWN else {}
            result.append({**table, "place": names[info.place], "bytes": info.bytes, **persistent})
        return result

    def _table_info(self, index: int) -> Any:
        info = abi.TableInfo(size=ctypes.sizeof(abi.TableInfo), persistent_bytes=_UNKNOWN)
        self.library.api.table_info(self.pointer, index, ctypes.byref(info))
        return info

    def weights_info(self) -> dict[str, Any]:
        """How the weights file is held, why, and how many of its bytes are on huge pages now."""
        result = abi.WeightsInfo(size=ctypes.sizeof(abi.WeightsInfo))
        if not self._has_weights_info:
            return {}
        self.library.api.weights_info(self.pointer, ctypes.byref(result))
        names = {number: name for name, number in abi.PAGES.items()}
        huge = huge_bytes(result.data, result.bytes) if result.bytes else 0
        reason = result.reason.decode()
        return {"pages": names[result.pages], "reason": reason, "bytes": result.bytes, "huge_bytes": huge}

    def counters(self) -> dict[str, int]:
        result = abi.Counters(size=ctypes.sizeof(abi.Counters))
        self.library.api.counters(self.pointer, ctypes.byref(result))
        return {"forwards": result.forwards, "bad_ids": result.bad_ids, "failed": result.failed}

    @property
    def _has_exactness(self) -> bool:
        return self.library.api.size > abi.Api.certified_length.offset

    def _require_exactness(self) -> None:
        if not self._has_exactness:
            raise LoadError("the model was compiled by a trec that does not look for exact sums")

    def check_exactness(self) -> None:
        """Looks for exact sums again, in all tables as they now are."""
        self._require_exactness()
        error = new_error()
        status = self.library.api.check_exactness(self.pointer, ctypes.byref(error))
        if status != abi.OK:
            raise self.library.exception(status, error)

    def certified_lengths(self) -> dict[str, int]:
        """By table the longest bag whose sum is known to be exact; 0 where none is."""
        tables = [table["name"] for table in self.library.tables]
        if not self._has_exactness:
            return dict.fromkeys(tables, 0)
        return {name: self.library.api.certified_length(self.pointer, i) for i, name in enumerate(tables)}

    def __del__(self) -> None:
        if getattr(self, "pointer", None):
            self._destroy(self.pointer)
            self.pointer = ctypes.c_void_p()


def _buffer(size: int) -> tuple[bytearray, int]:
    """Memory that is written in Python, and its address; 0 where there is none."""
    memory = bytearray(size)
    return memory, ctypes.addressof((ctypes.c_char * size).from_buffer(memory)) if size else 0


class CallBuffer(threading.local):
    """One trec_error for each thread, kept from call to call.

    For a model without pooling, or of a regroup, also the addresses and sizes of its `num_outputs` outputs; and a
    trec_batch for each batch but the first.
    """

    def __init__(self, num_outputs: int = 0, num_batches: int = 1) -> None:
        self.outputs = (ctypes.c_void_p * num_outputs)()
        self.outputs_bytes = (ctypes.c_uint64 * num_outputs)()
        self.outputs_address = ctypes.addressof(self.outputs)
        self.outputs_bytes_address = ctypes.addressof(self.outputs_bytes)
        self.num_batches = num_batches - 1
        self.batches, self.batches_address = _buffer(self.num_batches * abi.BATCH.size)
        self.error = new_error()
        self.error_address = ctypes.addressof(self.error)


def ids_per_key(totals: list[int], num_values: int) -> list[int]:
    """The number of ids of each key, checked before memory is taken for them."""
    if sum(totals) != num_values or min(totals, default=0) < 0:
        raise InputError(f"expected lengths of 0 or more that sum to the {num_values} values, got {totals} by key")
    return totals


class Slots:
    """Where the model's features are among a caller's keys; remembered for the key lists met last."""

    _LIMIT = 64

    def __init__(self, features: Sequence[str]) -> None:
        self.features = list(features)
        self._known: dict[tuple[str, ...], Any] = {}

    def find(self, keys: Sequence[str]) -> Any:
        """A c_int32 array, or None where the keys are the features. A key met twice counts where it is first."""
        names = tuple(keys)
        if names not in self._known:
            if len(self._known) >= self._LIMIT:
                self._known.clear()
            self._known[names] = self._compute(names)
        return self._known[names]

    def _compute(self, keys: tuple[str, ...]) -> Any:
        if list(keys) == self.features:
            return None
        first: dict[str, int] = {}
        for position, key in enumerate(keys):
            first.setdefault(key, position)
        for feature in self.features:
            if feature not in first:
                error = InputError(f"feature '{feature}' is missing, the batch has keys {list(keys)}")
                error.feature = feature
                raise error
        return (ctypes.c_int32 * len(self.features))(*(first[feature] for feature in self.features))
