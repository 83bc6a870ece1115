"""The command line: which cases, how, and what is written."""

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Optional

if not __package__:
    # Run as a folder: the package is what holds these modules, not the folder itself.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
warnings.simplefilter("ignore")
logging.getLogger("torch.fx").setLevel(logging.ERROR)

from benchmarks.case import PEERS, Case  # noqa: E402
from benchmarks.catalogue import FAMILIES, distinct, family_names, find_cases  # noqa: E402
from benchmarks.fields import CaseError  # noqa: E402
from benchmarks.tbe_spec import DTYPES, OUTPUTS, SpecTypes  # noqa: E402
from trec.errors import TrecError  # noqa: E402

_EPILOG = """examples:
  python python/benchmarks --quick
  python python/benchmarks --family cached --filter int8 --json cached.json --plot cached.svg
  python python/benchmarks my-case.json tbe-config.json --emb-weights-dtype=int8 --peers=fbgemm,trec
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="trec against FBGEMM, TorchRec and ATen, and against the gather limit.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    which = parser.add_argument_group("which cases")
    which.add_argument("files", nargs="*", type=Path, help="case files, or FBGEMM's TBE configurations or shapes")
    which.add_argument("--family", action="append", default=[], choices=family_names(), metavar="NAME",
                       help=f"one of {', '.join(family_names())}; can be given several times")  # fmt: skip
    which.add_argument("--quick", action="store_true", help="some cases of each kind, in a few minutes")
    which.add_argument("--all", action="store_true", help="all families; hours")
    which.add_argument("--filter", action="append", default=[], metavar="TEXT",
                       help="only cases with TEXT in their name; several: with each of them")  # fmt: skip
    which.add_argument("--from", dest="results", action="append", default=[], type=Path, metavar="FILE",
                       help="time nothing: what --json wrote before; several of one machine become one")  # fmt: skip
    which.add_argument("--list", action="store_true", help="print the cases and do nothing")
    how = parser.add_argument_group("how")
    how.add_argument("--peers", type=_names, help=f"some of {','.join(PEERS)} (default: the case's)")
    how.add_argument("--seconds", type=float, help="time for the rounds of each case (default: the case's)")
    how.add_argument("--threads", type=int, default=1, help="threads of each peer (default %(default)s)")
    how.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                     help="cpu: leave out the time in which other programs have the core; one thread only")  # fmt: skip
    how.add_argument("--cpus", type=_names, help="cores to run on, such as 0,1 (default: any)")
    how.add_argument("--cpu", default="native", help="what trec compiles for (default %(default)s)")
    how.add_argument("--models", type=Path, metavar="FOLDER",
                     help="keep compiled models here, and use those that are here: they need no compiler")  # fmt: skip
    how.add_argument("--compile-only", action="store_true", help="fill --models, for another machine, and time nothing")
    how.add_argument(
        "--max-memory", type=float, metavar="GIB", help="skip cases that need more (default: what is free)"
    )
    how.add_argument("--fbgemm", choices=("auto", "installed", "repaired"), default="auto",
                     help="preload what FBGEMM's vector kernels need: where missing, never, or always")  # fmt: skip
    types = parser.add_argument_group("what FBGEMM's files leave open")
    types.add_argument("--emb-weights-dtype", choices=DTYPES, default="int4")
    types.add_argument("--emb-output-dtype", choices=tuple(OUTPUTS), default="fp16")
    types.add_argument("--emb-pooling-mode", choices=("sum", "mean"), default="sum")
    how.add_argument("--device", choices=("cpu", "cuda"), default="cpu",
                     help="cuda: the benchmarks on a GPU, whose --help is their own")  # fmt: skip
    out = parser.add_argument_group("what is written")
    out.add_argument("--json", type=Path, metavar="FILE", help="everything, again after each case")
    out.add_argument("--markdown", type=Path, metavar="FILE", help="the tables (default: printed)")
    out.add_argument("--plot", type=Path, metavar="FILE", help="SVG or PNG, by the suffix")
    return parser


def _selected(options: argparse.Namespace) -> list[Case]:
    types = SpecTypes(options.emb_weights_dtype, options.emb_output_dtype, options.emb_pooling_mode)
    files = list(options.files)
    files += [FAMILIES / f"{name}.json" for name in (family_names() if options.all else options.family)]
    if options.quick:
        files.append(FAMILIES / "quick.json")
    cases = distinct([case for file in files for case in find_cases(file, types)])
    return [case for case in cases if all(text in f"{case.family}: {case.name}" for text in options.filter)]


def _misuse(options: argparse.Namespace) -> Optional[str]:
    if bool(options.results) == bool(options.files or options.family or options.quick or options.all):
        return "expected case files, --family, --quick or --all, or --from alone"
    if options.threads < 1 or (options.seconds is not None and options.seconds < 0):
        return "expected --threads of at least 1 and --seconds of at least 0"
    if options.compile_only and not options.models:
        return "--compile-only: expected --models=FOLDER"
    if options.clock == "cpu" and options.threads > 1:
        return "--clock=cpu: expected --threads=1, because it is the time of one thread"
    unknown = set(options.peers or ()) - set(PEERS)
    if unknown or options.peers == ():
        return f"--peers: expected some of {','.join(PEERS)}, got {','.join(sorted(unknown)) or 'none'}"
    cores = options.cpus or ()
    if not all(core.isdecimal() and int(core) in os.sched_getaffinity(0) for core in cores):
        return f"--cpus: expected some of {sorted(os.sched_getaffinity(0))}, got {','.join(cores)}"
    return None


def _repair(mode: str) -> None:
    """Starts again with the preload where FBGEMM needs it to find the machine's vector instructions."""
    from trec._fbgemm import ANY_ARCH, instruction_set, preload_library

    library = preload_library()
    preloaded = os.environ.get("LD_PRELOAD", "")
    if mode == "installed" or library in preloaded.split(":"):
        return
    if mode == "auto":
        import fbgemm_gpu  # noqa: F401

        if instruction_set() != ANY_ARCH:
            return
    environment = {**os.environ, "LD_PRELOAD": f"{library}:{preloaded}".rstrip(":")}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _set_threads(threads: int) -> None:
    """Lets FBGEMM have as many as the others: by itself it has one, and before 1.9 never more."""
    if threads > 1:
        os.environ.setdefault("FBGEMM_TBE_MAX_NUM_THREADS", str(threads))
        os.environ.setdefault("FBGEMM_TBE_MIN_TABLES_PER_THREAD", "1")


def _compile(options: argparse.Namespace, cases: list[Case]) -> None:
    from benchmarks.models import Models
    from benchmarks.workload import by_workload, compile_ahead

    models = Models(options.cpu, options.models)
    for number, case in enumerate(by_workload(cases), 1):
        compile_ahead(case, models)
        print(f"[{number}/{len(cases)}] {case.family}: {case.name}", file=sys.stderr, flush=True)


def _run(options: argparse.Namespace, cases: list[Case]) -> None:
    _repair(options.fbgemm)
    _set_threads(options.threads)
    if options.cpus:
        os.sched_setaffinity(0, {int(core) for core in options.cpus})
    import torch

    from benchmarks.machine import describe
    from benchmarks.models import Models
    from benchmarks.report import as_document, write_json
    from benchmarks.run import Options, run_cases

    torch.set_num_threads(options.threads)
    memory = None if options.max_memory is None else int(options.max_memory * 2**30)
    about, results = describe(options.threads, options.clock), []
    print(f"{len(cases)} cases, FBGEMM {about['fbgemm']['state']}, {about['fbgemm']['path']} path", file=sys.stderr)
    for result in run_cases(cases, Options(options.peers, options.seconds, Models(options.cpu, options.models), options.clock, memory)):
        results.append(result)
        print(f"[{len(results)}/{len(cases)}] {_progress(result)}", file=sys.stderr, flush=True)
        document = as_document(about, results)
        if options.json:
            write_json(options.json, document)
    _write(options, document)


def _join(options: argparse.Namespace) -> None:
    from benchmarks.report import joined, read_json, write_json

    document = joined([read_json(path) for path in options.results])
    if options.json:
        write_json(options.json, document)
    _write(options, document)


def _write(options: argparse.Namespace, document: dict[str, Any]) -> None:
    """Tables and plot."""
    from benchmarks.report import markdown

    if options.markdown:
        options.markdown.write_text(markdown(document), encoding="utf-8")
    else:
        print(markdown(document))
    if options.plot:
        from benchmarks.plot import write_plot

        write_plot(options.plot, document)


def _progress(result: Any) -> str:
    place = f"{result.case.family}: {result.case.name}"
    if result.skipped:
        return f"{place}: skipped, {result.skipped}"
    times = [f"{record['peer']} {record['ns_per_row']['median']:.2f}" for record in result.records]
    ratios = [
        f"{record['peer']} {values['median']:.2f}x {baseline}"
        for record in result.records
        if record["peer"].startswith("trec")
        for baseline, values in record["ratio"].items()
    ]
    return f"{place}: ns/row {', '.join(times)}; {', '.join(ratios)}"


def _on_gpu() -> Optional[list[str]]:
    """What follows `--device cuda`: those benchmarks have options of their own."""
    device = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    device.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    known, rest = device.parse_known_args()
    return rest if known.device == "cuda" else None


def main() -> int:
    rest = _on_gpu()
    if rest is not None:
        from benchmarks.cuda.command import main as run_on_gpu

        return run_on_gpu(rest)
    parser = _parser()
    options = parser.parse_args()
    misuse = _misuse(options)
    if misuse:
        parser.error(misuse)
    try:
        if options.results:
            _join(options)
            return 0
        cases = _selected(options)
        if not cases:
            raise CaseError("no case has all the texts of --filter in its name")
        if options.list:
            print("\n".join(f"{case.family}: {case.name}" for case in cases))
        elif options.compile_only:
            _compile(options, cases)
        else:
            _run(options, cases)
    except (TrecError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
