"""`python -m trec.parity --models 2000 --seed 1`: random models, every bit against TorchRec and FBGEMM.

Prints one line of figures; exit status 1 at any difference, with the seeds that show it.
"""

import argparse
import logging
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from trec.testing.reference import different_elements


@dataclass
class Tally:
    models: int = 0
    batches: int = 0
    elements: int = 0
    different: int = 0
    seeds: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in ("models", "batches", "elements", "different", "seeds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def compare_batch(peer: Any, compiled: Any, batch: Any) -> tuple[int, int]:
    """Elements compared and elements that differ; keys, lengths and the caller's tensors count as well."""
    from trec.testing.models import flatten

    expected_names, expected = flatten(peer(*[item.plain() for item in batch.all()]))
    given = [item.kjt() for item in batch.all()]
    names, got = flatten(compiled(*given))
    different = sum(_different(a, b) for a, b in zip(got, expected)) + abs(len(got) - len(expected))
    pairs = zip(given, batch.all())
    untouched = all(np.array_equal(kjt.values().numpy(), item.values.numpy()) for kjt, item in pairs)
    return sum(array.size for array in got), different + (names != expected_names) + (not untouched)


def _different(got: np.ndarray, expected: np.ndarray) -> int:
    """Lengths and ids must be equal, embeddings have NaN."""
    if got.dtype.kind == "i" or expected.dtype.kind == "i":
        same = got.dtype == expected.dtype and np.array_equal(got, expected)
        return 0 if same else max(1, got.size)
    return different_elements(got, expected)


def compare_model(draw: Any, batches: int, cpu: str = "native") -> Tally:
    """One random model on some random batches."""
    import trec.torch
    from trec.testing.cases import draw_case, promise_lengths
    from trec.testing.models import draw_batch

    case = draw_case(draw)
    if draw.chance(30):
        promise_lengths(draw, case)
    compiled = trec.torch.compile(case.module, cpu=cpu, **case.options)
    tally = Tally(models=1)
    for number in range(batches):
        if number == (batches + 1) // 2:
            # From here on by other arithmetic where that is exact.
            compiled.check_exactness()
        elements, different = compare_batch(case.peer, compiled, draw_batch(draw, case.shape))
        tally.add(Tally(batches=1, elements=elements, different=different))
    return tally


def _work(job: tuple[int, int, argparse.Namespace]) -> Tally:
    """Every `jobs`-th model from `first` on; a process of its own."""
    first, jobs, options = job
    import torch
    import torchrec  # noqa: F401

    from trec._fbgemm import require_vector_kernels
    from trec.testing.models import seeded_draw

    require_vector_kernels()
    # FBGEMM prints a line for each batch with bad ids. Exceptions go back to the parent without standard error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    torch.set_num_threads(1)
    logging.getLogger("trec").setLevel(logging.ERROR)
    total = Tally()
    for index in range(first, options.models, jobs):
        seed = options.seed * 1_000_003 + index
        tally = compare_model(seeded_draw(seed), options.batches, options.cpu)
        if tally.different:
            tally.seeds.append(f"--seed {options.seed} model {index}")
        total.add(tally)
    return total


def _parse(arguments: Optional[list[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trec.parity", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=2000, help="number of models (default %(default)s)")
    parser.add_argument("--batches", type=int, default=4, help="batches for each model (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the models (default %(default)s)")
    parser.add_argument("--cpu", default="native", help="as for trec-compile (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each CPU)")
    return parser.parse_args(arguments)


def main(arguments: Optional[list[str]] = None) -> int:
    options = _parse(arguments)
    begin = time.monotonic()
    total = Tally()
    # Unlike a pool of multiprocessing, this one says so when a process dies.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        for tally in pool.map(_work, [(first, options.jobs, options) for first in range(options.jobs)]):
            total.add(tally)
    print(
        f"{total.models} models, {total.batches} batches, {total.elements} elements: "
        f"{total.different} different ({time.monotonic() - begin:.0f} s)"
    )
    for seed in sorted(total.seeds)[:20]:
        print(f"differs: {seed}", file=sys.stderr)
    return 1 if total.different or not total.elements else 0


if __name__ == "__main__":
    sys.exit(main())
