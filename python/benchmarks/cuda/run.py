"""One case on a GPU: rows, index sets, the peers, and what is measured of them."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import trec
from benchmarks.cuda import gather, timing
from benchmarks.cuda.cases import Case
from trec import abi
from trec.library import new_error

_SEED = 7
# Clears one bit of each half's exponent, so that every view of the rows is finite.
_MASK = -((~0xBBFFBBFFBBFFBBFF & 0xFFFFFFFFFFFFFFFF) + 1)
_TYPES = {"int8": "INT8", "int4": "INT4", "int2": "INT2", "fp16": "FP16"}
_CODES = {torch.int32: abi.INT32, torch.int64: abi.INT64}
_OUTPUTS = {"float16": "FP16", "float32": "FP32"}
_ALIGNMENT = 4096


def random_bytes(size: int, device: str) -> torch.Tensor:
    """Rows for all cases."""
    result = torch.empty(-(-size // _ALIGNMENT) * _ALIGNMENT, dtype=torch.uint8, device=device)
    torch.manual_seed(1)
    words, step = result.view(torch.int64), 1 << 28
    for begin in range(0, words.numel(), step):
        words[begin : begin + step].random_(-(2**63), None).bitwise_and_(_MASK)
    return result


def size_of(case: Case) -> int:
    return sum(-(-rows * stride // _ALIGNMENT) * _ALIGNMENT for (rows, _, _), stride in zip(case.tables, case.strides()))


def _zipf(count: int, rows: int, table: torch.Tensor) -> torch.Tensor:
    ranks = torch.arange(1, rows + 1, device=table.device, dtype=torch.float64) ** -1.05
    sums = torch.cumsum(ranks, 0)
    rank = torch.searchsorted(sums / sums[-1], torch.rand(count, device=table.device, dtype=torch.float64))
    return (rank.clamp_(max=rows - 1) * 387420489 + table * 7919) % rows


class IndexSet:
    """Ids, lengths and offsets of one call, of one type as TorchRec passes them."""

    def __init__(self, case: Case, device: str) -> None:
        tables, kind = len(case.tables), getattr(torch, case.ids)
        if case.is_jagged:
            parts = [torch.randint(0, 2 * length + 1, (case.batch,), device=device) for length in case.lengths]
            lengths = torch.cat(parts)
        else:
            lengths = torch.tensor(case.lengths, device=device).repeat_interleave(case.batch)
        self.totals: list[int] = lengths.view(tables, case.batch).sum(1).tolist()
        self.lengths = lengths.to(kind)
        self.offsets = torch.zeros(tables * case.batch + 1, dtype=kind, device=device)
        self.offsets[1:] = torch.cumsum(lengths, 0)
        self.table = torch.repeat_interleave(torch.tensor(self.totals, device=device))
        count = self.table.numel()
        rows = torch.tensor([rows for rows, _, _ in case.tables], device=device)
        if case.distribution == "zipf":
            ids = _zipf(count, case.tables[0][0], self.table)
        else:
            ids = torch.rand(count, device=device, dtype=torch.float64) * rows[self.table]
        self.ids = ids.to(kind)
        self.weights = torch.rand(count, device=device) if case.is_weighted else None


def make_tbe(case: Case, buffer: torch.Tensor, is_checked: bool) -> Any:
    """FBGEMM's module on the buffer, with or without its check of ids."""
    from fbgemm_gpu.split_embedding_configs import SparseType
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode, EmbeddingLocation, PoolingMode
    from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen

    pooling = getattr(PoolingMode, case.pooling.upper()) if case.is_pooled else PoolingMode.NONE
    place = EmbeddingLocation.DEVICE if buffer.is_cuda else EmbeddingLocation.HOST
    tbe = IntNBitTableBatchedEmbeddingBagsCodegen(
        [(f"t{index}", rows, dim, SparseType[_TYPES[dtype]], place)
         for index, (rows, dim, dtype) in enumerate(case.tables)],
        device=buffer.device, output_dtype=SparseType[_OUTPUTS[case.output]], pooling_mode=pooling, row_alignment=16,
        bounds_check_mode=BoundsCheckMode.WARNING if is_checked else BoundsCheckMode.NONE,
        indices_dtype=getattr(torch, case.ids),
    )  # fmt: skip
    return put_rows(tbe, buffer)


def put_rows(tbe: Any, buffer: torch.Tensor) -> Any:
    """FBGEMM's module with its rows in the buffer, as its own loading would leave it."""
    if buffer.is_cuda:
        tbe.weights_dev = buffer[: tbe.dev_size]
    else:
        tbe.weights_host = buffer[: tbe.host_size]
    tbe.weight_initialized = True
    tbe.initialize_logical_weights_placements_and_offsets()
    return tbe


class Run:
    """All peers of a case read the same rows in the same memory."""

    def __init__(
        self, case: Case, buffer: torch.Tensor, library: Path, placement: trec.Placement = trec.Placement()
    ) -> None:
        self.case, self.buffer, self.library = case, buffer, library
        torch.manual_seed(_SEED)
        self.sets = [IndexSet(case, buffer.device.type) for _ in range(case.sets)]
        self.checked, self.tbe = make_tbe(case, buffer, True), make_tbe(case, buffer, False)
        self.places: list[int] = self.tbe.weights_offsets.tolist()
        rows = {name: table if buffer.is_cuda else table.numpy() for name, table in self.tables().items()}
        self.model = trec.load(library, rows, device=buffer.device.type, bounds_check="ignore", placement=placement)
        self._keep: list[Any] = []

    def tables(self) -> dict[str, torch.Tensor]:
        return {
            f"t{index}": self.buffer[place : place + rows * stride].view(rows, stride)
            for index, (place, (rows, _, _), stride) in enumerate(
                zip(self.places, self.case.tables, self.case.strides())
            )
        }

    def trec_call(self, given: IndexSet) -> tuple[Callable[[], None], torch.Tensor]:
        """A call of the C interface with arguments that are filled before anything is timed, and its output."""
        case, api, device = self.case, self.model._handle.library.api, self.buffer.device
        dims = [dim for _, dim, _ in case.tables]
        shape = (case.batch, sum(dims)) if case.is_pooled else (given.ids.numel(), dims[0])
        output = torch.full(shape, float("nan"), dtype=getattr(torch, case.output), device=device)
        args = abi.ForwardArgs(size=ctypes.sizeof(abi.ForwardArgs), batch_size=case.batch, num_keys=len(dims))
        args.values, args.num_values = given.ids.data_ptr(), given.ids.numel()
        args.values_type = args.offsets_type = _CODES[given.ids.dtype]
        args.offsets = given.offsets.data_ptr()
        if given.weights is not None:
            args.weights, args.num_weights = given.weights.data_ptr(), given.weights.numel()
        if case.is_pooled:
            args.output, args.output_bytes = output.data_ptr(), output.nbytes
        else:
            self._set_outputs(args, output, given.totals)
        error = new_error()
        self._keep.append((args, error, output))
        address, args_at, error_at = self.model._handle.address, ctypes.addressof(args), ctypes.addressof(error)
        stream = (lambda: torch.cuda.current_stream().cuda_stream) if device.type == "cuda" else int

        def call() -> None:
            args.stream = stream()
            status = api.forward(address, args_at, error_at)
            if status:
                raise self.model._handle.library.exception(status, error)

        return call, output

    def _set_outputs(self, args: Any, output: torch.Tensor, totals: list[int]) -> None:
        """Without pooling: the rows of each feature, one after the other in one tensor."""
        row = output.shape[1] * output.element_size()
        begins = np.concatenate([[0], np.cumsum(totals)])
        outputs = (ctypes.c_void_p * len(totals))(*(output.data_ptr() + int(begin) * row for begin in begins[:-1]))
        sizes = (ctypes.c_uint64 * len(totals))(*(total * row for total in totals))
        args.outputs, args.outputs_bytes = ctypes.addressof(outputs), ctypes.addressof(sizes)
        self._keep.append((outputs, sizes))

    def compare(self) -> dict[str, int]:
        """Elements of the first index set whose bits differ from FBGEMM's."""
        call, output = self.trec_call(self.sets[0])
        call()
        timing.wait()
        given = self.sets[0]
        want = self.tbe(given.ids, given.offsets, given.weights)
        bits = torch.int16 if output.element_size() == 2 else torch.int32
        different = int((output.view(bits) != want.view(bits)).sum())
        both_nan = int((torch.isnan(output) & torch.isnan(want)).sum())
        return {"elements": want.numel(), "different": different, "nan": both_nan}

    def calls(self) -> timing.Calls:
        """Of what the peers have below their modules."""
        return {
            "trec": [self.trec_call(given)[0] for given in self.sets],
            "fbgemm": [lambda s=given: self.tbe(s.ids, s.offsets, s.weights) for given in self.sets],
            "fbgemm+check": [lambda s=given: self.checked(s.ids, s.offsets, s.weights) for given in self.sets],
        }

    def limit(self) -> dict[str, Any]:
        """The fastest way to read the first set's rows, and how many bytes they have."""
        strides, given = self.case.strides(), self.sets[0]
        at = torch.tensor(self.places, device="cuda")[given.table]
        stride = torch.tensor(strides, device="cuda")[given.table]
        first = at + given.ids.long() * stride
        parts = [
            (((first[stride == size]) // 16).to(torch.uint32), size // 16) for size in sorted(set(strides))
        ]
        times = timing.by_events({name: [call] for name, call in gather.ways(self.buffer, parts).items()}, 12)
        best = min((sorted(value)[len(value) // 2], name) for name, value in times.items())
        last = first + stride - 1
        granules = int(((last // 64 - first // 64 + 1) * 64).sum())
        return {
            "us": times[best[1]], "way": best[1], "rows": given.ids.numel(), "stored": int(stride.sum()),
            "granules64": granules,
        }  # fmt: skip
