"""`trec.load`: a compiled model on numpy or DLPack arrays, without torch."""

import os
from collections.abc import Mapping, Sequence
from ctypes import addressof
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from trec import abi, lines
from trec.cuda import Device, DeviceArray, device_index, is_on_device
from trec.errors import InputError, TrecError, WeightsError
from trec.library import (
    CallBuffer,
    Handle,
    Library,
    Options,
    Placement,
    Progress,
    Slots,
    Weights,
    device_row_bytes,
    ids_per_key,
    open_library,
)
from trec.spec import REGROUP, SEQUENCE

PathLike = Union[str, "os.PathLike[str]"]
_ARGUMENTS = ("values", "lengths", "offsets", "weights", "keys")
_PARAMETER_TYPES = {"float32": np.float32, "int32": np.int32, "int64": np.int64}
_ID_TYPES = {np.dtype(np.int32): abi.INT32, np.dtype(np.int64): abi.INT64}
# numpy has no bfloat16: its bits are handed out.
_OUTPUT_TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16, "uint8": np.uint8}


Array = Union[np.ndarray, DeviceArray]
# Stands for the address of an empty array on a device, which may have none: it is there, and nobody reads it.
_NOWHERE = 16


class _Place(NamedTuple):
    """Where a call works: in host memory, or on a stream of a device."""

    device: Optional[Device] = None
    stream: int = 0

    def array(self, name: str, value: Any) -> Array:
        """A contiguous one-dimensional array over the caller's memory where that already is one, and lies here."""
        if self.device is not None and is_on_device(value):
            result: Array = self.device.array(name, value, self.stream)
        else:
            result = _host_array(value)
        if result.ndim != 1:
            raise InputError(f"{name}: expected one dimension, got shape {list(result.shape)}")
        return result

    def ids(self, name: str, value: Any) -> Array:
        result = self.array(name, value)
        if result.dtype not in _ID_TYPES:
            raise InputError(f"{name}: expected int32 or int64, got {result.dtype}")
        return result

    def weights(self, weights: Any) -> Optional[Array]:
        if weights is None:
            return None
        result = self.array("weights", weights)
        if result.dtype != np.float32:
            raise InputError(f"weights: expected float32, got {result.dtype}")
        return result

    def here(self, name: str, array: Array) -> Array:
        """The array where the model reads it: a copy on the device of one in host memory."""
        is_host = self.device is not None and isinstance(array, np.ndarray)
        return self.device.array(name, array, self.stream) if self.device is not None and is_host else array

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        return lines.empty(shape, dtype) if self.device is None else self.device.empty(shape, dtype, self.stream)


def _host_array(value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        value = np.from_dlpack(value) if hasattr(value, "__dlpack__") else np.asarray(value)
    return np.ascontiguousarray(value) if value.ndim else value


def _address(array: Optional[Array]) -> int:
    if array is None:
        return 0
    if isinstance(array, np.ndarray):
        return array.ctypes.data
    return array.address if array.size else _NOWHERE


def _on_host(array: Array) -> np.ndarray:
    """Its elements; waits where they are on a device."""
    return array if isinstance(array, np.ndarray) else array.numpy()


def _columns(array: Array, columns: slice) -> Any:
    return array[:, columns] if isinstance(array, np.ndarray) else array.columns(columns)


class _BaseModel:
    """What models of all kinds have in common."""

    def __init__(self, library: Library, handle: Handle, keep: Any) -> None:
        self._handle = handle
        self._keep = keep
        output = library.metadata["output"]
        self._keys: list[dict[str, Any]] = output["keys"]
        self._output_type = np.dtype(_OUTPUT_TYPES[output["dtype"]])
        self._call = CallBuffer(library.num_outputs, len(library.batches))
        self._forward = library.api.forward
        self._slots = [Slots(batch["features"]) for batch in library.batches]
        self._metadata = library.metadata
        self.features: list[str] = list(library.features)
        self.tables: list[dict[str, Any]] = library.tables
        self._device = None if handle.gpu is None else Device(handle.gpu)

    def _place(self, stream: Optional[int]) -> _Place:
        if stream is not None and self._device is None:
            raise InputError("stream: the model is on the CPU")
        return _Place(self._device, stream or 0)

    def poll(self) -> None:
        """On a GPU: raises, or warns of, what was wrong in earlier calls and was not said by a later one.

        Never waits; to know of all calls, synchronize with their streams first.
        """
        self._handle.poll()

    @property
    def info(self) -> dict[str, Any]:
        """The model's metadata, the CPU level in use, the counters, how a weights file is held; where tables lie on a GPU."""
        handle = self._handle
        own = {
            "cpu_level": handle.cpu_level, "counters": handle.counters(), "weights": handle.weights_info(),
            "tables": handle.table_infos(),
        }  # fmt: skip
        return {**self._metadata, **own}

    @property
    def certified_lengths(self) -> dict[str, int]:
        """By table the longest bag whose sum is exact in float32, which is added by faster arithmetic; 0: none."""
        return self._handle.certified_lengths()

    def check_exactness(self) -> None:
        """Looks for exact sums in the tables as they now are.

        After rows that have `certified_lengths` were changed in place, it is to be called before the model is.
        """
        self._handle.check_exactness()

    def _run(self, batches: Sequence["_Batch"], output: Optional[Array], place: _Place) -> None:
        batches = [batch.at(place) for batch in batches]
        call, first = self._call, batches[0].fields()
        for index, batch in enumerate(batches[1:]):
            fields = batch.fields()
            abi.BATCH.pack_into(
                call.batches, index * abi.BATCH.size, abi.BATCH.size, *fields.arrays, *fields.types, 0
            )  # fmt: skip
        args = abi.FORWARD_ARGS.pack(
            abi.FORWARD_ARGS.size, batches[0].size, *first.arrays,
            _address(output), 0 if output is None else output.nbytes, 0, 0, 0,
            *first.types, 0,
            call.outputs_address if output is None else 0, call.outputs_bytes_address if output is None else 0,
            call.batches_address, call.num_batches, place.stream,
        )  # fmt: skip
        status = self._forward(self._handle.address, args, call.error_address)
        if status != abi.OK:
            raise self._handle.library.exception(status, call.error)

    def _set_outputs(self, outputs: Sequence[Array]) -> None:
        self._call.outputs[:] = [_address(output) for output in outputs]
        self._call.outputs_bytes[:] = [output.nbytes for output in outputs]

    def _read(
        self, arrays: tuple[Any, Any, Any, Any], keys: Optional[Sequence[str]], place: _Place, index: int = 0
    ) -> "_Batch":
        """Checks what can be seen of one batch without reading the arrays."""
        values, lengths, offsets, weights = arrays
        ids = place.ids("values", values)
        slots = None if keys is None else self._slots[index].find(keys)
        num_keys = len(self._slots[index].features) if keys is None else len(keys)
        bounds, size = _bounds(lengths, offsets, num_keys, place)
        return _Batch(ids, bounds, lengths is not None, size, num_keys, slots, place.weights(weights))


class _Fields(NamedTuple):
    """What trec_forward_args and trec_batch say of a batch."""

    arrays: tuple[int, ...]
    types: tuple[int, int, int]


class _Batch(NamedTuple):
    ids: Array
    bounds: Array
    by_length: bool
    size: int
    num_keys: int
    slots: Any
    weights: Optional[Array]

    def at(self, place: _Place) -> "_Batch":
        weights = None if self.weights is None else place.here("weights", self.weights)
        return self._replace(
            ids=place.here("values", self.ids), bounds=place.here("lengths", self.bounds), weights=weights
        )

    def fields(self) -> _Fields:
        address, kind, by_length = _address(self.bounds), _ID_TYPES[self.bounds.dtype], self.by_length
        weights, num_weights = (0, 0) if self.weights is None else (_address(self.weights), self.weights.size)
        slots = 0 if self.slots is None else addressof(self.slots)
        return _Fields(
            (
                self.num_keys, slots, _address(self.ids), self.ids.size,
                address if by_length else 0, 0 if by_length else address, weights, num_weights,
            ),
            (_ID_TYPES[self.ids.dtype], kind if by_length else 0, 0 if by_length else kind),
        )  # fmt: skip


def _bounds(lengths: Any, offsets: Any, num_keys: int, place: _Place) -> tuple[Array, int]:
    """The array that cuts values into bags, and the batch size that follows from its size."""
    if (lengths is None) == (offsets is None):
        raise InputError(f"expected exactly one of lengths and offsets, got {'none' if lengths is None else 'both'}")
    name, extra = ("lengths", 0) if offsets is None else ("offsets", 1)
    bounds = place.ids(name, lengths if offsets is None else offsets)
    batch, rest = divmod(bounds.size - extra, num_keys) if num_keys else (0, bounds.size - extra)
    if rest or batch < 0:
        shape = f"{num_keys} * B" + (" + 1" if extra else "")
        raise InputError(f"{name}: expected {shape} elements, got {bounds.size}")
    return bounds, batch


class Model(_BaseModel):
    """One loaded model with pooling; may be called from many threads at once."""

    def __init__(self, library: Library, handle: Handle, keep: Any) -> None:
        super().__init__(library, handle, keep)
        self._total_dim: int = library.metadata["output"]["total_dim"]
        self._columns = {key["key"]: slice(key["column"], key["column"] + key["dim"]) for key in self._keys}

    def __call__(
        self,
        values: Any,
        lengths: Any = None,
        offsets: Any = None,
        weights: Any = None,
        keys: Optional[Sequence[str]] = None,
        stream: Optional[int] = None,
    ) -> dict[str, Any]:
        """Pooled embeddings of one batch, by output key; views of one array `[B, total_dim]`.

        `values` holds the ids of all features, one feature after the other, in the order of `features`, or of `keys`
        where given (more than needed, in any order). Exactly one of `lengths` `[K * B]` and `offsets` `[K * B + 1]`.
        On a GPU `stream` is the address of a CUDA stream (the default one where it is left out), and the outputs are
        `trec.cuda.DeviceArray`s.
        """
        whole = self.run_into(None, values, lengths, offsets, weights, keys, stream)
        return {key: _columns(whole, columns) for key, columns in self._columns.items()}

    def run_into(
        self,
        output: Any,
        values: Any,
        lengths: Any = None,
        offsets: Any = None,
        weights: Any = None,
        keys: Optional[Sequence[str]] = None,
        stream: Optional[int] = None,
    ) -> Any:
        """As calling the model, but fills and returns a whole `[B, total_dim]` array, the caller's where given."""
        place = self._place(stream)
        batch = self._read((values, lengths, offsets, weights), keys, place)
        whole = self._output(output, batch.size, place)
        self._run([batch], whole, place)
        return whole if output is None else output

    def _output(self, output: Any, batch: int, place: _Place) -> Array:
        shape = (batch, self._total_dim)
        if output is None:
            return place.empty(shape, self._output_type)
        if place.device is not None:
            if not is_on_device(output):
                raise InputError(f"output: expected an array on cuda:{place.device.index}")
            output = place.device.array("output", output, place.stream)
        is_dense = not isinstance(output, np.ndarray) or output.flags.c_contiguous
        if output.shape != shape or output.dtype != self._output_type or not is_dense:
            raise InputError(
                f"output: expected a contiguous {self._output_type}{list(shape)} array, "
                f"got {output.dtype}{list(output.shape)}"
            )
        return output


class SequenceModel(_BaseModel):
    """One loaded model without pooling; may be called from many threads at once."""

    def __call__(
        self,
        values: Any,
        lengths: Any = None,
        offsets: Any = None,
        keys: Optional[Sequence[str]] = None,
        stream: Optional[int] = None,
    ) -> dict[str, tuple[Any, np.ndarray]]:
        """By output key: a row for each id of the feature, and the number of ids of each sample.

        Arguments as those of a model with pooling. A key that occurs twice is given once. Lengths or offsets on a GPU
        are read back, which waits for them: how many rows there are has to be known.
        """
        place = self._place(stream)
        batch = self._read((values, lengths, offsets, None), keys, place)
        bounds = _on_host(batch.bounds)
        counts = bounds if batch.by_length else np.diff(bounds)
        counts = counts.reshape(batch.num_keys, batch.size)
        totals = ids_per_key(counts.sum(axis=1, dtype=np.int64).tolist(), batch.ids.size)
        places = range(batch.num_keys) if batch.slots is None else batch.slots
        slot_of = dict(zip(self.features, places))
        keys_of = [(key, slot_of[key["feature"]]) for key in self._keys]
        outputs = [place.empty((totals[slot], key["dim"]), self._output_type) for key, slot in keys_of]
        self._set_outputs(outputs)
        self._run([batch], None, place)
        return {key["key"]: (output, counts[slot]) for (key, slot), output in zip(keys_of, outputs)}


class RegroupedModel(_BaseModel):
    """One loaded model of several collections whose outputs are regrouped; may be called from many threads at once."""

    def __init__(self, library: Library, handle: Handle, keep: Any) -> None:
        super().__init__(library, handle, keep)
        self._groups = library.groups
        self.batches: list[list[str]] = [batch["features"] for batch in library.batches]

    def __call__(self, *batches: Mapping[str, Any], stream: Optional[int] = None) -> dict[str, Any]:
        """By group an array `[B, dim]`.

        One mapping for each batch of the model, with the arguments of a model of one collection: `values`, one of
        `lengths` and `offsets`, `weights` where the batch has some, and `keys`. All have one batch size.
        """
        if len(batches) != len(self.batches):
            raise InputError(f"expected {len(self.batches)} batches, got {len(batches)}")
        place = self._place(stream)
        read = [self._read_mapping(batch, index, place) for index, batch in enumerate(batches)]
        size = read[0].size
        for index, batch in enumerate(read):
            if batch.size != size:
                raise InputError(f"batch {index}: expected {size} samples, as batch 0 has, got {batch.size}")
        outputs = [place.empty((size, group["dim"]), self._output_type) for group in self._groups]
        self._set_outputs(outputs)
        self._run(read, None, place)
        return {group["key"]: output for group, output in zip(self._groups, outputs)}

    def _read_mapping(self, batch: Mapping[str, Any], index: int, place: _Place) -> "_Batch":
        unknown = sorted(set(batch) - set(_ARGUMENTS))
        if unknown or "values" not in batch:
            what = f"unknown '{unknown[0]}'" if unknown else "no 'values'"
            raise InputError(f"batch {index}: {what}; expected some of {', '.join(_ARGUMENTS)}")
        values, lengths, offsets, weights, keys = (batch.get(name) for name in _ARGUMENTS)
        try:
            return self._read((values, lengths, offsets, weights), keys, place, index)
        except InputError as error:
            error.args = (f"batch {index}: {error}",)
            raise


def _array_of(arrays: Mapping[str, np.ndarray], kind: str, name: str) -> np.ndarray:
    if name not in arrays:
        raise WeightsError(f"weights of {kind} '{name}' are missing, got {sorted(arrays)}")
    return arrays[name]


def check_parameter(parameter: Mapping[str, Any], array: np.ndarray) -> None:
    """Holds an array against what a model's metadata say of a parameter."""
    kind = np.dtype(_PARAMETER_TYPES[parameter["dtype"]])
    width = parameter["entry_bytes"] // kind.itemsize
    count, shape = parameter["count"], array.shape
    is_shaped = len(shape) > 0 and shape == ((shape[0],) if width == 1 else (shape[0], width))
    if array.dtype == kind and is_shaped and count in (None, shape[0]) and array.flags.c_contiguous:
        return
    expected = "entries" if count is None else str(count)
    raise WeightsError(
        f"parameter '{parameter['name']}': expected contiguous {kind}[{expected}{'' if width == 1 else f', {width}'}], "
        f"got {array.dtype}{list(shape)}"
    )


def _weights_of_arrays(library: Library, arrays: Mapping[str, np.ndarray]) -> tuple[Weights, list[np.ndarray]]:
    keep = []
    for table in library.tables:
        rows = _array_of(arrays, "table", table["name"])
        width = table["row_bytes"]
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != width or not rows.flags.c_contiguous:
            raise WeightsError(
                f"table '{table['name']}': expected contiguous uint8[rows, {width}], got {rows.dtype}{list(rows.shape)}"
            )
        keep.append(rows)
    for parameter in library.parameters:
        array = _array_of(arrays, "parameter", parameter["name"])
        check_parameter(parameter, array)
        keep.append(array)
    places = [(array.ctypes.data, array.shape[0]) for array in keep]
    return Weights(tables=places[: len(library.tables)], parameters=places[len(library.tables) :]), keep


def _weights_on_device(library: Library, arrays: Mapping[str, Any]) -> tuple[Weights, list[Any]]:
    """All of them on the device, rows padded to a multiple of 16 bytes."""
    keep = []
    for table in library.tables:
        rows, width = _array_of(arrays, "table", table["name"]), device_row_bytes(table["row_bytes"])
        keep.append(_described(rows, f"table '{table['name']}'", ("|u1", (None, width))))
    for parameter in library.parameters:
        kind = np.dtype(_PARAMETER_TYPES[parameter["dtype"]])
        pair = parameter["entry_bytes"] // kind.itemsize
        shape = (parameter["count"],) if pair == 1 else (parameter["count"], pair)
        array = _array_of(arrays, "parameter", parameter["name"])
        keep.append(_described(array, f"parameter '{parameter['name']}'", (kind.str, shape)))
    places = [(interface["data"][0], interface["shape"][0]) for interface in keep]
    number = len(library.tables)
    return Weights(tables=places[:number], parameters=places[number:], on_device=True), [keep, arrays]


def _described(array: Any, name: str, expected: tuple[str, tuple[Optional[int], ...]]) -> dict[str, Any]:
    interface = array.__cuda_array_interface__ if hasattr(array, "__cuda_array_interface__") else {}
    kind, shape = expected
    got = tuple(interface.get("shape", ()))
    fits = len(got) == len(shape) and all(want in (None, size) for want, size in zip(shape, got))
    if interface.get("typestr") == kind and fits and interface.get("strides") is None:
        return interface
    wanted = ", ".join("rows" if size is None else str(size) for size in shape)
    what = f"{interface['typestr']}{list(got)}" if interface else type(array).__name__
    raise WeightsError(f"{name}: expected a contiguous array {kind}[{wanted}] on the device, got {what}")


def _create_without_weights(library: Library, so: PathLike, options: Options) -> Handle:
    """From the weights inside the `.so`, else from the file beside it."""
    try:
        return Handle(library, Weights(), options)
    except TrecError as error:
        if getattr(error, "status", None) not in (abi.INVALID_ARGUMENT, abi.WEIGHTS_MISMATCH):
            raise
        reason = error
    sibling = Path(so).with_suffix(".safetensors")
    if not sibling.exists():
        if options.pages == "huge":
            raise reason  # there may be embedded ones, which stay where they are
        raise WeightsError(f"'{so}' has no weights in it and '{sibling}' does not exist, pass weights=") from reason
    return Handle(library, Weights(path=str(sibling)), options)


def load(
    so: PathLike,
    weights: Union[None, PathLike, Mapping[str, np.ndarray]] = None,
    device: Any = "cpu",
    threads: int = 1,
    bounds_check: Optional[str] = None,
    *,
    pages: str = "map",
    progress: Optional[Progress] = None,
    exactness: str = "auto",
    placement: Placement = Placement(),
) -> Union[Model, SequenceModel, RegroupedModel]:
    """Loads a compiled model.

    `weights`: a safetensors file, or arrays that are used where they lie: `uint8[rows, row_bytes]` by table, and by the
    name of each parameter `float32[length]` position weights or a map from ids to rows. Without it the weights inside
    the `.so` are used, or else those of the file beside it with the suffix `.safetensors`.

    `pages`: how a file is held. `"map"` maps it: nothing is read ahead, and processes share one copy. `"huge"` copies it
    to memory of this process that is advised to be on huge pages, for speed. `"auto"` copies large files where there
    is memory for them. `info["weights"]` says what came of it. `progress(bytes_done, bytes_total)` is called during a
    copy; by default a terminal shows how far it is.

    `exactness`: whether to look for tables whose sums are exact, which have the same bits by faster arithmetic. "check"
    reads the scale and bias of every row, and is a promise to call `check_exactness` after rows were changed in place;
    "auto" looks in files that are copied or have at most 64 MiB, and not in arrays; "off" never.

    With `device` "cuda" or "cuda:N" weights are copied to that GPU, but for arrays that lie there already: a model that
    was compiled with `gpu=` then takes arrays on it, and numpy arrays, which are copied at each call. `placement` says
    which tables stay in host memory, and `info["tables"]` where they are.
    """
    gpu = device_index(device)
    options = Options(bounds_check, threads, pages, exactness=exactness, gpu=gpu, placement=placement)
    library = open_library(so)
    if progress is not None:
        options.progress = progress
    keep: Any = None
    if weights is None:
        handle = _create_without_weights(library, so, options)
    elif isinstance(weights, Mapping):
        on_device = options.gpu is not None and any(is_on_device(array) for array in weights.values())
        source, keep = (_weights_on_device if on_device else _weights_of_arrays)(library, weights)
        handle = Handle(library, source, options)
    else:
        handle = Handle(library, Weights(path=os.fspath(weights)), options)
    kinds: dict[str, type[_BaseModel]] = {SEQUENCE: SequenceModel, REGROUP: RegroupedModel}
    return kinds.get(library.metadata["kind"], Model)(library, handle, keep)  # type: ignore[return-value]
