"""The command line of `--device cuda`."""

import argparse
import json
import platform
import sys
import tempfile
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.cuda.cases import FAMILIES, Case, find_cases, small
from benchmarks.machine import command, package_version, revision
from trec.compiler import run_tool
from trec.errors import TrecError
from trec.exporter import write_model

_ABOUT = "about.json"
_EPILOG = "cases:\n" + "\n".join(f"  {name}  {text}" for name, text in FAMILIES.items())


def compile_models(cases: list[Case], folder: Path, options: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for case in {case.model: case for case in cases}.values():
        library = folder / f"{case.model}.so"
        if library.exists():
            continue
        with tempfile.TemporaryDirectory(prefix="trec-") as directory:
            write_model(case.spec(), None, directory)
            run_tool("trec-compile", directory, "-o", library, *options)
        library.with_suffix(".h").unlink(missing_ok=True)
        print(library, flush=True)


def _compile(cases: list[Case], options: argparse.Namespace) -> None:
    compile_models(cases, options.models, [f"--gpu={options.gpu}", "--cpu=x86-64-v3"])
    (options.models / _ABOUT).write_text(json.dumps({"gpu": options.gpu, **revision()}) + "\n", encoding="utf-8")


def _measure(case: Case, buffer: Any, options: argparse.Namespace) -> dict[str, Any]:
    import trec
    from benchmarks.cuda import modules, timing
    from benchmarks.cuda.run import Run

    placement = trec.Placement(l2_persist_bytes=options.l2_persist_bytes)
    run = Run(case, buffer, options.models / f"{case.model}.so", placement)
    compared = run.compare()
    if compared["different"] > compared["nan"]:
        raise TrecError(f"{compared['different']} of {compared['elements']} elements differ from FBGEMM's")
    measured: dict[str, Any] = {"compared": compared}
    if buffer.is_cuda:
        calls = run.calls()
        measured["limit"] = run.limit()
        measured["events"] = timing.by_events(calls, case.rounds)
        measured["graphs"] = timing.in_graphs(calls)
    if case.is_called:
        measured["clock"], measured["absent"] = modules.by_clock(run)
    return measured


def _about(folder: Path, device: str) -> dict[str, Any]:
    import torch

    from trec.testing.cuda.prepare import describe_driver

    versions = {name: found for name in ("torch", "torchrec", "fbgemm-gpu") if (found := package_version(name))}
    compiled = folder / _ABOUT
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": describe_driver() if device == "cuda" else f"{platform.machine()}, dry run: nothing is a time of a GPU",
        "compiled": json.loads(compiled.read_text(encoding="utf-8")) if compiled.exists() else {},
        "command": command(),
        "versions": {"python": platform.python_version(), **versions, "cuda": str(torch.version.cuda)},
    }


def _write(options: argparse.Namespace, document: dict[str, Any]) -> None:
    from benchmarks.report import write_json

    if options.json:
        write_json(options.json, document)


def _finish(options: argparse.Namespace, document: dict[str, Any]) -> None:
    from benchmarks.cuda.report import markdown
    from benchmarks.plot import write_plot

    print(markdown(document))
    if options.markdown:
        options.markdown.write_text(markdown(document), encoding="utf-8")
    if options.plot:
        write_plot(options.plot, document)


def _told(case: Case, entry: dict[str, Any]) -> str:
    times = entry.get("events", entry.get("clock", {}))
    return f"{case.name}: µs " + ", ".join(f"{peer} {values['median']:.1f}" for peer, values in times.items())


def _run(cases: list[Case], options: argparse.Namespace, device: str) -> int:
    import torch

    from benchmarks.cuda.report import as_document, case_entry
    from benchmarks.cuda.run import random_bytes, size_of

    about, entries, failed = _about(options.models, device), [], []
    buffer = random_bytes(max(map(size_of, cases)) + (1 << 26), device)
    for number, case in enumerate(cases, 1):
        try:
            with torch.no_grad():
                entries.append(case_entry(case.name, _measure(case, buffer, options)))
            told = _told(case, entries[-1])
        except Exception as error:
            traceback.print_exc(limit=4)
            failed.append({"name": case.name, "reason": f"{type(error).__name__}: {error}"})
            told = f"{case.name}: FAILED"
        print(f"[{number}/{len(cases)}] {told}", file=sys.stderr, flush=True)
        _write(options, as_document(about, entries, failed))
        if device == "cuda":
            torch.cuda.empty_cache()
    _finish(options, as_document(about, entries, failed))
    return 1 if failed else 0


def _run_here(cases: list[Case], options: argparse.Namespace) -> int:
    import torch

    from trec.testing.cuda import fbgemm

    fbgemm.add_package(options.package)
    if options.dry_run:
        cases = [small(case) for case in cases]
        with tempfile.TemporaryDirectory(prefix="trec-") as directory:
            options.models = Path(directory)
            compile_models(cases, options.models, ["--cpu=native"])
            return _run(cases, options, "cpu")
    if not torch.cuda.is_available():
        print("nothing was timed: torch finds no GPU", file=sys.stderr)
        return 2
    return _run(cases, options, "cuda")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks --device cuda", description="trec against FBGEMM on a GPU, and against its gather limit.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="of compiled models")
    parser.add_argument("--compile-only", action="store_true", help="fill --models, for another machine")
    parser.add_argument("--dry-run", action="store_true", help="small tables on the CPU: shows that all of it runs")
    parser.add_argument("--gpu", default="sm_90", help="chips to compile for (default %(default)s)")
    parser.add_argument("--filter", action="append", default=[], metavar="TEXT",
                        help="cases with one of these in their names; at their ends: TEXT$")  # fmt: skip
    parser.add_argument("--package", metavar="PATH", help="a packed FBGEMM: an archive or a folder")
    parser.add_argument("--l2-persist-bytes", type=int, metavar="N", help="of the GPU's cache, set aside for trec's tables")
    parser.add_argument("--list", action="store_true", help="print the cases and do nothing")
    out = parser.add_argument_group("what is written")
    out.add_argument("--json", type=Path, metavar="FILE", help="everything, again after each case")
    out.add_argument("--markdown", type=Path, metavar="FILE", help="the tables, which are printed too")
    out.add_argument("--plot", type=Path, metavar="FILE", help="SVG or PNG, by the suffix")
    return parser


def main(arguments: list[str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    cases = find_cases(options.filter)
    if not cases:
        parser.error("no case has any of the texts of --filter in its name")
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    if options.models is None and not options.dry_run:
        parser.error("expected --models, or --dry-run")
    if options.compile_only:
        _compile(cases, options)
        return 0
    return _run_here(cases, options)
