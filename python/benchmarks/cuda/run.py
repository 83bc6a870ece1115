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


def random_bytes(size: int) -> torch.Tensor:
    """Rows for all cases."""
    result = torch.empty(-(-size // 4096) * 4096, dtype=torch.uint8, device="cuda")
    torch.manual_seed(1)
    words, step = result.view(torch.int64), 1 << 28
    for begin in range(0, words.numel(), step):
        words[begin : begin + step].random_(-(2**63), None).bitwise_and_(_MASK)
    return result


def size_of(case: Case) -> int:
    return sum(-(-rows * stride // 4096) * 4096 for (rows, _, _), stride in zip(case.tables, case.strides()))


def _zipf(count: int, rows: int, table: torch.Tensor) -> torch.Tensor:
    ranks = torch.arange(1, rows + 1, device="cuda", dtype=torch.float64) ** -1.05
    sums = torch.cumsum(ranks, 0)
    rank = torch.searchsorted(sums / sums[-1], torch.rand(count, device="cuda", dtype=torch.float64))
    return (rank.clamp_(max=rows - 1) * 387420489 + table * 7919) % rows


class IndexSet:
    """Ids and offsets of one call, int32 both as TorchRec passes them."""

    def __init__(self, case: Case) -> None:
        tables = len(case.tables)
        if case.is_jagged:
            parts = [torch.randint(0, 2 * length + 1, (case.batch,), device="cuda") for length in case.lengths]
            lengths = torch.cat(parts)
        else:
            lengths = torch.tensor(case.lengths, device="cuda").repeat_interleave(case.batch)
        self.totals = lengths.view(tables, case.batch).sum(1).tolist()
        self.offsets = torch.zeros(tables * case.batch + 1, dtype=torch.int32, device="cuda")
        self.offsets[1:] = torch.cumsum(lengths, 0)
        self.table = torch.repeat_interleave(torch.tensor(self.totals, device="cuda"))
        count = self.table.numel()
        rows = torch.tensor([rows for rows, _, _ in case.tables], device="cuda")
        if case.distribution == "zipf":
            ids = _zipf(count, case.tables[0][0], self.table)
        else:
            ids = torch.rand(count, device="cuda", dtype=torch.float64) * rows[self.table]
        self.ids = ids.to(torch.int32)
        self.weights = torch.rand(count, device="cuda") if case.is_weighted else None


class Run:
    def __init__(self, case: Case, buffer: torch.Tensor, library: Path) -> None:
        self.case = case
        torch.manual_seed(_SEED)
        self.sets = [IndexSet(case) for _ in range(case.sets)]
        self._checked, self._tbe = self._make_tbe(buffer, True), self._make_tbe(buffer, False)
        self.buffer, self.places = buffer, self._tbe.weights_offsets.tolist()
        tables = {
            f"t{index}": buffer[place : place + rows * stride].view(rows, stride)
            for index, (place, (rows, _, _), stride) in enumerate(zip(self.places, case.tables, case.strides()))
        }
        self.model = trec.load(library, tables, device="cuda", bounds_check="ignore")
        self._keep: list[Any] = []

    def _make_tbe(self, buffer: torch.Tensor, is_checked: bool) -> Any:
        from fbgemm_gpu.split_embedding_configs import SparseType
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode, EmbeddingLocation, PoolingMode
        from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen

        pooling = getattr(PoolingMode, self.case.pooling.upper()) if self.case.is_pooled else PoolingMode.NONE
        tbe = IntNBitTableBatchedEmbeddingBagsCodegen(
            [(f"t{index}", rows, dim, SparseType[_TYPES[dtype]], EmbeddingLocation.DEVICE)
             for index, (rows, dim, dtype) in enumerate(self.case.tables)],
            device=torch.device("cuda"), output_dtype=SparseType.FP16, pooling_mode=pooling, row_alignment=16,
            bounds_check_mode=BoundsCheckMode.WARNING if is_checked else BoundsCheckMode.NONE,
            indices_dtype=torch.int32,
        )  # fmt: skip
        tbe.weights_dev = buffer[: tbe.dev_size]
        tbe.weight_initialized = True
        tbe.initialize_logical_weights_placements_and_offsets()
        return tbe

    def trec_call(self, given: IndexSet) -> tuple[Callable[[], None], torch.Tensor]:
        """A call of the C interface with arguments that are filled before anything is timed, and its output."""
        case, api = self.case, self.model._handle.library.api
        dims = [dim for _, dim, _ in case.tables]
        shape = (case.batch, sum(dims)) if case.is_pooled else (given.ids.numel(), dims[0])
        output = torch.full(shape, float("nan"), dtype=torch.float16, device="cuda")
        args = abi.ForwardArgs(size=ctypes.sizeof(abi.ForwardArgs), batch_size=case.batch, num_keys=len(dims))
        args.values, args.num_values, args.values_type = given.ids.data_ptr(), given.ids.numel(), abi.INT32
        args.offsets, args.offsets_type = given.offsets.data_ptr(), _CODES[given.offsets.dtype]
        if given.weights is not None:
            args.weights, args.num_weights = given.weights.data_ptr(), given.weights.numel()
        if case.is_pooled:
            args.output, args.output_bytes = output.data_ptr(), output.nbytes
        else:
            first = np.concatenate([[0], np.cumsum(given.totals)])
            row = dims[0] * output.element_size()
            pointers = [output.data_ptr() + int(begin) * row for begin in first[:-1]]
            outputs = (ctypes.c_void_p * len(dims))(*pointers)
            sizes = (ctypes.c_uint64 * len(dims))(*(total * row for total in given.totals))
            args.outputs, args.outputs_bytes = ctypes.addressof(outputs), ctypes.addressof(sizes)
            self._keep.append((outputs, sizes))
        error = new_error()
        self._keep.append((args, error, output))
        address, args_at, error_at = self.model._handle.address, ctypes.addressof(args), ctypes.addressof(error)

        def call() -> None:
            args.stream = torch.cuda.current_stream().cuda_stream
            status = api.forward(address, args_at, error_at)
            if status:
                raise self.model._handle.library.exception(status, error)

        return call, output

    def compare(self) -> dict[str, int]:
        """Elements of the first index set whose bits differ from FBGEMM's."""
        call, output = self.trec_call(self.sets[0])
        call()
        torch.cuda.synchronize()
        want = self._tbe(self.sets[0].ids, self.sets[0].offsets, self.sets[0].weights)
        different = int((output.view(torch.int16) != want.view(torch.int16)).sum())
        both_nan = int((torch.isnan(output) & torch.isnan(want)).sum())
        return {"elements": want.numel(), "different": different, "nan": both_nan}

    def calls(self) -> timing.Calls:
        return {
            "trec": [self.trec_call(given)[0] for given in self.sets],
            "fbgemm": [lambda s=given: self._tbe(s.ids, s.offsets, s.weights) for given in self.sets],
            "fbgemm+check": [lambda s=given: self._checked(s.ids, s.offsets, s.weights) for given in self.sets],
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
        best = min((timing.summary(value)["median"], name) for name, value in times.items())
        last = first + stride - 1
        granules = int(((last // 64 - first // 64 + 1) * 64).sum())
        return {"us": best[0], "way": best[1], "stored": int(stride.sum()), "granules64": granules}
