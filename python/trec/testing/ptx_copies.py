"""Copies from global to shared memory that run beside a thread (cp.async), as late as a thread allows.

What is copied is written where the thread waits for it, and not before: who reads it earlier reads what was there.
"""

from __future__ import annotations

import numpy as np

from trec.testing import ptx_memory


class Copies:
    def __init__(self, memory: ptx_memory.Memory, threads: int) -> None:
        self.memory = memory
        self.open: list[list[tuple[int, int, int]]] = [[] for _ in range(threads)]
        self.groups: list[list[list[tuple[int, int, int]]]] = [[] for _ in range(threads)]

    def start(self, thread: int, to: int, source: int, used: int, size: int) -> None:
        """Of `used` bytes, which may be none, and zeros up to `size`."""
        if used > size:
            raise ValueError(f"copy of {used} bytes in {size}")
        self.memory.find(to, size, size, write=True)
        self.open[thread].append((to, self.memory.load(source, used, size) if used else 0, size))

    def commit(self, threads: np.ndarray) -> None:
        for thread in threads:
            self.groups[thread].append(self.open[thread])
            self.open[thread] = []

    def wait(self, threads: np.ndarray, pending: int) -> None:
        for thread in threads:
            groups = self.groups[thread]
            while len(groups) > pending:
                for to, value, size in groups.pop(0):
                    self.memory.store(to, size, size, value)
