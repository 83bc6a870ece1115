"""Where a compiled module works: on the CPU, or on a GPU, where it does so on torch's current stream."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Optional

import torch

from trec import abi
from trec.errors import InputError
from trec.library import Options, Placement, device_row_bytes

_get_num_threads = torch.get_num_threads
_ALIGNMENT = 16


def find_current_stream(functions: Any) -> Callable[[int], int]:
    """Gives the address of a GPU's current stream: as torch's compiler does, where torch has that, without an object."""
    return getattr(functions, "_cuda_getCurrentRawStream", lambda gpu: torch.cuda.current_stream(gpu).cuda_stream)


current_stream = find_current_stream(torch._C)


@dataclass(frozen=True)
class Place:
    """`gpu` is the number of a GPU; None: the CPU."""

    gpu: Optional[int] = None
    placement: Placement = Placement()

    def __post_init__(self) -> None:
        if self.gpu is None and self.placement != Placement():
            raise InputError("placement: expected a model on a GPU")

    @cached_property
    def device(self) -> torch.device:
        return torch.device("cpu") if self.gpu is None else torch.device("cuda", self.gpu)

    def __str__(self) -> str:
        return "the cpu" if self.gpu is None else f"cuda:{self.gpu}"

    def has(self, tensor: torch.Tensor) -> bool:
        return tensor.device == self.device

    def threads(self) -> int:
        """Of one call; a handle is kept for each number of them."""
        return _get_num_threads() if self.gpu is None else 1

    def stream(self) -> int:
        return 0 if self.gpu is None else current_stream(self.gpu)

    def options(self, exactness: str) -> Options:
        """Tables lie where they are to be, so that what is left to say is about the cache."""
        cached = replace(self.placement, tables={}, device_bytes=None)
        return Options(None, self.threads(), exactness=exactness, gpu=self.gpu, placement=cached)

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if self.has(tensor) else tensor.to(self.device)

    def put_tables(self, tables: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Stored rows; on a GPU those that are to be there, and in pinned memory those that are to stay on the host."""
        if self.gpu is None:
            return tables
        sizes = {name: rows.shape[0] * device_row_bytes(rows.shape[1]) for name, rows in tables.items()}
        on_host = self.placement.on_host(sizes)
        return {name: self._put_rows(rows, name in on_host) for name, rows in tables.items()}

    def put_again(self, tables: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """After a copy, which is not in pinned memory where its original was."""
        if self.gpu is None:
            return tables
        return {name: self._put_rows(rows, rows.is_cpu) for name, rows in tables.items()}

    def _put_rows(self, rows: torch.Tensor, on_host: bool) -> torch.Tensor:
        """A view of rows which lie as far apart as kernels expect."""
        width = device_row_bytes(rows.shape[1])
        is_padded = rows.shape[0] <= 1 and rows.shape[1] == width or rows.stride() == (width, 1)
        is_there = rows.is_cpu and rows.is_pinned() if on_host else self.has(rows)
        if is_there and is_padded and rows.data_ptr() % _ALIGNMENT == 0:
            return rows
        place = torch.device("cpu") if on_host else self.device
        padded = torch.zeros((rows.shape[0], width), dtype=torch.uint8, device=place, pin_memory=on_host)
        padded[:, : rows.shape[1]] = rows
        return padded[:, : rows.shape[1]]

    def put_module(self, module: torch.nn.Module) -> torch.nn.Module:
        """A copy on the device, unless the module is there already."""
        tensors = [*module.parameters(), *module.buffers()]
        if self.gpu is None or all(self.has(tensor) for tensor in tensors):
            return module
        return copy.deepcopy(module).to(self.device)

    def workspace(self, batch: Any) -> Optional[torch.Tensor]:
        """Room for the offsets of a batch that comes with lengths: torch's allocator is quicker, and knows graphs."""
        if self.gpu is None or not batch.lengths:
            return None
        count = (batch.keys.count * batch.size + abi.GPU_SCAN_BLOCKS + 8) // 8 * 8
        return torch.empty(count, dtype=torch.int64, device=self.device)


CPU = Place()
