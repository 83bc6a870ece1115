"""What the benchmarks measure with: index sets, pages, the gather limit, rounds and statistics."""

import json
import mmap

import numpy as np
import pytest
from benchmarks import machine, report, timing
from benchmarks.batches import MAX_SETS, MIN_SETS, count_sets, draw_ids, lines_of_row, make_ring
from benchmarks.case import Distribution, FixedLength, Load, Model, NormalLength, Table, UniformLength
from benchmarks.gather_limit import CACHES, DISTANCES, GatherLimit
from benchmarks.pages import huge_bytes, set_pages
from benchmarks.summary import geomean, quartiles, ratio, summarize
from benchmarks.timing import MIN_ROUNDS, Cursor, Timed, choose_prefetch, measure, time_calls

TABLES = (Table(100, 8, "int8"), Table(7, 16, "int4", 2))


def random():
    return np.random.default_rng(3)


@pytest.mark.parametrize(
    "length, low, high",
    [(FixedLength((2, 0, 5)), 0, 5), (UniformLength(1, 4), 1, 4), (NormalLength(3, 1), 0, 7)],
)
def test_lengths_stay_within_their_bounds(length, low, high):
    drawn = length.draw(random(), (50, 3, 20))
    assert drawn.shape == (50, 3, 20) and drawn.min() >= low and drawn.max() <= high == length.longest
    assert length.longest == 7 or {low, high} <= set(drawn.ravel().tolist())


def test_fixed_lengths_go_by_feature():
    assert FixedLength((2, 0, 5)).draw(random(), (1, 4, 2)).tolist() == [[[2, 2], [0, 0], [5, 5], [2, 2]]]


@pytest.mark.parametrize("exponent", [0.0, 1.05, 1.15])
@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_ids_are_rows(exponent, rows):
    ids = draw_ids(random(), Distribution(exponent), rows, 5000)
    assert ids.min() >= 0 and ids.max() < rows and len(ids) == 5000


def test_zipf_weights():
    """The two rows that come most often have the shares that the formula gives them."""
    ids = draw_ids(random(), Distribution(1.5, q=0.5), 50, 200_000)
    shares = np.sort(np.bincount(ids, minlength=50))[::-1] / len(ids)
    weights = (np.arange(1, 51) + 0.5) ** -1.5
    assert np.allclose(shares[:2], weights[:2] / weights.sum(), rtol=0.03)


def test_heavy_hitters():
    ids = draw_ids(random(), Distribution(1.1, hitters=(0.4, 0.3)), 1000, 100_000)
    shares = np.sort(np.bincount(ids, minlength=1000))[::-1] / len(ids)
    assert np.allclose(shares[:2], [0.4, 0.3], atol=0.01) and shares[2] < 0.1
    assert draw_ids(random(), Distribution(1.1, hitters=(0.4, 0.3)), 1, 100).max() == 0


def test_ring():
    ring = make_ring(Model(TABLES, weighted=True), Load(5, UniformLength(0, 6), "int32"), 1 << 20, seed=1)
    assert MIN_SETS <= len(ring.sets) <= MAX_SETS
    for batch in ring.sets[:20]:
        lengths = batch.lengths.reshape(3, 5).sum(axis=1)
        assert batch.ids.dtype == np.int32 == batch.offsets.dtype and len(batch.weights) == len(batch.ids)
        assert batch.offsets[0] == 0 and batch.offsets[-1] == len(batch.ids) == lengths.sum()
        assert batch.ids[: lengths[0]].max(initial=0) < 100 and batch.ids[lengths[0] :].max(initial=0) < 7
    mean = np.mean([len(batch.ids) for batch in ring.sets])
    assert ring.ids_per_set == pytest.approx(mean) and 16 * mean <= ring.row_bytes_per_set <= 64 * mean
    again = make_ring(Model(TABLES, weighted=True), Load(5, UniformLength(0, 6), "int32"), 1 << 20, seed=1)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(ring.sets, again.sets))


def test_number_of_sets():
    assert count_sets(traffic=1 << 20, index_bytes=1 << 10, cache_bytes=32 << 20) == 96
    assert count_sets(traffic=1 << 10, index_bytes=1 << 10, cache_bytes=32 << 20) == MAX_SETS
    assert count_sets(traffic=1 << 30, index_bytes=1 << 10, cache_bytes=32 << 20) == MIN_SETS
    assert count_sets(traffic=1 << 10, index_bytes=8 << 20, cache_bytes=32 << 20) == 32


@pytest.mark.parametrize("row_bytes, lines", [(16, 1), (64, 1), (128, 2), (32, 1), (48, 1.5), (144, 3), (36, 1.5)])
def test_lines_of_row(row_bytes, lines):
    assert lines_of_row(row_bytes) == lines


@pytest.mark.parametrize("pages", ["small", "huge"])
def test_pages(pages):
    """Memory comes back as zeros; on huge pages only where these are asked for."""
    array = np.full(24 << 20, 7, np.uint8)
    set_pages(array, pages)
    inner = array[mmap.PAGESIZE : -mmap.PAGESIZE]
    assert inner.max() == 0
    array[:] = 1
    found = huge_bytes(array)
    if pages == "small":
        assert found == 0
    elif "[never]" not in machine.transparent_huge_pages():
        assert found > 0


def test_pages_of_tiny_arrays_are_left_alone():
    array = np.full(10, 7, np.uint8)
    set_pages(array, "huge")
    assert array.min() == 7


@pytest.mark.parametrize("row_bytes", [16, 20, 36, 64, 80, 100, 144, 256, 272, 520])
@pytest.mark.parametrize("ids", ["int32", "int64"])
def test_gather_limit_touches_every_line(row_bytes, ids):
    """The result is the exclusive or of the words that it loads: those at each line's start and the row's last."""
    tables = [random().integers(0, 256, (50, row_bytes), np.uint8), random().integers(0, 256, (9, 48), np.uint8)]
    model = Model((Table(50, 8, "int8"), Table(9, 8, "int8")))
    sets = make_ring(model, Load(7, UniformLength(0, 30), ids), 1, seed=1).sets
    limit = GatherLimit(tables, sets)
    for index, batch in enumerate(sets):
        count = int(batch.lengths[:7].sum())
        expected = words(tables[0], batch.ids[:count]) ^ words(tables[1], batch.ids[count:])
        for distance in DISTANCES:
            for cache in CACHES:
                limit.set(distance, cache)
                assert limit.function(*limit.arguments[index]) == expected
    assert limit.choice == {"distance": DISTANCES[-1], "cache": CACHES[-1]}


def words(table, ids):
    size = table.shape[1]
    if size < 64:
        loads = 1 if 64 % size == 0 else 2
    else:
        loads = size // 64 + (2 if size % 64 else 0)
    offsets = [min(64 * i, size - 4) for i in range(loads)]
    assert all(any(o // 64 == line for o in offsets) for line in range(-(-size // 64)))
    picked = table[ids]
    parts = [np.ascontiguousarray(picked[:, o : o + 4]).view(np.uint32) for o in offsets]
    return int(np.bitwise_xor.reduce(np.concatenate(parts), axis=None)) if len(ids) else 0


def test_gather_limit_chooses_a_prefetch():
    tables = [np.zeros((100, 64), np.uint8)]
    sets = make_ring(Model((Table(100, 8, "int8"),)), Load(4, FixedLength((5,))), 1, seed=1).sets
    limit = GatherLimit(tables, sets)
    choose_prefetch(limit, Cursor(len(sets)))
    assert limit.choice["distance"] in DISTANCES and limit.choice["cache"] in CACHES


def test_cursor_uses_every_set_before_it_uses_one_again():
    cursor = Cursor(7)
    taken = [index for count in (3, 3, 8) for index in cursor.take(count)]
    assert taken == [i % 7 for i in range(14)]


def test_rounds_are_in_any_order_and_all_peers_get_as_many_samples(monkeypatch):
    turns = []
    monkeypatch.setattr(timing, "time_calls", lambda timed, sets: turns.append(timed.name) or time_calls(timed, sets))
    timed = [Timed(name, lambda i: None, [(i,) for i in range(4)]) for name in "abc"]
    measure(timed, seconds=0, cursor=Cursor(4))
    assert [len(one.samples) for one in timed] == [MIN_ROUNDS] * 3 and all(min(one.samples) > 0 for one in timed)
    rounds = ["".join(turns[i : i + 3]) for i in range(len(turns) - 3 * MIN_ROUNDS, len(turns), 3)]
    assert {"".join(sorted(one)) for one in rounds} == {"abc"}
    # None is always behind the same one.
    assert {pair for one in rounds for pair in (one[:2], one[1:])} == {"ab", "ac", "ba", "bc", "ca", "cb"}


def test_time_of_a_call():
    ticks = iter(range(0, 100, 40))
    timed = Timed("x", lambda i: None, [(i,) for i in range(5)], clock=lambda: next(ticks))
    assert time_calls(timed, [0, 1, 2, 3]) == 10


def test_statistics():
    assert quartiles([4, 1, 2, 3, 100]) == {"median": 3, "q1": 2, "q3": 4, "min": 1}
    # What slows both down in one round does not show.
    assert ratio([2, 20, 4], [1, 10, 2]) == {"median": 2, "q1": 2, "q3": 2, "min": 2}
    assert geomean([1, 4, 16]) == pytest.approx(4)


def record(case, peer, value, baseline="fbgemm"):
    spread = {"median": value, "q1": value, "q3": value, "min": value}
    return {
        "case": case, "family": "f", "peer": peer, "ratio": {baseline: spread} if peer != "limit" else {},
        "share_of_limit": {**spread, "median": 0.5}, "ns_per_row": spread, "us_per_call": spread, "gb_per_s": 1.0,
    }  # fmt: skip


ABOUT = {
    "date": "2026-01-02T03:04:05+00:00", "commit": "0123456789abcdef", "uncommitted_changes": True,
    "machine": {"cpu": "c", "virtual": True, "cores": 2, "caches": {"L1": 1024}, "load_average": 1.0,
                "transparent_huge_pages": "[madvise]"},
    "versions": {"torch": "1"}, "fbgemm": {"path": "vector", "state": "repaired"}, "threads": 1, "clock": "wall",
}  # fmt: skip


def test_summary_shows_the_worst_case():
    (entry,) = summarize([record("a", "limit", 1), record("a", "trec", 2), record("b", "trec", 0.5)])
    assert (entry["geomean"], entry["worst"], entry["worst_case"]) == (pytest.approx(1), 0.5, "b")
    assert entry["below_one"] == 1 and entry["cases"] == 2 and entry["share_of_limit"] == pytest.approx(0.5)


def document(records, about=ABOUT):
    return {**report.as_document(about, []), "records": records, "summary": summarize(records)}


def test_verdict():
    good = document([record("a", "limit", 1), record("a", "trec", 2)])
    bad = document([record("a", "limit", 1), record("a", "trec", 0.9), record("a", "aten", 0.5)])
    assert "No case below 1.0x." in report.markdown(good) and "**1 below 1.0x.**" in report.markdown(bad)
    assert "no claims" not in report.markdown(good) and "FBGEMM on its vector path, repaired" in report.markdown(good)


def test_ratios_on_the_scalar_path_are_no_claims():
    about = {**ABOUT, "fbgemm": {"path": "scalar", "state": "as installed"}}
    scalar = document([record("a", "limit", 1), record("a", "trec", 2)], about)
    assert scalar["ratios_are_claims"] is False and report.markdown(scalar).count("no claims about FBGEMM") == 2
    assert "No case below" not in report.markdown(scalar)


def test_notes():
    about = {
        "family": "f", "name": "a", "table_bytes": 100, "cache_bytes": 50, "caches_left_between_reuses": True,
        "huge_page_bytes": 100, "absent_peers": {}, "case": {"run": {"pages": "huge"}},
    }  # fmt: skip
    changes = [
        {}, {"caches_left_between_reuses": False}, {"caches_left_between_reuses": False, "cache_bytes": 200},
        {"huge_page_bytes": 49}, {"absent_peers": {"aten": "it only sums"}},
    ]  # fmt: skip
    found = [report.note_lines({"cases": [{**about, **change}], "skipped": []}) for change in changes]
    assert found == [
        [], ["- f: a: rows may still be in the caches when an index set comes again"], [],
        ["- f: a: 49 of 100 bytes are on huge pages"], ["- f: a: without aten: it only sums"],
    ]  # fmt: skip
    skipped = [{"family": "f", "name": "a", "reason": "too large"}]
    assert report.note_lines({"cases": [], "skipped": skipped}) == ["- f: a: skipped: too large"]


def test_json_is_replaced_whole(tmp_path):
    path = tmp_path / "r.json"
    for value in (1, 2):
        report.write_json(path, {"value": value})
        assert json.loads(path.read_text()) == {"value": value} and list(tmp_path.iterdir()) == [path]


def test_machine():
    about = machine.describe(2, "wall")
    assert about["threads"] == 2 and about["machine"]["cores"] >= 1 and about["machine"]["cpu"]
    assert {"torch", "torchrec", "numpy", "python"} <= set(about["versions"])
    assert about["fbgemm"]["path"] == "vector" and about["fbgemm"]["state"] in ("as installed", "repaired")
    assert machine.cache_bytes() > 0 and machine.memory_bytes("MemTotal") > machine.memory_bytes("MemAvailable") > 0
    assert [machine._bytes_of(size) for size in ("32K", "2M", "1G", "7", "")] == [32 << 10, 2 << 20, 1 << 30, 7, 0]


def test_results_tell_no_folders(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["python/benchmarks", "--json", str(tmp_path / "out.json"), "--models", "models"])
    monkeypatch.setenv("LD_PRELOAD", f"{tmp_path}/libc10.so:b.so:{tmp_path}/x/c.so")
    about = machine.describe(1, "wall")
    assert about["command"] == ["python/benchmarks", "--json", "out.json", "--models", "models"]
    assert about["environment"]["LD_PRELOAD"] == "libc10.so:b.so:c.so"


def test_fbgemm_state(monkeypatch):
    monkeypatch.setattr(machine, "instruction_set", lambda: 0)
    monkeypatch.setenv("LD_PRELOAD", "")
    assert machine.fbgemm_state() == {"path": "scalar", "state": "as installed"}
    monkeypatch.setenv("LD_PRELOAD", f"x.so:{machine.preload_library()}")
    assert machine.fbgemm_state()["state"] == "repaired"
