"""Holds models that are compiled for AArch64 and run under an emulator to those of this machine, byte by byte.

    compare_aarch64.py FOLDER --models=NAME,... --cpu=LEVEL,... --emulators="COMMAND;COMMAND..." [--upward]

FOLDER has the specs of matrix.py, and run_batches.c as `host` for this machine and as `host-aarch64`. Each emulator runs
each model, and says which level it chose. With --upward floats are rounded up.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import subprocess
import sys
from pathlib import Path

INPUTS = Path(__file__).parent
# What the machine with the outputs to compare with runs: not its best, for that differs between machines.
HOST_CPU = "x86-64-v2"


def run(*command: str | Path) -> str:
    result = subprocess.run([os.fspath(word) for word in command], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout.strip()


def prepare(folder: Path, name: str, cpu: str) -> list[Path]:
    """Compiles the model for both, unless a run before this one did; its weights and batches."""
    spec, model = folder / f"{name}.json", folder / name
    files = [folder / f"{name}.safetensors", folder / f"{name}.batches"]
    if files[-1].exists():
        return files
    run("trec-import", spec, "-o", model, "--no-weights")
    run("trec-compile", model, f"--cpu={HOST_CPU}", "-o", folder / f"{name}.host.so")
    run("trec-compile", model, "--target=aarch64-linux-gnu", f"--cpu={cpu}", "-o", folder / f"{name}.so")
    run(sys.executable, INPUTS / "make_batches.py", spec, folder / f"{name}.host.manifest.json", *files)
    return files


def compare(folder: Path, name: str, emulators: list[str], arguments: list[str | Path]) -> None:
    expected, got = folder / f"{name}.expected", folder / f"{name}.got"
    files, mode = arguments[:2], arguments[2:]
    said = run(folder / "host", folder / f"{name}.host.so", *files, expected, *mode)
    for emulator in emulators:
        command = [*emulator.split(), folder / "host-aarch64", folder / f"{name}.so", *files, got, *mode]
        level, rest = run(*command).split(",", 1)
        if not filecmp.cmp(expected, got, shallow=False) or rest != said.split(",", 1)[1]:
            sys.exit(f"{name}: {emulator} gave other outputs: {said} here, {level},{rest} there")
        print(f"{name}: {expected.stat().st_size} bytes are the same, {level},{rest}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for option in ("--models", "--cpu", "--emulators"):
        parser.add_argument(option, required=True)
    parser.add_argument("--upward", action="store_true")
    options = parser.parse_args()
    mode = ["upward"] if options.upward else []
    for name in options.models.split(","):
        files = prepare(options.folder, name, options.cpu)
        compare(options.folder, name, options.emulators.split(";"), files + mode)


if __name__ == "__main__":
    main()
