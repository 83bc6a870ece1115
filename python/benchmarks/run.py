"""Runs cases: checks that all peers agree to the bit, times them, and gives one record for each case and peer."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Optional

import numpy as np
import torch

from benchmarks import aten
from benchmarks.batches import Ring, make_ring
from benchmarks.case import Case
from benchmarks.gather_limit import GatherLimit
from benchmarks.machine import cache_bytes, memory_bytes
from benchmarks.models import Models
from benchmarks.peers import Peer, make_peers
from benchmarks.summary import BASELINES, quartiles, ratio
from benchmarks.timing import CLOCKS, LIMIT, Cursor, Timed, choose_prefetch, measure
from benchmarks.workload import Workload, by_workload, workload_key
from trec.errors import TrecError

# Beside the tables: index sets, outputs, the compiler.
SPARE_BYTES = 1 << 30


class MismatchError(TrecError):
    """Peers that do not give the same bits: nothing is timed then."""


@dataclass
class Options:
    """What holds for all cases of a run; `peers` and `seconds` override those of the cases."""

    peers: Optional[tuple[str, ...]] = None
    seconds: Optional[float] = None
    models: Models = field(default_factory=lambda: Models("native"))
    clock: str = "wall"
    max_memory: Optional[int] = None

    def applied_to(self, case: Case) -> Case:
        peers = self.peers or case.run.peers
        seconds = case.run.seconds if self.seconds is None else self.seconds
        return replace(case, run=replace(case.run, peers=peers, seconds=seconds))


@dataclass
class Result:
    """`skipped` says why nothing was measured, if nothing was."""

    case: Case
    records: list[dict[str, Any]]
    about: dict[str, Any]
    skipped: str = ""


def run_cases(cases: Iterable[Case], options: Options) -> Iterable[Result]:
    """Results in an order that builds each model once."""
    workload: Optional[Workload] = None
    for case in by_workload([options.applied_to(case) for case in cases]):
        reason = _lacks_memory(case, options, workload)
        if reason:
            yield Result(case, [], {}, reason)
            continue
        if workload is None or workload.key != workload_key(case):
            # The old rows go before the new ones come.
            workload = None
            workload = Workload(case, options.models)
        yield run_case(case, workload, options.clock)


def _lacks_memory(case: Case, options: Options, workload: Optional[Workload]) -> str:
    needed = case.model.table_bytes + SPARE_BYTES
    held = workload.model.table_bytes if workload else 0
    allowed = options.max_memory or memory_bytes("MemAvailable") + held
    if needed <= allowed:
        return ""
    return f"its tables need {needed / 2**30:.1f} GiB of memory, {allowed / 2**30:.1f} GiB are available"


def run_case(case: Case, workload: Workload, clock: str = "wall") -> Result:
    ring = make_ring(case.model, case.load, cache_bytes(), seed=1)
    with torch.inference_mode():
        peers = make_peers(case.run.peers, workload, case.load, ring.sets)
        check_equal(case, peers, len(ring.sets))
        limit = GatherLimit(workload.feature_rows, ring.sets)
        cursor = Cursor(len(ring.sets))
        choose_prefetch(limit, cursor)
        timed = [
            Timed(one.name, one.function, one.arguments, clock=CLOCKS[clock])
            for one in (Peer(LIMIT, limit.function, limit.arguments, lambda *_: []), *peers)
        ]
        measure(timed, case.run.seconds, cursor)
    for peer in peers:
        peer.check()
    records = [_record(case, one, timed, ring) for one in timed]
    for record in records:
        record.update(_certified(record["peer"], peers, workload, ring))
    return Result(case, records, _about(case, workload, ring, limit))


def _record(case: Case, one: Timed, everyone: list[Timed], ring: Ring) -> dict[str, Any]:
    samples = {timed.name: timed.samples for timed in everyone}
    per_row = quartiles([sample / ring.ids_per_set for sample in one.samples])
    return {
        "case": case.name,
        "family": case.family,
        "peer": one.name,
        "ns_per_row": per_row,
        "us_per_call": quartiles([sample / 1000 for sample in one.samples]),
        "gb_per_s": ring.row_bytes_per_set / ring.ids_per_set / per_row["median"],
        "share_of_limit": ratio(samples[LIMIT], one.samples),
        "ratio": {name: ratio(samples[name], one.samples) for name in BASELINES.get(one.name, ()) if name in samples},
        "rounds": len(one.samples),
        "calls_per_sample": one.calls_per_sample,
    }


def _certified(name: str, peers: list[Peer], workload: Workload, ring: Ring) -> dict[str, Any]:
    """Of a peer that looks for exact sums: the longest bag of each table, and the share of the bags up to it."""
    lengths = next((peer.certified for peer in peers if peer.name == name), None)
    if lengths is None:
        return {}
    repeats = [table.features for table in workload.model.tables]
    longest = np.repeat([lengths[name] for name in workload.rows], repeats)[:, None]
    shares = [(batch.lengths.reshape(len(longest), -1) <= longest).mean() for batch in ring.sets]
    return {"certified": {"bags": float(np.mean(shares)), "longest": lengths}}


def _described(case: Case) -> dict[str, Any]:
    """Tables that are alike are counted, for there may be a thousand."""
    described = asdict(case)
    described["model"]["tables"] = [
        {"count": count, **asdict(table)} for table, count in Counter(case.model.tables).items()
    ]
    return described


def _about(case: Case, workload: Workload, ring: Ring, limit: GatherLimit) -> dict[str, Any]:
    table_bytes, on_huge_pages = workload.memory()
    reused_after = ring.line_bytes_per_set * len(ring.sets)
    absent = aten.why_not(workload) if "aten" in case.run.peers else None
    return {
        "case": _described(case),
        "cpu_level": workload.compiled.cpu_level,
        "rows_per_call": ring.ids_per_set,
        "row_bytes_per_call": ring.row_bytes_per_set,
        "table_bytes": table_bytes,
        "huge_page_bytes": on_huge_pages,
        "cache_bytes": cache_bytes(),
        "index_sets": len(ring.sets),
        "bytes_between_reuses": reused_after,
        "caches_left_between_reuses": reused_after > cache_bytes(),
        "limit_prefetch": limit.choice,
        "bits_equal": True,
        "absent_peers": {"aten": absent} if absent else {},
    }


def check_equal(case: Case, peers: list[Peer], num_sets: int) -> None:
    """Every bit of the first and of the last set, before anything is timed."""
    for index in {0, num_sets - 1}:
        outputs = {peer.name: _joined(peer.read(peer.function(*peer.arguments[index]), index)) for peer in peers}
        first, *others = outputs
        for name in others:
            different = _count_different(outputs[first], outputs[name])
            if different:
                raise MismatchError(
                    f"{case.family}: {case.name}: {name} and {first} differ in {different} of "
                    f"{outputs[first].size} elements of index set {index}"
                )


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ascontiguousarray(array).reshape(-1).copy() for array in arrays])


def _count_different(expected: np.ndarray, got: np.ndarray) -> int:
    if expected.shape != got.shape or expected.dtype != got.dtype:
        return max(expected.size, got.size)
    bits = np.dtype(f"u{expected.itemsize}")
    return int(np.count_nonzero(expected.view(bits) != got.view(bits)))
