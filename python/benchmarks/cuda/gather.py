"""The gather limit: reading the rows that a call looks up, in its order, and nothing else.

Each thread reads 16 bytes of several rows at once. The fastest of some ways counts. The kernel is compiled by NVRTC,
which comes with torch.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch

_SOURCE = r"""
extern "C" __global__ void gather(const uint4 *rows, const unsigned *first, long long count, int pieces,
                                  unsigned *sink) {
  const long long total = count * pieces, step = (long long)gridDim.x * blockDim.x;
  unsigned seen = 0;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step * UNROLL) {
    uint4 loaded[UNROLL];
#pragma unroll
    for (int k = 0; k < UNROLL; ++k) {
      const long long at = i + k * step;
      if (at < total)
        loaded[k] = __ldg(rows + first[at / pieces] + at % pieces);
      else
        loaded[k] = make_uint4(0, 0, 0, 0);
    }
#pragma unroll
    for (int k = 0; k < UNROLL; ++k)
      seen ^= loaded[k].x ^ loaded[k].y ^ loaded[k].z ^ loaded[k].w;
  }
  if (seen == 0x9e3779b9u)
    *sink = seen;
}
"""
_UNROLLS, _BLOCKS_PER_PROCESSOR = (2, 4, 8), (8, 16, 32)


@functools.cache
def _kernel(unroll: int) -> Any:
    return torch.cuda._compile_kernel(_SOURCE.replace("UNROLL", str(unroll)), "gather")


def ways(buffer: torch.Tensor, parts: list[tuple[torch.Tensor, int]]) -> dict[str, Callable[[], Any]]:
    """`parts`: the places of rows of one size, in pieces of 16 bytes, and how many pieces a row has."""
    sink = torch.zeros(1, dtype=torch.int32, device="cuda")
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    result = {}
    for unroll in _UNROLLS:
        kernel = _kernel(unroll)
        for blocks in _BLOCKS_PER_PROCESSOR:

            def call(kernel: Any = kernel, grid: int = blocks * processors) -> None:
                for first, pieces in parts:
                    kernel((grid, 1, 1), (256, 1, 1), (buffer, first, first.numel(), pieces, sink))

            result[f"{unroll} at once, {blocks} blocks"] = call
    return result
