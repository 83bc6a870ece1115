"""`python -m trec.testing.upstream CHECKOUT`: TorchRec's own tests with compiled modules in place of torchrec.quant's.

CHECKOUT is a checkout of TorchRec of about the installed release. Of it the test files are run that name the quantized
modules or the inference helpers; everything else comes from the installed package. Nothing is copied or fetched.

A test that fails is run again with TorchRec's own modules: where it fails there too, it says nothing about trec. Nor
does one that passes without a compiled module. These are not applicable, as are those that TorchRec skips. Exit status
1 where a test fails, or none passes.
"""

import argparse
import importlib
import os
import re
import sys
import traceback
import unittest
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Optional

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"
_SUBJECT = re.compile(r"\btorchrec\.(quant|inference|tensor_types|distributed\.quant_\w+)\b|quantize_embeddings")


@dataclass
class Result:
    """What came of one test, or under the name of the file of one that could not be run."""

    name: str
    status: str
    reason: str = ""
    uses: Any = None
    trace: str = ""

    def line(self) -> str:
        uses = f" ({self.uses.modules} compiled modules, {self.uses.forwards} calls)" if self.status == PASSED else ""
        return f"  {self.status}: {self.name}{uses}{f': {self.reason}' if self.reason else ''}"


def find_tests(checkout: Path) -> list[Path]:
    """The test files about quantized modules and inference, relative to the checkout."""
    files = sorted(path for path in checkout.glob("torchrec/**/test_*.py") if "test_utils" not in path.parts)
    return [path.relative_to(checkout) for path in files if _SUBJECT.search(path.read_text(encoding="utf-8"))]


def module_name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts)


def _add_tests_of(checkout: Path, module: str) -> None:
    """Lets the installed packages have the checkout's tests, which are not installed, for submodules."""
    packages = module.split(".")[:-2]
    for depth in range(1, len(packages) + 1):
        package = importlib.import_module(".".join(packages[:depth]))
        # At the end: what is installed comes first.
        package.__path__.append(str(checkout.joinpath(*packages[:depth])))


class _Recorder(unittest.TestResult):
    def __init__(self, take_uses: Any) -> None:
        super().__init__()
        self.results: list[Result] = []
        self._take_uses = take_uses

    def startTest(self, test: unittest.TestCase) -> None:
        self._take_uses()
        super().startTest(test)

    def _record(self, test: Any, status: str, reason: str = "", trace: str = "") -> None:
        uses = self._take_uses()
        name = ".".join(str(test.id()).split(".")[-2:])
        self.results.append(Result(name, status, reason, uses, trace))

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._record(test, PASSED)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._record(test, NOT_APPLICABLE, f"TorchRec skips it: {reason}")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, FAILED, _last_line(err[1]), "".join(traceback.format_exception(*err)))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self.addFailure(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Optional[Any]) -> None:
        if err is not None:
            self.addFailure(test, err)


def _last_line(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".strip().splitlines()
    return text[0] if text else type(error).__name__


def _of_file(module: str, reason: str, trace: str = "") -> Result:
    return Result(f"{module.rpartition('.')[2]}.py", FAILED, reason, trace=trace)


def _run_here(checkout: Path, module: str, names: Optional[list[str]], with_compiled: bool) -> list[Result]:
    from trec.testing.substitutes import USES, install

    # Tests and FBGEMM print much; what counts comes back as results.
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    if with_compiled:
        install()
    _add_tests_of(checkout, module)
    recorder = _Recorder(USES.take)
    try:
        tests = importlib.import_module(module)
    except Exception as error:  # whatever a file does when it is imported
        return [_of_file(module, f"cannot be imported: {_last_line(error)}", traceback.format_exc())]
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names, tests) if names else loader.loadTestsFromModule(tests)
    suite.run(recorder)
    return recorder.results


def _run(checkout: Path, module: str, names: Optional[list[str]] = None, with_compiled: bool = True) -> list[Result]:
    """In a process of its own: tests change TorchRec's global state, and one may take the process down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_run_here, checkout, module, names, with_compiled).result()
        except BrokenProcessPool:
            return [_of_file(module, "the process died")]


def judge(result: Result, original: Optional[Result]) -> Result:
    """The verdict; `original` is what a test that failed gives with TorchRec's own modules."""
    if result.status == PASSED and not result.uses.modules:
        return Result(result.name, NOT_APPLICABLE, "passes without a compiled module")
    if original is not None and original.status != PASSED:
        return Result(result.name, NOT_APPLICABLE, f"fails with TorchRec's own modules too: {original.reason}")
    if result.status == FAILED and result.uses and result.uses.on_meta and not result.uses.asked:
        reason = "its modules are on the meta device, where there is nothing to compile, and the stand-in is no target"
        return Result(result.name, NOT_APPLICABLE, reason)
    return result


def run_file(checkout: Path, module: str) -> list[Result]:
    results = _run(checkout, module)
    failed = [result.name for result in results if result.status == FAILED]
    if not failed:
        return [judge(result, None) for result in results]
    names = None if any(name.endswith(".py") for name in failed) else failed
    originals = _run(checkout, module, names, with_compiled=False)
    by_name = {original.name: original for original in originals}
    return [judge(result, by_name.get(result.name)) for result in results]


def _installed_versions() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, version

    for name in ("torch", "torchrec", "fbgemm-gpu-cpu"):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} not installed"


def main(arguments: Optional[list[str]] = None) -> int:
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m trec.testing.upstream", description=about)
    parser.add_argument("checkout", type=Path, help="a checkout of TorchRec")
    parser.add_argument("--traces", action="store_true", help="print the traceback of each test that fails")
    options = parser.parse_args(arguments)
    checkout = options.checkout.resolve()
    files = find_tests(checkout)
    if not files:
        parser.error(f"'{options.checkout}' has no tests of TorchRec's quantized modules")
    counts: Counter[str] = Counter()
    for file in files:
        print(file, flush=True)
        for result in run_file(checkout, module_name(file)):
            counts[result.status] += 1
            print(result.line(), flush=True)
            if options.traces and result.status == FAILED:
                print(result.trace)
    total = ", ".join(f"{counts[status]} {status}" for status in (PASSED, FAILED, NOT_APPLICABLE))
    print(f"{total} ({', '.join(_installed_versions())})")
    return 1 if counts[FAILED] or not counts[PASSED] else 0


if __name__ == "__main__":
    sys.exit(main())
