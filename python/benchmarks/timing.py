"""Times peers in turn, so that what disturbs the machine hits all alike."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Optional

from benchmarks.gather_limit import CACHES, DISTANCES, GatherLimit

# A sample is as many calls as take this long, for a clock and a loop cost time as well.
SAMPLE_SECONDS = 3e-4
MIN_ROUNDS, MAX_ROUNDS = 15, 400
LIMIT = "limit"
# By name: of the wall, and of this thread, which stops while another program has its core.
CLOCKS = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}


@dataclass
class Timed:
    """What is timed, by name; `arguments[i]` are those for index set i, the same sets for all."""

    name: str
    function: Callable[..., Any]
    arguments: list[tuple[Any, ...]]
    calls_per_sample: int = 1
    clock: Callable[[], int] = time.perf_counter_ns
    # Nanoseconds of one call, a number for each round.
    samples: list[float] = field(default_factory=list)


class Cursor:
    """Where in the ring of index sets the next sample starts: no set is used twice before all others were."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._next = 0

    def take(self, count: int) -> list[int]:
        first, self._next = self._next, (self._next + count) % self._size
        return [(first + i) % self._size for i in range(count)]


def time_calls(timed: Timed, sets: list[int]) -> float:
    """Nanoseconds of one call, averaged over calls on these sets."""
    function, clock = timed.function, timed.clock
    arguments = [timed.arguments[index] for index in sets]
    begin = clock()
    for given in arguments:
        function(*given)
    return (clock() - begin) / len(arguments)


def _calibrate(timed: Timed, cursor: Cursor) -> None:
    """Warms up, and finds how many calls fill a sample."""
    time_calls(timed, cursor.take(2))
    nanoseconds = min(time_calls(timed, cursor.take(1)) for _ in range(3))
    timed.calls_per_sample = max(1, round(SAMPLE_SECONDS * 1e9 / max(1.0, nanoseconds)))


def choose_prefetch(limit: GatherLimit, cursor: Cursor) -> None:
    """Of all ways to prefetch the one that is fastest on this machine, these rows and these ids."""
    timed = Timed(LIMIT, limit.function, limit.arguments)
    _calibrate(timed, cursor)
    best: dict[tuple[int, int], float] = {}
    for _ in range(5):
        for distance in DISTANCES:
            for cache in CACHES:
                limit.set(distance, cache)
                taken = time_calls(timed, cursor.take(timed.calls_per_sample))
                best[distance, cache] = min(taken, best.get((distance, cache), taken))
    limit.set(*min(best, key=lambda choice: best[choice]))


def measure(all_timed: list[Timed], seconds: float, cursor: Cursor, max_rounds: Optional[int] = None) -> None:
    """Rounds of one sample each until the time is spent, each in another order: what a peer leaves in the caches is met
    by all others alike."""
    order, random = list(all_timed), Random(0)
    for timed in all_timed:
        _calibrate(timed, cursor)
    end = time.perf_counter() + seconds
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(max_rounds or MAX_ROUNDS):
            if number >= MIN_ROUNDS and time.perf_counter() > end:
                break
            random.shuffle(order)
            for timed in order:
                timed.samples.append(time_calls(timed, cursor.take(timed.calls_per_sample)))
    finally:
        if was_enabled:
            gc.enable()
