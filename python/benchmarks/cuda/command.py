"""The command line of `--device cuda`."""

import argparse
import json
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks.cuda.cases import CASES, Case
from trec.compiler import run_tool
from trec.exporter import write_model


def _compile(cases: list[Case], folder: Path, options: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for case in {case.model: case for case in cases}.values():
        library = folder / f"{case.model}.so"
        if library.exists():
            continue
        with tempfile.TemporaryDirectory(prefix="trec-") as directory:
            write_model(case.spec(), None, directory)
            run_tool("trec-compile", directory, "-o", library, *options)
        print(library, flush=True)


def _measure(case: Case, buffer: object, folder: Path) -> dict[str, object]:
    from benchmarks.cuda import timing
    from benchmarks.cuda.run import Run

    run = Run(case, buffer, folder / f"{case.model}.so")  # type: ignore[arg-type]
    compared = run.compare()
    if compared["different"] > compared["nan"]:
        return {"compared": compared, "wrong": True}
    calls, limit = run.calls(), run.limit()
    events = timing.by_events(calls, case.rounds)
    ratios = [theirs / ours for theirs, ours in zip(events["fbgemm"], events["trec"])]
    result: dict[str, object] = {
        "compared": compared, "limit": limit,
        "events": {name: timing.summary(times) for name, times in events.items()},
        "fbgemm / trec": timing.summary(ratios),
    }  # fmt: skip
    median = timing.summary(events["trec"])["median"]
    result["trec GB/s"] = {kind: round(limit[kind] / median / 1e3) for kind in ("stored", "granules64")}
    result["graphs"] = {name: timing.summary(times) for name, times in timing.in_graphs(calls).items()}
    return result


def _run(cases: list[Case], options: argparse.Namespace) -> int:
    import torch

    from benchmarks.cuda.run import random_bytes, size_of
    from trec.testing.cuda import fbgemm
    from trec.testing.cuda.prepare import describe_driver

    if not torch.cuda.is_available():
        print("nothing was timed: torch finds no GPU", file=sys.stderr)
        return 2
    fbgemm.add_package(options.package)
    sink = options.json.open("a") if options.json else sys.stdout
    print(json.dumps({"device": describe_driver(), "torch": torch.__version__}), file=sink, flush=True)
    buffer, failed = random_bytes(max(map(size_of, cases)) + (1 << 26)), 0
    for case in cases:
        try:
            with torch.no_grad():
                record = _measure(case, buffer, options.models)
        except Exception as error:
            traceback.print_exc(limit=4)
            record = {"failed": f"{type(error).__name__}: {error}"}
        failed += "failed" in record or "wrong" in record
        print(json.dumps({"case": case.name, **record}), file=sink, flush=True)
        torch.cuda.empty_cache()
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks --device cuda")
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="of compiled models")
    parser.add_argument("--compile-only", action="store_true", help="fill --models, for another machine")
    parser.add_argument("--gpu", default="sm_90", help="chips to compile for (default %(default)s)")
    parser.add_argument("--filter", action="append", default=[], metavar="TEXT",
                        help="cases with one of these in their names")  # fmt: skip
    parser.add_argument("--package", metavar="PATH", help="a packed FBGEMM: an archive or a folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="lines of JSON are added here (default: printed)")
    parser.add_argument("--list", action="store_true", help="print the cases and do nothing")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if not options.filter or any(text in case.name for text in options.filter)]
    if not cases:
        parser.error("no case has any of the texts of --filter in its name")
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    if options.compile_only:
        _compile(cases, options.models, [f"--gpu={options.gpu}", "--cpu=x86-64-v3"])
        return 0
    return _run(cases, options)
