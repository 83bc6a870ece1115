"""How calls are timed on a GPU: by pairs of events while the card is kept behind the CPU, and in graphs of calls."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

Calls = dict[str, list[Callable[[], Any]]]
_CYCLES_PER_SECOND = 1.9e9
_CHUNK = 32


def summary(times: list[float]) -> dict[str, float]:
    """In microseconds."""
    ordered = sorted(times)
    at = {name: ordered[min(len(ordered) - 1, int(part * len(ordered)))] for name, part in _PARTS.items()}
    return {name: round(value, 2) for name, value in at.items()}


_PARTS = {"median": 0.5, "p25": 0.25, "p75": 0.75, "min": 0.0}


def _turns(calls: Calls) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Round after round: each peer once, with another index set than the others, another peer first each time."""
    names, number = list(calls), 0
    starts = {name: index * len(calls[name]) // len(names) for index, name in enumerate(names)}
    while True:
        for index in range(len(names)):
            name = names[(index + number) % len(names)]
            yield name, calls[name][(starts[name] + number) % len(calls[name])]
        number += 1


def by_events(calls: Calls, rounds: int) -> dict[str, list[float]]:
    """The time between two events around each call. A spin kernel lets the CPU run ahead, so its time is not in it."""
    turns, width = _turns(calls), len(calls)
    for _ in range(2 * width):
        next(turns)[1]()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(width):
        next(turns)[1]()
    each = (time.perf_counter() - started) / width
    torch.cuda.synchronize()
    times: dict[str, list[float]] = {name: [] for name in calls}
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
        torch.cuda.synchronize()
        for name, first, last in pairs:
            times[name].append(first.elapsed_time(last) * 1e3)
    return times


def in_graphs(calls: Calls, replays: int = 9, most: int = 128) -> dict[str, list[float]]:
    """The time of a call in a graph of many calls in a row: neither events nor the CPU are in it."""
    graphs = {}
    for name, ring in calls.items():
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            ring[0]()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in ring[:most]:
                call()
        graphs[name] = (graph, len(ring[:most]))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(replays + 2):
        for name, (graph, count) in graphs.items():
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            graph.replay()
            last.record()
            torch.cuda.synchronize()
            if number >= 2:
                times[name].append(first.elapsed_time(last) * 1e3 / count)
    return times
