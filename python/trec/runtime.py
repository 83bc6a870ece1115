"""`trec.load`: a compiled model on numpy or DLPack arrays, without torch."""

import os
from collections.abc import Mapping, Sequence
from ctypes import addressof
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from trec import abi
from trec.errors import InputError, TrecError, WeightsError
from trec.library import CallBuffer, Handle, Library, Options, Progress, Slots, Weights, ids_per_key, open_library
from trec.spec import REGROUP, SEQUENCE

PathLike = Union[str, "os.PathLike[str]"]
_ARGUMENTS = ("values", "lengths", "offsets", "weights", "keys")
_PARAMETER_TYPES = {"float32": np.float32, "int32": np.int32, "int64": np.int64}
_ID_TYPES = {np.dtype(np.int32): abi.INT32, np.dtype(np.int64): abi.INT64}
# numpy has no bfloat16: its bits are handed out.
_OUTPUT_TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16, "uint8": np.uint8}


def _array(name: str, value: Any) -> np.ndarray:
    """A contiguous one-dimensional array over the caller's memory where that already is one."""
    if not isinstance(value, np.ndarray):
        value = np.from_dlpack(value) if hasattr(value, "__dlpack__") else np.asarray(value)
    if value.ndim != 1:
        raise InputError(f"{name}: expected one dimension, got shape {list(value.shape)}")
    return np.ascontiguousarray(value)


def _ids(name: str, value: Any) -> np.ndarray:
    result = _array(name, value)
    if result.dtype not in _ID_TYPES:
        raise InputError(f"{name}: expected int32 or int64, got {result.dtype}")
    return result


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

    @property
    def info(self) -> dict[str, Any]:
        """The model's metadata, the CPU level in use, the counters, and how a weights file is held."""
        handle = self._handle
        own = {"cpu_level": handle.cpu_level, "counters": handle.counters(), "weights": handle.weights_info()}
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

    def _run(self, batches: Sequence["_Batch"], output: Optional[np.ndarray]) -> None:
        call, first = self._call, batches[0].fields()
        for index, batch in enumerate(batches[1:]):
            fields = batch.fields()
            abi.BATCH.pack_into(
                call.batches, index * abi.BATCH.size, abi.BATCH.size, *fields.arrays, *fields.types, 0
            )  # fmt: skip
        abi.FORWARD_ARGS.pack_into(
            call.args, 0, abi.FORWARD_ARGS.size, batches[0].size, *first.arrays,
            0 if output is None else output.ctypes.data, 0 if output is None else output.nbytes, 0, 0, 0,
            *first.types, 0,
            call.outputs_address if output is None else 0, call.outputs_bytes_address if output is None else 0,
            call.batches_address, call.num_batches, 0,
        )  # fmt: skip
        status = self._forward(self._handle.address, call.args_address, call.error_address)
        if status != abi.OK:
            raise self._handle.library.exception(status, call.error)

    def _read(
        self, arrays: tuple[Any, Any, Any, Any], keys: Optional[Sequence[str]], index: int = 0
    ) -> "_Batch":
        """Checks what can be seen of one batch without reading the arrays."""
        values, lengths, offsets, weights = arrays
        ids = _ids("values", values)
        slots = None if keys is None else self._slots[index].find(keys)
        num_keys = len(self._slots[index].features) if keys is None else len(keys)
        bounds, size = _bounds(lengths, offsets, num_keys)
        return _Batch(ids, bounds, lengths is not None, size, num_keys, slots, _weights(weights))


class _Fields(NamedTuple):
    """What trec_forward_args and trec_batch say of a batch."""

    arrays: tuple[int, ...]
    types: tuple[int, int, int]


class _Batch(NamedTuple):
    ids: np.ndarray
    bounds: np.ndarray
    by_length: bool
    size: int
    num_keys: int
    slots: Any
    weights: Optional[np.ndarray]

    def fields(self) -> _Fields:
        address, kind, by_length = self.bounds.ctypes.data, _ID_TYPES[self.bounds.dtype], self.by_length
        weights, num_weights = (0, 0) if self.weights is None else (self.weights.ctypes.data, self.weights.size)
        slots = 0 if self.slots is None else addressof(self.slots)
        return _Fields(
            (
                self.num_keys, slots, self.ids.ctypes.data, self.ids.size,
                address if by_length else 0, 0 if by_length else address, weights, num_weights,
            ),
            (_ID_TYPES[self.ids.dtype], kind if by_length else 0, 0 if by_length else kind),
        )  # fmt: skip


def _bounds(lengths: Any, offsets: Any, num_keys: int) -> tuple[np.ndarray, int]:
    """The array that cuts values into bags, and the batch size that follows from its size."""
    if (lengths is None) == (offsets is None):
        raise InputError(f"expected exactly one of lengths and offsets, got {'none' if lengths is None else 'both'}")
    name, extra = ("lengths", 0) if offsets is None else ("offsets", 1)
    bounds = _ids(name, lengths if offsets is None else offsets)
    batch, rest = divmod(bounds.size - extra, num_keys) if num_keys else (0, bounds.size - extra)
    if rest or batch < 0:
        shape = f"{num_keys} * B" + (" + 1" if extra else "")
        raise InputError(f"{name}: expected {shape} elements, got {bounds.size}")
    return bounds, batch


def _weights(weights: Any) -> Optional[np.ndarray]:
    if weights is None:
        return None
    result = _array("weights", weights)
    if result.dtype != np.float32:
        raise InputError(f"weights: expected float32, got {result.dtype}")
    return result


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
    ) -> dict[str, np.ndarray]:
        """Pooled embeddings of one batch, by output key; views of one array `[B, total_dim]`.

        `values` holds the ids of all features, one feature after the other, in the order of `features`, or of `keys`
        where given (more than needed, in any order). Exactly one of `lengths` `[K * B]` and `offsets` `[K * B + 1]`.
        """
        whole = self.run_into(None, values, lengths, offsets, weights, keys)
        return {key: whole[:, columns] for key, columns in self._columns.items()}

    def run_into(
        self,
        output: Optional[np.ndarray],
        values: Any,
        lengths: Any = None,
        offsets: Any = None,
        weights: Any = None,
        keys: Optional[Sequence[str]] = None,
    ) -> np.ndarray:
        """As calling the model, but fills and returns a whole `[B, total_dim]` array, the caller's where given."""
        batch = self._read((values, lengths, offsets, weights), keys)
        output = self._output(output, batch.size)
        self._run([batch], output)
        return output

    def _output(self, output: Optional[np.ndarray], batch: int) -> np.ndarray:
        shape = (batch, self._total_dim)
        if output is None:
            return np.empty(shape, self._output_type)
        if output.shape != shape or output.dtype != self._output_type or not output.flags.c_contiguous:
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
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By output key: a row for each id of the feature, and the number of ids of each sample.

        Arguments as those of a model with pooling. A key that occurs twice is given once.
        """
        batch = self._read((values, lengths, offsets, None), keys)
        counts = batch.bounds if batch.by_length else np.diff(batch.bounds)
        counts = counts.reshape(batch.num_keys, batch.size)
        totals = ids_per_key(counts.sum(axis=1, dtype=np.int64).tolist(), batch.ids.size)
        places = range(batch.num_keys) if batch.slots is None else batch.slots
        place = dict(zip(self.features, places))
        keys_of = [(key, place[key["feature"]]) for key in self._keys]
        outputs = [np.empty((totals[slot], key["dim"]), self._output_type) for key, slot in keys_of]
        self._call.outputs[:] = [output.ctypes.data for output in outputs]
        self._call.outputs_bytes[:] = [output.nbytes for output in outputs]
        self._run([batch], None)
        return {key["key"]: (output, counts[slot]) for (key, slot), output in zip(keys_of, outputs)}


class RegroupedModel(_BaseModel):
    """One loaded model of several collections whose outputs are regrouped; may be called from many threads at once."""

    def __init__(self, library: Library, handle: Handle, keep: Any) -> None:
        super().__init__(library, handle, keep)
        self._groups = library.groups
        self.batches: list[list[str]] = [batch["features"] for batch in library.batches]

    def __call__(self, *batches: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """By group an array `[B, dim]`.

        One mapping for each batch of the model, with the arguments of a model of one collection: `values`, one of
        `lengths` and `offsets`, `weights` where the batch has some, and `keys`. All have one batch size.
        """
        if len(batches) != len(self.batches):
            raise InputError(f"expected {len(self.batches)} batches, got {len(batches)}")
        read = [self._read_mapping(batch, index) for index, batch in enumerate(batches)]
        size = read[0].size
        for index, batch in enumerate(read):
            if batch.size != size:
                raise InputError(f"batch {index}: expected {size} samples, as batch 0 has, got {batch.size}")
        outputs = [np.empty((size, group["dim"]), self._output_type) for group in self._groups]
        self._call.outputs[:] = [output.ctypes.data for output in outputs]
        self._call.outputs_bytes[:] = [output.nbytes for output in outputs]
        self._run(read, None)
        return {group["key"]: output for group, output in zip(self._groups, outputs)}

    def _read_mapping(self, batch: Mapping[str, Any], index: int) -> "_Batch":
        unknown = sorted(set(batch) - set(_ARGUMENTS))
        if unknown or "values" not in batch:
            what = f"unknown '{unknown[0]}'" if unknown else "no 'values'"
            raise InputError(f"batch {index}: {what}; expected some of {', '.join(_ARGUMENTS)}")
        values, lengths, offsets, weights, keys = (batch.get(name) for name in _ARGUMENTS)
        try:
            return self._read((values, lengths, offsets, weights), keys, index)
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
    device: str = "cpu",
    threads: int = 1,
    bounds_check: Optional[str] = None,
    *,
    pages: str = "map",
    progress: Optional[Progress] = None,
    exactness: str = "auto",
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
    """
    if device != "cpu":
        raise InputError(f"device: expected 'cpu', got '{device}'")
    library = open_library(so)
    options = Options(bounds_check, threads, pages, exactness=exactness)
    if progress is not None:
        options.progress = progress
    keep: Any = None
    if weights is None:
        handle = _create_without_weights(library, so, options)
    elif isinstance(weights, Mapping):
        source, keep = _weights_of_arrays(library, weights)
        handle = Handle(library, source, options)
    else:
        handle = Handle(library, Weights(path=os.fspath(weights)), options)
    kinds: dict[str, type[_BaseModel]] = {SEQUENCE: SequenceModel, REGROUP: RegroupedModel}
    return kinds.get(library.metadata["kind"], Model)(library, handle, keep)  # type: ignore[return-value]
