"""How calls are timed on a GPU: by pairs of events while the card is kept behind the CPU, in graphs of calls, and by
the host's clock with a wait for the card."""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional

import torch

# By peer a ring of calls: call i takes index set i.
Calls = dict[str, list[Callable[[], Any]]]
# By peer, in microseconds.
Times = dict[str, list[float]]
_CYCLES_PER_SECOND = 1.9e9
_CHUNK = 32
_SEED = 7


def wait() -> None:
    # To ask whether there is a GPU takes longer than a call.
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _turns(calls: Calls, draw: Optional[random.Random] = None) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Round after round: each peer once, with another index set than the others; another peer first each time, or all
    in an order that is drawn."""
    names, number = list(calls), 0
    starts = {name: index * len(calls[name]) // len(names) for index, name in enumerate(names)}
    while True:
        first = number % len(names)
        for name in draw.sample(names, len(names)) if draw else names[first:] + names[:first]:
            yield name, calls[name][(starts[name] + number) % len(calls[name])]
        number += 1


def by_events(calls: Calls, rounds: int) -> Times:
    """The time between two events around each call. A spin kernel lets the CPU run ahead, so its time is not in it."""
    turns, width = _turns(calls), len(calls)
    for _ in range(2 * width):
        next(turns)[1]()
    wait()
    started = time.perf_counter()
    for _ in range(width):
        next(turns)[1]()
    each = (time.perf_counter() - started) / width
    wait()
    times: Times = {name: [] for name in calls}
    while rounds > 0:
        number = min(rounds, max(1, _CHUNK // width)) * width
        rounds -= number // width
        spin = min(max(1.6 * number * (each + 12e-6), 2e-4), 0.05)
        torch.cuda._sleep(int(spin * _CYCLES_PER_SECOND))
        pairs = []
        for _ in range(number):
            name, call = next(turns)
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            call()
            last.record()
            pairs.append((name, first, last))
        wait()
        for name, first, last in pairs:
            times[name].append(first.elapsed_time(last) * 1e3)
    return times


def capture(calls: list[Callable[[], Any]]) -> Any:
    """A graph of the calls, one after the other."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        calls[0]()
    wait()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return graph


def in_graphs(calls: Calls, replays: int = 9, most: int = 128) -> Times:
    """The time of a call in a graph of many calls in a row: neither events nor the CPU are in it."""
    graphs = {name: (capture(ring[:most]), len(ring[:most])) for name, ring in calls.items()}
    times: Times = {name: [] for name in calls}
    for number in range(replays + 2):
        for name, (graph, count) in graphs.items():
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            graph.replay()
            last.record()
            wait()
            if number >= 2:
                times[name].append(first.elapsed_time(last) * 1e3 / count)
    return times


def on_the_clock(calls: Calls, rounds: int, warm: int = 10) -> Times:
    """Of the host: a call and the wait for what it has put on the GPU.

    Which peer is before another is drawn each time: it decides how much of what the other needs the CPU's caches hold.
    """
    turns, width = _turns(calls, random.Random(_SEED)), len(calls)
    for _ in range(min(warm, rounds) * width):
        next(turns)[1]()
    wait()
    times: Times = {name: [] for name in calls}
    for _ in range(rounds * width):
        name, call = next(turns)
        started = time.perf_counter_ns()
        call()
        wait()
        times[name].append((time.perf_counter_ns() - started) / 1e3)
    return times
