"""The peers of a case, each ready to be called on every index set with nothing left to prepare.

All of them read the same rows and ids; ATen alone needs rows in a layout of its own.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from benchmarks.aten import aten_peer
from benchmarks.batches import IndexSet
from benchmarks.case import Load
from benchmarks.on_file import handle_on_file
from benchmarks.workload import Workload
from trec import abi, lines
from trec.errors import TrecError
from trec.library import Handle, Options, new_error
from trec.testing.models import flatten

_OP = "int_nbit_split_embedding_codegen_lookup_function"
_ID_TYPES = {"int32": abi.INT32, "int64": abi.INT64}


@dataclass
class Peer:
    """`function(*arguments[i])` looks set i up; `read(result, i)` gives the arrays that came out of it.

    `check` raises where a call failed since the peer was made. `certified` has the longest bag of each table whose sum
    is known to be exact, of peers that look for that.
    """

    name: str
    function: Callable[..., Any]
    arguments: list[tuple[Any, ...]]
    read: Callable[[Any, int], list[np.ndarray]]
    keep: list[Any] = field(default_factory=list)
    check: Callable[[], None] = lambda: None
    certified: Optional[dict[str, int]] = None


def make_peers(names: tuple[str, ...], workload: Workload, load: Load, sets: list[IndexSet]) -> list[Peer]:
    """Peers that cannot run the case are left out."""
    kjts: list[Any] = []
    if {"trec_module", "torchrec"} & set(names):
        kjts = [_kjt(workload, batch) for batch in sets]
    makers: dict[str, Callable[[], Optional[Peer]]] = {
        "fbgemm": lambda: _fbgemm(workload, sets),
        "trec": lambda: _trec(workload, load, sets),
        "trec_certified": lambda: _trec_certified(workload, load, sets),
        "trec_map": lambda: _trec_on_file("map", workload, load, sets),
        "trec_huge": lambda: _trec_on_file("huge", workload, load, sets),
        "trec_module": lambda: _module("trec_module", workload.compiled, kjts),
        "torchrec": lambda: _module("torchrec", workload.module, kjts),
        "aten": lambda: _aten(workload, sets),
    }
    made = [makers[name]() for name in names]
    return [peer for peer in made if peer is not None]


def _tensor(array: Optional[np.ndarray]) -> Any:
    return None if array is None else torch.from_numpy(array)


def _kjt(workload: Workload, batch: IndexSet) -> KeyedJaggedTensor:
    kjt = KeyedJaggedTensor(
        workload.feature_names, _tensor(batch.ids), weights=_tensor(batch.weights), lengths=_tensor(batch.lengths)
    )
    # Computed at first use and then kept; a set that is used again would have it easier.
    kjt.offsets()
    return kjt


def _module(name: str, module: Any, kjts: list[Any]) -> Peer:
    return Peer(name, module, [(kjt,) for kjt in kjts], lambda result, _: flatten_values(result))


def flatten_values(result: Any) -> list[np.ndarray]:
    """The embeddings alone: of sequences not their lengths."""
    if isinstance(result, dict):
        return [flatten({"": jagged})[1][0] for jagged in result.values()]
    return flatten(result)[1]


def _fbgemm(workload: Workload, sets: list[IndexSet]) -> Peer:
    """One call of FBGEMM's op for each group of tables that TorchRec makes."""
    op = getattr(torch.ops.fbgemm, _OP)
    calls = [_op_arguments(workload, batch) for batch in sets]
    if len(workload.tbes) == 1:
        return Peer("fbgemm", op, [call[0] for call in calls], lambda result, _: [_bits(result)])

    def run(*groups: Any) -> list[Any]:
        return [op(*group) for group in groups]

    return Peer("fbgemm", run, [tuple(call) for call in calls], lambda results, _: [_bits(r) for r in results])


def _bits(tensor: torch.Tensor) -> np.ndarray:
    # numpy has no bfloat16.
    return tensor.view(torch.uint16).numpy() if tensor.dtype is torch.bfloat16 else tensor.numpy()


def _op_arguments(workload: Workload, batch: IndexSet) -> list[tuple[Any, ...]]:
    features = len(workload.feature_names)
    size = (len(batch.offsets) - 1) // features
    weights = workload.weights_of(batch)
    result, first = [], 0
    for tbe, count in zip(workload.tbes, workload.module._feature_splits):
        offsets = batch.offsets[first * size : (first + count) * size + 1]
        begin, end = int(offsets[0]), int(offsets[-1])
        part = None if weights is None else weights[begin:end]
        inputs = (_tensor(batch.ids[begin:end]), _tensor(offsets - offsets[0]), _tensor(part))
        result.append(_op_call(tbe, *inputs))
        first += count
    return result


def _op_call(tbe: Any, indices: Any, offsets: Any, weights: Any) -> tuple[Any, ...]:
    """As IntNBitTableBatchedEmbeddingBagsCodegen calls its op."""
    return (
        tbe.weights_host, tbe.weights_uvm, tbe.weights_placements, tbe.weights_offsets, tbe.weights_tys, tbe.D_offsets,
        tbe.total_D, tbe.max_int2_D, tbe.max_int4_D, tbe.max_int8_D, tbe.max_float16_D, tbe.max_float32_D, indices,
        offsets, int(tbe.pooling_mode), weights, tbe.output_dtype, tbe.lxu_cache_weights,
        torch.empty(0, dtype=torch.int32), tbe.row_alignment, tbe.max_float8_D, tbe.fp8_exponent_bits,
        tbe.fp8_exponent_bias,
    )  # fmt: skip


_OUTPUT_TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16, "uint8": np.uint8}


class _Outputs:
    """Where the C interface writes: one array for a batch, or one for each feature; shared by all sets."""

    def __init__(self, workload: Workload, sets: list[IndexSet]) -> None:
        model = workload.model
        dims = [model.output_dim(table) for table in model.feature_tables]
        kind = _OUTPUT_TYPES[model.output]
        self._is_sequence = model.kind == "sequence"
        if not self._is_sequence:
            size = (len(sets[0].offsets) - 1) // len(dims)
            self.arrays = [lines.empty((size, sum(dims)), kind)]
            self._fill()
            return
        counts = np.max([_ids_by_feature(batch, len(dims)) for batch in sets], axis=0)
        self.arrays = [lines.empty((int(count), dim), kind) for count, dim in zip(counts, dims)]
        self._fill()
        self._pointers = (ctypes.c_void_p * len(dims))(*(array.ctypes.data for array in self.arrays))
        self._sizes = (ctypes.c_uint64 * len(dims))(*(array.nbytes for array in self.arrays))

    def _fill(self) -> None:
        """Brings the pages into memory."""
        for array in self.arrays:
            array[...] = 0

    def fields(self) -> tuple[int, int, int, int]:
        """output, output_bytes, outputs, outputs_bytes."""
        if self._is_sequence:
            return 0, 0, ctypes.addressof(self._pointers), ctypes.addressof(self._sizes)
        return self.arrays[0].ctypes.data, self.arrays[0].nbytes, 0, 0

    def written(self, batch: IndexSet) -> list[np.ndarray]:
        if not self._is_sequence:
            return self.arrays
        return [array[:count] for array, count in zip(self.arrays, _ids_by_feature(batch, len(self.arrays)))]


def _ids_by_feature(batch: IndexSet, features: int) -> np.ndarray:
    return batch.lengths.reshape(features, -1).sum(axis=1, dtype=np.int64)


def _trec(workload: Workload, load: Load, sets: list[IndexSet]) -> Peer:
    return _c_interface("trec", workload.compiled._handle(torch.get_num_threads()), workload, load, sets)


def _trec_certified(workload: Workload, load: Load, sets: list[IndexSet]) -> Peer:
    """A model of its own, which looks for exact sums when it is created."""
    handle = workload.compiled._create(Options(threads=torch.get_num_threads(), exactness="check"))
    return _c_interface("trec_certified", handle, workload, load, sets)


def _trec_on_file(pages: str, workload: Workload, load: Load, sets: list[IndexSet]) -> Peer:
    """On a weights file of the same rows, held as `pages` says."""
    handle = handle_on_file(workload, Options(threads=torch.get_num_threads(), pages=pages))
    return _c_interface(f"trec_{pages}", handle, workload, load, sets)


def _c_interface(name: str, handle: Handle, workload: Workload, load: Load, sets: list[IndexSet]) -> Peer:
    """By a struct of arguments for each set that is filled before anything is timed."""
    forward = handle.library.api.forward
    outputs, error = _Outputs(workload, sets), new_error()
    structs = [_forward_args(workload, load, batch, outputs) for batch in sets]

    def read(status: int, index: int) -> list[np.ndarray]:
        if status:
            raise handle.library.exception(status, error)
        return outputs.written(sets[index])

    def check() -> None:
        failed = handle.counters()["failed"]
        if failed:
            raise TrecError(f"{failed} calls of trec failed: {error.message.decode(errors='replace')}")

    arguments = [(handle.address, ctypes.addressof(struct), ctypes.addressof(error)) for struct in structs]
    return Peer(name, forward, arguments, read, [handle, structs], check, handle.certified_lengths())


def _forward_args(workload: Workload, load: Load, batch: IndexSet, outputs: _Outputs) -> Any:
    features = len(workload.feature_names)
    output, output_bytes, many, many_bytes = outputs.fields()
    id_type = _ID_TYPES[load.ids]
    weights = batch.weights
    return abi.ForwardArgs(
        size=ctypes.sizeof(abi.ForwardArgs), batch_size=(len(batch.offsets) - 1) // features, num_keys=features,
        values=batch.ids.ctypes.data, num_values=len(batch.ids), offsets=batch.offsets.ctypes.data,
        weights=None if weights is None else weights.ctypes.data, num_weights=0 if weights is None else len(weights),
        output=output, output_bytes=output_bytes, values_type=id_type, offsets_type=id_type, outputs=many,
        outputs_bytes=many_bytes,
    )  # fmt: skip


def _aten(workload: Workload, sets: list[IndexSet]) -> Optional[Peer]:
    made = aten_peer(workload, sets)
    return None if made is None else Peer("aten", *made)
