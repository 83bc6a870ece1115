"""The memory of interpreted kernels: arrays, and no access beyond them."""

from __future__ import annotations

import bisect

import numpy as np


class Memory:
    """Arrays at addresses, far apart from each other."""

    def __init__(self) -> None:
        self.bases: list[int] = []
        self.arrays: list[tuple[str, np.ndarray, bool]] = []

    def add(self, name: str, array: np.ndarray, writable: bool = False) -> int:
        data = array.reshape(-1).view(np.uint8)
        base = (self.bases[-1] + len(self.arrays[-1][1]) + (1 << 20) if self.bases else 1 << 20) & ~0xFFF
        self.bases.append(base)
        self.arrays.append((name, data, writable))
        return base

    def find(self, address: int, size: int, alignment: int, write: bool) -> np.ndarray:
        place = bisect.bisect_right(self.bases, address) - 1
        if place < 0:
            raise ValueError(f"access of {size} bytes at {address:#x}, below all arrays")
        name, data, writable = self.arrays[place]
        offset = address - self.bases[place]
        if offset + size > len(data):
            raise ValueError(f"access of {size} bytes at byte {offset} of {name}, which has {len(data)}")
        if address % alignment:
            raise ValueError(f"access of {size} bytes at byte {offset} of {name}, not at a multiple of {alignment}")
        if write and not writable:
            raise ValueError(f"write of {size} bytes at byte {offset} of {name}, which is read-only")
        return data[offset:offset + size]

    def load(self, address: int, size: int, alignment: int) -> int:
        return int.from_bytes(self.find(address, size, alignment, write=False).tobytes(), "little")

    def store(self, address: int, size: int, alignment: int, value: int) -> None:
        self.find(address, size, alignment, write=True)[:] = np.frombuffer(value.to_bytes(size, "little"), np.uint8)
