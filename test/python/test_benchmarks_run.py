"""The benchmarks as they are run: all peers agree on every kind of case, and what is written."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import aten, run
from benchmarks.batches import make_ring
from benchmarks.models import Models
from benchmarks.peers import make_peers
from benchmarks.run import MismatchError, Options, check_equal, run_cases
from benchmarks.schema import read_cases
from benchmarks.workload import PERIOD, SPREAD, Workload, by_workload, draw_rows, fill

from trec.errors import ToolError, TrecError

ROOT = Path(__file__).resolve().parents[2]
ALL_PEERS = ["fbgemm", "trec", "trec_certified", "trec_module", "torchrec", "aten"]
MIXED = {
    "count": 5, "rows": {"cycle": [1, 300]}, "dim": {"cycle": [8, 64, 100]},
    "dtype": {"cycle": ["int8", "int4", "int2", "fp16", "fp32"]},
}  # fmt: skip


def cases(model, load=None, peers=ALL_PEERS, **run_options):
    document = {
        "trec_bench": 1, "family": "test", "model": model,
        "load": {"batch": 5, "length": {"min": 0, "max": 9}, **(load or {})},
        "run": {"peers": peers, "seconds": 0, **run_options},
    }  # fmt: skip
    return read_cases(document, "test")


def alike(**changes):
    return {"tables": [{"count": 2, "rows": 300, "dim": 64, "dtype": ["int8", "int4", "int2"]}], **changes}


KINDS = {
    "every type": cases({"tables": [MIXED]}),
    "aten": cases(alike(), {"ids": ["int32", "int64"]}),
    "weighted": cases(alike(weighted=True)),
    "mean": cases(alike(pooling="mean", weighted=[False, True])),
    "quantized": cases({"tables": [MIXED], "rows": "quantized"}),
    "half outputs": cases({"tables": [MIXED], "output": ["float16", "bfloat16"]}),
    "alignment": cases(alike(row_alignment=1)),
    "several features": cases({"tables": [{"rows": 300, "dim": 8, "dtype": "int8", "features": 3}]}),
    "sequence": cases({"kind": "sequence", "tables": [{**MIXED, "dim": 8}], "output": ["float32", "bfloat16"]}),
    "stored rows": cases({"kind": "sequence", "tables": [{"rows": 300, "dim": 24, "dtype": "int8"}], "output": "uint8"}),
    "processed": cases({"kind": "processed", "tables": [MIXED], "pooling": ["sum", "mean"]}),
    "skewed": cases(alike(), {"distribution": {"zipf": 1.05}}),
    "huge pages": cases(alike(), pages="huge"),
}


def peers_of(case):
    workload = Workload(case, Models("native"))
    ring = make_ring(case.model, case.load, 1, seed=1)
    return make_peers(case.run.peers, workload, case.load, ring.sets[:4])


@pytest.mark.parametrize("kind", KINDS)
def test_peers_agree(kind):
    for case in KINDS[kind]:
        with torch.inference_mode():
            peers = peers_of(case)
            names = [peer.name for peer in peers]
            assert names[:5] == ALL_PEERS[:5] and ("aten" in names) == (kind in AT_ATEN), case.name
            check_equal(case, peers, 4)
            for peer in peers:
                assert np.concatenate([a.ravel() for a in peer.read(peer.function(*peer.arguments[0]), 0)]).any()
                peer.check()


AT_ATEN = ("aten", "weighted", "alignment", "several features", "skewed", "huge pages")


@pytest.mark.parametrize("kind", ["every type", "sequence"])
def test_a_wrong_bit_is_found(kind):
    case = KINDS[kind][0]
    with torch.inference_mode():
        peers = peers_of(case)
        read = peers[1].read

        def spoiled(result, index):
            arrays = [array.copy() for array in read(result, index)]
            arrays[-1].view(np.uint32).flat[0] ^= 1
            return arrays

        peers[1].read = spoiled
        with pytest.raises(MismatchError, match=rf"test: {case.name}: trec and fbgemm differ in 1 of \d+ elements"):
            check_equal(case, peers, 1)


def test_nothing_is_timed_where_peers_differ(monkeypatch):
    monkeypatch.setattr(run, "check_equal", lambda *_: (_ for _ in ()).throw(MismatchError("differ")))
    monkeypatch.setattr(run, "measure", lambda *_: pytest.fail("timed"))
    with pytest.raises(MismatchError):
        list(run_cases(KINDS["weighted"], Options()))


def test_a_failed_call_is_an_error():
    case = KINDS["weighted"][0]
    trec_peer = peers_of(case)[1]
    structs = trec_peer.keep[1]
    structs[2].num_values += 1
    status = trec_peer.function(*trec_peer.arguments[2])
    with pytest.raises(TrecError, match="values"):
        trec_peer.read(status, 2)
    with pytest.raises(TrecError, match="1 calls of trec failed"):
        trec_peer.check()


def test_rows_repeat_with_a_prime_period():
    array, block = np.zeros((25, 2), np.uint8), np.arange(20, dtype=np.uint8).reshape(10, 2)
    fill(array, block)
    assert np.array_equal(array[10:20], block) and np.array_equal(array[20:], block[:5])
    assert all(PERIOD % divisor for divisor in range(2, 256))


def test_all_peers_read_the_same_memory():
    workload = Workload(KINDS["every type"][0], Models("native"))
    addresses = {array.ctypes.data for array in workload.rows.values()}
    bound = set(workload.compiled._runtime.addresses.values())
    tbe = workload.tbes[0]
    base = tbe.weights_host.data_ptr()
    assert addresses == bound == {base + offset for offset in tbe.weights_offsets.tolist()}


def test_models_are_built_once():
    mixed = [*cases(alike(), {"batch": [1, 2]}), *cases(alike(), {"batch": [3]})]
    ordered = list(by_workload(mixed))
    assert sorted(map(str, ordered)) == sorted(map(str, mixed))
    models = [case.model for case in ordered]
    assert sum(a != b for a, b in zip(models, models[1:])) == len(set(models)) - 1 == 2


def test_results():
    (result,) = run_cases(cases(alike(tables=[{"rows": 300, "dim": 8, "dtype": "int8"}])), Options())
    assert [record["peer"] for record in result.records] == ["limit", *ALL_PEERS]
    by_peer = {record["peer"]: record for record in result.records}
    assert {name: set(record["ratio"]) for name, record in by_peer.items()} == {
        "limit": set(), "fbgemm": set(), "trec": {"fbgemm", "torchrec"}, "trec_module": {"torchrec"}, "torchrec": set(),
        "aten": {"fbgemm"}, "trec_certified": {"fbgemm", "torchrec", "trec"},
    }  # fmt: skip
    for record in result.records:
        times = record["ns_per_row"]
        assert 0 < times["min"] <= times["q1"] <= times["median"] <= times["q3"]
        assert record["gb_per_s"] == pytest.approx(16 / times["median"])
        assert record["us_per_call"]["median"] == pytest.approx(times["median"] * result.about["rows_per_call"] / 1000)
    assert by_peer["limit"]["share_of_limit"]["median"] == 1 and result.about["bits_equal"]
    assert result.about["table_bytes"] == 4864 and result.about["index_sets"] >= 16


def test_what_is_certified_is_recorded():
    """Bags of quantized rows are certified; of random ones none of 4 ids is, and none where nobody looked for it."""
    for rows, share in (("quantized", 1.0), ("random", 0.0)):
        model = {"tables": [{"rows": 300, "dim": 64, "dtype": "int8", "features": 2}], "rows": rows}
        (result,) = run_cases(cases(model, {"length": {"min": 4, "max": 5}}), Options())
        found = {record["peer"]: record["certified"] for record in result.records if "certified" in record}
        assert found["trec"] == {"bags": 0.0, "longest": {"t0": 0}}
        certified = found["trec_certified"]
        assert certified["bags"] == share and (certified["longest"]["t0"] >= 5) == bool(share)
        assert (" quantized rows" in result.case.name) == bool(share)


def test_quantized_rows_are_fbgemms():
    (case,) = cases({"tables": [{"rows": 300, "dim": 64, "dtype": "int4"}], "rows": "quantized"}, peers=["trec"])
    floats = np.random.default_rng(3).standard_normal((300, 64), np.float32) * np.float32(SPREAD)
    expected = torch.ops.fbgemm.FloatToFusedNBitRowwiseQuantizedSBHalf(torch.from_numpy(floats), 4).numpy()
    drawn = draw_rows(np.random.default_rng(3), case.model, case.model.tables[0])
    # FBGEMM's operator has the header behind the codes.
    assert np.array_equal(drawn[:, :4], expected[:, -4:]) and np.array_equal(drawn[:, 4:36], expected[:, :-4])


def test_options_override_cases():
    (case,) = cases({"tables": [MIXED]})
    changed = Options(peers=("trec",), seconds=7).applied_to(case)
    assert changed.run.peers == ("trec",) and changed.run.seconds == 7 and changed.run.pages == case.run.pages


def test_too_large_a_case_is_skipped_and_said():
    (case,) = cases({"tables": [{"rows": 10**9, "dim": 128, "dtype": "int8"}]})
    (result,) = run_cases([case], Options(max_memory=2 << 30))
    assert not result.records and result.skipped == (
        "its tables need 135.1 GiB of memory, 2.0 GiB are available"
    )  # fmt: skip


@pytest.mark.parametrize(
    "model, reason",
    [
        (alike(pooling="mean"), "it only sums"),
        ({"tables": [MIXED]}, "int8, int4 and int2 alone"),
    ],
)
def test_where_aten_cannot(model, reason):
    case = cases(model)[0]
    assert reason in aten.why_not(Workload(case, Models("native")))


def test_aten_does_not_copy_large_tables(monkeypatch):
    monkeypatch.setattr(aten, "MAX_BYTES", 10)
    assert "larger than" in aten.why_not(Workload(cases(alike())[0], Models("native")))


def run_tool(*arguments, **environment):
    command = [sys.executable, str(ROOT / "python/benchmarks"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env={**os.environ, **environment})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    document = {
        "trec_bench": 1, "family": "test", "load": {"batch": 2, "length": 3},
        "model": {"tables": [{"count": 2, "rows": [50, 10**10], "dim": 8, "dtype": "int8"}]},
        "run": {"seconds": 0, "peers": ALL_PEERS},
    }  # fmt: skip
    (folder / "case.json").write_text(json.dumps(document))
    return folder, run_tool(
        folder / "case.json",
        "--json",
        folder / "r.json",
        "--markdown",
        folder / "r.md",
        "--clock",
        "cpu",
        "--cpus",
        "0",
    )


def test_json_and_markdown_are_written(written):
    folder, result = written
    assert result.returncode == 0, result.stderr
    document = json.loads((folder / "r.json").read_text())
    assert [(r["family"], r["peer"]) for r in document["records"]] == [("test", p) for p in ("limit", *ALL_PEERS)]
    assert document["clock"] == "cpu" and document["machine"]["affinity"] == [0] and document["ratios_are_claims"]
    assert "GiB of memory" in document["skipped"][0]["reason"] and "skipped, its tables need" in result.stderr
    assert {entry["peer"] for entry in document["summary"]} == {"trec", "trec_certified", "trec_module", "aten"}
    text = (folder / "r.md").read_text()
    assert "2x50 int8 d8 b2 l3 | trec |" in text and "skipped: its tables need" in text and "below 1.0x" in text


def test_results_are_joined(written):
    folder, _ = written
    alone = run_tool("--from", folder / "r.json")
    assert alone.returncode == 0 and alone.stdout.rstrip() == (folder / "r.md").read_text().rstrip()
    both = run_tool("--from", folder / "r.json", "--from", folder / "r.json", "--json", folder / "both.json")
    assert both.returncode == 0, both.stderr
    one, two = (json.loads((folder / name).read_text()) for name in ("r.json", "both.json"))
    assert two["records"] == 2 * one["records"] and two["machine"] == one["machine"]
    assert [entry["cases"] for entry in two["summary"]] == [2 * entry["cases"] for entry in one["summary"]]
    assert len((folder / "r.json").read_text().splitlines()) < 60


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plot_is_written(written, suffix):
    pytest.importorskip("matplotlib", reason="plots need matplotlib of python/requirements-common.txt")
    from benchmarks.plot import write_plot

    folder, _ = written
    write_plot(folder / f"plot.{suffix}", json.loads((folder / "r.json").read_text()))
    start = (folder / f"plot.{suffix}").read_bytes()[:200]
    assert start.startswith(b"\x89PNG") if suffix == "png" else b"<?xml" in start
    with pytest.raises(ToolError, match="plot.xyz"):
        write_plot(folder / "plot.xyz", json.loads((folder / "r.json").read_text()))


def test_plot_without_matplotlib(monkeypatch, tmp_path):
    from benchmarks.plot import write_plot

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ToolError, match="plots need matplotlib"):
        write_plot(tmp_path / "plot.svg", {})


@pytest.mark.parametrize(
    "arguments, status, text",
    [
        ([], 2, "expected case files, --family, --quick or --all, or --from alone"),
        (["--quick", "--from", "r.json"], 2, "or --from alone"),
        (["--from", "none.json"], 1, "none.json: No such file or directory"),
        (["--from", ROOT / "python/benchmarks/families/quick.json"], 1, "expected a result of --json, of version 1"),
        (["--family", "none"], 2, "invalid choice"),
        (["--quick", "--threads", "0"], 2, "expected --threads of at least 1"),
        (["--quick", "--threads", "2", "--clock", "cpu"], 2, "--clock=cpu: expected --threads=1"),
        (["--quick", "--peers", "trec,x"], 2, "--peers: expected some of fbgemm,trec,trec_certified,trec_map,trec_huge,trec_module,torchrec,aten, got x"),
        (["--quick", "--cpus", "77777"], 2, "--cpus: expected some of [0"),
        (["--quick", "--compile-only"], 2, "--compile-only: expected --models=FOLDER"),
        (["none.json"], 1, "none.json: No such file or directory"),
        (["--quick", "--filter", "nothing"], 1, "no case has all the texts of --filter"),
    ],
)
def test_bad_usage(arguments, status, text):
    result = run_tool(*arguments)
    assert result.returncode == status and text in result.stderr


def test_list():
    result = run_tool("--quick", "--list", "--filter", "module", "--filter", "b64")
    assert result.stdout == "module: 26 tables int8 d128 b64 lmixed\n"


def start_again(monkeypatch, mode, instruction_set, preload=""):
    """What the tool would be replaced by, or None where it goes on."""
    main = runpy.run_path(str(ROOT / "python/benchmarks"), run_name="benchmarks_main")
    started = []
    monkeypatch.setattr("trec._fbgemm.instruction_set", lambda: instruction_set)
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setenv("LD_PRELOAD", preload)
    main["_repair"](mode)
    return started[0][2]["LD_PRELOAD"] if started else None


@pytest.mark.parametrize(
    "mode, instruction_set, repaired",
    [("auto", 0, True), ("auto", 2, False), ("installed", 0, False), ("repaired", 2, True)],
)
def test_repair(monkeypatch, mode, instruction_set, repaired):
    preload = start_again(monkeypatch, mode, instruction_set)
    assert (preload is not None) == repaired and (preload is None or preload.endswith("libc10.so"))
    again = start_again(monkeypatch, mode, instruction_set, preload or "other.so")
    assert (again is None) == (preload is not None or not repaired)


@pytest.mark.parametrize("threads, expected", [(1, (None, None)), (2, ("2", "1"))])
def test_fbgemm_may_use_as_many_threads(monkeypatch, threads, expected):
    names = ("FBGEMM_TBE_MAX_NUM_THREADS", "FBGEMM_TBE_MIN_TABLES_PER_THREAD")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    monkeypatch.setattr(os, "environ", environment)
    runpy.run_path(str(ROOT / "python/benchmarks"), run_name="benchmarks_main")["_set_threads"](threads)
    assert tuple(map(environment.get, names)) == expected
