"""The benchmarks on GPUs, where there is none: cases, a dry run on the CPU, and what is made of the times."""

import json
from dataclasses import replace

import pytest
import torch
from benchmarks.cuda import command, timing
from benchmarks.cuda.cases import CASES, FAMILIES, find_cases, small
from benchmarks.cuda.report import as_document, case_entry, markdown
from benchmarks.plot import write_plot

import trec

ABOUT = {
    "date": "2026-11-26T02:00:00+00:00", "device": "Some GPU, 580.1", "command": [], "versions": {"torch": "2.11"},
    "compiled": {"gpu": "sm_90", "commit": "0123456789abcdef"},
}  # fmt: skip


def test_cases():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.family for case in CASES} == set(FAMILIES)
    by_model = {}
    for case in CASES:
        # A library is shared by cases that differ in what is looked up alone.
        compiled = (case.tables, case.is_pooled, case.is_weighted, case.pooling, case.output, case.spec().fixed_lengths)
        assert by_model.setdefault(case.model, compiled) == compiled
        assert len(case.tables) == len(case.lengths)
    (mixed,) = find_cases(["C$"])
    assert len(mixed.tables) == 200 and sum(dim for _, dim, _ in mixed.tables) == 19856
    assert {dtype for _, _, dtype in mixed.tables} == {"int8", "int4", "fp16"}


def test_promised_lengths_are_those_that_are_drawn():
    (fixed,) = find_cases(["B-int4-fixed-B64$"])
    (plain,) = find_cases(["B-int4-B64$"])
    assert list(fixed.spec().fixed_lengths.values()) == list(fixed.lengths)
    assert not plain.spec().fixed_lengths and (plain.tables, plain.lengths) == (fixed.tables, fixed.lengths)


def test_filters():
    assert [case.name for case in find_cases(["D-B1$", "E-int4"])] == ["D-B1", "E-int4"]
    assert {case.name for case in find_cases(["int64"])} > {"C-int64", "A-fp16-D128-int64-zipf"}
    assert find_cases([]) == CASES


@pytest.mark.parametrize("case", find_cases(["C", "A-int2-D128-zipf", "weighted-uniform", "A-int8-D128-fixed"]), ids=lambda case: case.name)
def test_small_cases(case):
    made = small(case)
    assert made.spec().kind == case.spec().kind and made.ids == case.ids
    assert 0 < len(made.tables) <= 12 and max(rows for rows, _, _ in made.tables) <= 1000


def test_turns_of_the_clock():
    """Each peer has each of its index sets equally often, and does not always come behind the same other one."""
    seen = []
    calls = {name: [lambda name=name, i=i: seen.append((name, i)) for i in range(4)] for name in "abcd"}
    times = timing.on_the_clock(calls, rounds=40, warm=0)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abcd", 40)
    assert {turn: seen.count(turn) for turn in seen} == {(name, i): 10 for name in "abcd" for i in range(4)}
    rounds = [seen[begin : begin + 4] for begin in range(0, len(seen), 4)]
    assert all({name for name, _ in turns} == set("abcd") and {i for _, i in turns} == set(range(4)) for turns in rounds)
    before = {(one, other) for (one, _), (other, _) in zip(seen, seen[1:])}
    assert before >= {(one, other) for one in "abcd" for other in "abcd" if one != other}


def test_dry_run(tmp_path, capsys):
    """Of bags and sequences: bits equal to FBGEMM's, calls of modules, and all that is written."""
    files = [f"--json={tmp_path / 'r.json'}", f"--markdown={tmp_path / 'r.md'}", f"--plot={tmp_path / 'r.svg'}"]
    assert command.main(["--dry-run", "--filter=D-B1$", "--filter=E-int4", "--filter=E-int8-B16", "--filter=B-int8-fixed-B1$", *files]) == 0
    document = json.loads((tmp_path / "r.json").read_text())
    assert [entry["name"] for entry in document["cases"]] == ["B-int8-fixed-B1", "D-B1", "E-int4", "E-int8-B16"]
    assert all(entry["compared"]["different"] == 0 for entry in document["cases"])
    for entry in (document["cases"][1], document["cases"][3]):
        assert {"floor", "trec", "fbgemm", "trec module", "torchrec module, new batch"} <= set(entry["clock"])
        assert not entry["absent"]
    printed = capsys.readouterr().out
    assert (tmp_path / "r.md").read_text() in printed
    assert "dry run: nothing is a time of a GPU" in printed and "| trec module | " in printed
    assert (tmp_path / "r.svg").stat().st_size > 1000


def test_differences_fail(tmp_path, monkeypatch, capsys):
    from benchmarks.cuda.run import Run

    monkeypatch.setattr(Run, "compare", lambda _: {"elements": 640, "different": 3, "nan": 2})
    assert command.main(["--dry-run", "--filter=D-B1$", f"--json={tmp_path / 'r.json'}"]) == 1
    (failed,) = json.loads((tmp_path / "r.json").read_text())["failed"]
    assert failed == {"name": "D-B1", "reason": "TrecError: 3 of 640 elements differ from FBGEMM's"}
    assert "- D-B1: TrecError: 3 of 640" in capsys.readouterr().out


def test_missing_modules_are_told(monkeypatch):
    def fail(_):
        raise trec.LoadError("not here")

    monkeypatch.setattr("benchmarks.cuda.modules.torchrec_module", fail)
    assert command.main(["--dry-run", "--filter=D-B1$"]) == 0


def test_calls_by_python_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("trec.torch.compiled.CALL_PATH", "python: no file")
    assert command.main(["--dry-run", "--filter=D-B1$", f"--json={tmp_path / 'r.json'}"]) == 0
    (entry,) = json.loads((tmp_path / "r.json").read_text())["cases"]
    assert entry["absent"] == {"trec module, extension": "python: no file"}


def _measured(factor):
    limit = {"us": [10.0, 11.0, 12.0], "way": "w", "rows": 1000, "stored": 144000, "granules64": 192000}
    events = {"trec": [20.0, 22.0, 21.0], "fbgemm": [20.0 * factor, 22.0 * factor, 21.0 * factor]}
    events["fbgemm+check"] = [time + 10 for time in events["fbgemm"]]
    compared = {"elements": 5, "different": 0, "nan": 0}
    return {"compared": compared, "limit": limit, "events": events, "graphs": events, "absent": {"x": "why"}}


def test_report(tmp_path):
    clock = {"floor": [9.0, 10.0, 11.0], "trec module": [15.0, 16.0, 17.0]}
    entries = [
        case_entry("A-int8-D128-uniform", _measured(2.0)), case_entry("A-int8-D128-zipf", _measured(0.5)),
        case_entry("D-B1", {**_measured(3.0), "clock": clock}),
    ]  # fmt: skip
    document = as_document(ABOUT, entries, [])
    first = document["cases"][0]
    assert first["ratio"]["events"]["fbgemm"]["median"] == 2.0
    assert first["events"]["trec"] == {"median": 21.0, "q1": 20.5, "q3": 21.5, "min": 20.0}
    trec_record = next(record for record in document["records"] if record["peer"] == "trec")
    assert trec_record["ns_per_row"]["median"] == 21.0
    assert trec_record["share_of_limit"]["median"] == pytest.approx(11 / 21)
    family = document["summary"][0]
    assert (family["family"], family["cases"], family["below_one"]) == ("A", 2, 1)
    assert family["geomean"] == pytest.approx(1.0) and family["worst_case"] == "A-int8-D128-zipf"
    text = markdown(document)
    assert "| A-int8-D128-uniform | 21.0 | 42.0 | 52.0 | 2.00x | 2.48x | 11.0 | 52 % | 7 |" in text
    assert "| trec module above the floor | +6.0 |" in text
    assert "compiled for sm_90 at commit 0123456789ab" in text and "- D-B1: without x: why" in text
    assert document["title"] == "Some GPU, 580.1, 2026-11-26, 0123456789ab"
    write_plot(tmp_path / "plot.png", document)
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_a_case_without_times_has_no_records():
    entry = case_entry("D-B1", {"compared": {"elements": 1, "different": 0, "nan": 0}})
    assert as_document(ABOUT, [entry], [])["records"] == []


def test_misuse(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main(["--models=nowhere", "--filter=D-B1$"]) == 2
    assert "nothing was timed: torch finds no GPU" in capsys.readouterr().err
    for arguments, text in ((["--filter=nothing"], "no case has any"), ([], "expected --models, or --dry-run")):
        with pytest.raises(SystemExit):
            command.main(arguments)
        assert text in capsys.readouterr().err
    assert command.main(["--list", "--filter=D-"]) == 0
    assert capsys.readouterr().out == "D-B1\nD-B16\n"


def test_compile_only(tmp_path, monkeypatch):
    """Once for each model, with what was compiled in a file beside them."""
    compiled = []
    monkeypatch.setattr(command, "run_tool", lambda tool, folder, _, library, *options: compiled.append((library, options)))
    assert command.main(["--compile-only", f"--models={tmp_path}", "--gpu=sm_80,sm_90", "--filter=D-", "--filter=C$"]) == 0
    options = ("--gpu=sm_80,sm_90", "--cpu=x86-64-v3")
    assert compiled == [(tmp_path / "C.so", options), (tmp_path / "D.so", options)]
    assert json.loads((tmp_path / "about.json").read_text())["gpu"] == "sm_80,sm_90"
    (tmp_path / "D.so").touch()
    command.main(["--compile-only", f"--models={tmp_path}", "--filter=D-"])
    assert len(compiled) == 2


def test_rows_of_modules_are_the_buffers():
    """Both modules read the very rows that the operators read."""
    from benchmarks.cuda.modules import torchrec_module
    from benchmarks.cuda.run import make_tbe, random_bytes, size_of

    case = small(replace(find_cases(["D-B1$"])[0], name="D-small"))
    buffer = random_bytes(size_of(case), "cpu")
    tbe = make_tbe(case, buffer, False)
    assert tbe.weights_host.data_ptr() == buffer.data_ptr()

    class Made:
        pass

    run = Made()
    run.case, run.buffer = case, buffer
    (inner,) = torchrec_module(run)._emb_modules
    assert inner.weights_host.data_ptr() == buffer.data_ptr()
