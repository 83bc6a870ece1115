"""Compiling what a machine with a GPU is to run: models, each in a library of its own, and a list of them."""

import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trec.compiler import run_tool
from trec.exporter import write_model
from trec.testing.cuda.models import Case, make_case

LIST = "cases.json"


def library_of(folder: Path, case: Case) -> Path:
    return folder / f"{case.name}.so"


def _compile(case: Case, folder: Path, options: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="trec-") as directory:
        write_model(case.spec, None, directory)
        numerics = ["--numerics=cpu"] if case.numerics == "cpu" else []
        run_tool("trec-compile", directory, "-o", library_of(folder, case), *options, *numerics)
    library_of(folder, case).with_suffix(".h").unlink(missing_ok=True)


def prepare(folder: Path, seeds: range, options: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cases = [make_case(seed) for seed in seeds]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda case: _compile(case, folder, options), cases))
    (folder / LIST).write_text(json.dumps([case.seed for case in cases]))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{len(cases)} models in '{folder}', {size / 2**20:.1f} MiB")


def prepared(folder: Path) -> list[Case]:
    return [make_case(seed) for seed in json.loads((folder / LIST).read_text())]


def describe_driver() -> str:
    """The name of the GPU and of its driver, as nvidia-smi gives them."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "no nvidia-smi"
