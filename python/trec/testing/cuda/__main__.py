"""The command line: see the package."""

import argparse
import sys
import time
import traceback
from pathlib import Path

from trec.testing.cuda.prepare import describe_driver, prepare, prepared


def _run(arguments: argparse.Namespace) -> int:
    import torch

    from trec.testing.cuda import fbgemm
    from trec.testing.cuda.behaviour import CHECKS
    from trec.testing.cuda.run import Tally, run_model

    if not torch.cuda.is_available():
        print("nothing was tested: torch finds no GPU", file=sys.stderr)
        return 2
    fbgemm.add_package(arguments.fbgemm)
    missing = fbgemm.is_there()
    has_fbgemm = f"no: {missing}" if missing else "yes"
    print(f"{describe_driver()}, torch {torch.__version__}, FBGEMM {has_fbgemm}", flush=True)
    cases = [case for case in prepared(arguments.folder) if arguments.filter in case.name]
    started, failed, tally = time.monotonic(), 0, Tally()
    jobs = [(case.name, lambda case=case: run_model(arguments.folder, case, tally, missing is None)) for case in cases]
    if not arguments.filter:
        jobs += [(name, lambda check=check: check(arguments.folder, cases, tally)) for name, check in CHECKS.items()]
    for name, job in jobs:
        before = len(tally.wrong)
        try:
            job()
        except Exception as error:
            failed += 1
            traceback.print_exc(limit=3)
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
        for text in tally.wrong[before : before + 5]:
            print(f"WRONG {text}", flush=True)
    compared = ", ".join(f"{peer}: {number}" for peer, number in tally.by_peer.items())
    print(
        f"{len(cases)} models, {tally.elements} elements; compared {compared}; {len(tally.wrong)} wrong, "
        f"{failed} failed, {time.monotonic() - started:.1f} s"
    )
    return 1 if tally.wrong or failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trec.testing.cuda", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("prepare", help="compile random models into a folder")
    make.add_argument("folder", type=Path)
    make.add_argument("--models", type=int, default=60)
    make.add_argument("--seed", type=int, default=0, help="of the first model")
    make.add_argument("--gpu", default="sm_90")
    make.add_argument("--cpu", default="x86-64-v3")
    run = commands.add_parser("run", help="run them on this machine's GPU")
    run.add_argument("folder", type=Path)
    run.add_argument("--fbgemm", help="a packed FBGEMM to import: an archive or a folder")
    run.add_argument("--filter", default="", help="models with this in their names alone, and nothing else")
    arguments = parser.parse_args()
    if arguments.command == "run":
        return _run(arguments)
    seeds = range(arguments.seed, arguments.seed + arguments.models)
    prepare(arguments.folder, seeds, [f"--gpu={arguments.gpu}", f"--cpu={arguments.cpu}"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
