"""A real TorchRec model, compiled, run from Python and from C, and compared with TorchRec: every bit, and the latency.

The model is the sparse part of DLRM on the 26 features of Criteo with MLPerf's multi-hot sizes, quantized by TorchRec's
own flow to INT8 and INT4. Exit status 1 where one bit differs.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")
logging.getLogger("torch.fx").setLevel(logging.ERROR)
import torch  # noqa: E402
from torchrec.inference.modules import quantize_embeddings  # noqa: E402
from torchrec.models.dlrm import SparseArch  # noqa: E402
from torchrec.modules.embedding_configs import EmbeddingBagConfig  # noqa: E402
from torchrec.modules.embedding_modules import EmbeddingBagCollection  # noqa: E402
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor  # noqa: E402

import trec  # noqa: E402
import trec.torch  # noqa: E402
from trec._fbgemm import require_vector_kernels  # noqa: E402

# MLPerf's DLRM-DCNv2: rows of each table and ids for each sample.
ROWS = [40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10, 2209, 11938, 155, 4, 976,
        14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36]  # fmt: skip
HOTS = [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1]
BATCH_SIZES = (1, 16, 64, 256)
EXAMPLE = Path(__file__).resolve().parents[1] / "test/Integration/CPU/example.c"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--max-rows", type=int, default=100_000, help="cap on the rows of a table (default %(default)s)"
    )
    parser.add_argument("--dim", type=int, default=128, help="embedding dim (default %(default)s)")
    parser.add_argument("--out", type=Path, help="folder to keep the compiled model in (default: a temporary one)")
    parser.add_argument("--threads", type=int, default=1, help="threads of both sides (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each latency (default %(default)s)")
    return parser.parse_args()


def make_model(max_rows: int, dim: int) -> torch.nn.Module:
    """SparseArch with every other table in INT4, the rest in INT8."""
    torch.manual_seed(0)
    tables = [
        EmbeddingBagConfig(
            name=f"t_cat_{i}", embedding_dim=dim, num_embeddings=min(rows, max_rows), feature_names=[f"cat_{i}"]
        )
        for i, rows in enumerate(ROWS)
    ]
    arch = SparseArch(EmbeddingBagCollection(tables=tables, device=torch.device("cpu")))
    int4 = {table.name: torch.quint4x2 for table in tables[1::2]}
    return quantize_embeddings(arch, dtype=torch.qint8, inplace=True, per_table_weight_dtype=int4)


def make_batch(model: torch.nn.Module, size: int, seed: int) -> KeyedJaggedTensor:
    random = np.random.default_rng(seed)
    tables = model.embedding_bag_collection.embedding_bag_configs()
    ids = [random.integers(0, table.num_embeddings, size * hot) for table, hot in zip(tables, HOTS)]
    lengths = np.repeat(np.array(HOTS, np.int32), size)
    keys = [table.feature_names[0] for table in tables]
    kjt = KeyedJaggedTensor(keys, torch.from_numpy(np.concatenate(ids)), lengths=torch.from_numpy(lengths))
    kjt.offsets()
    return kjt


def same_bits(got: Any, expected: torch.Tensor) -> bool:
    want = expected.numpy()
    return got.shape == want.shape and np.array_equal(np.asarray(got).view(np.int32), want.view(np.int32))


def run_c(program: Path, weights: Path, kjt: KeyedJaggedTensor) -> np.ndarray:
    folder = program.parent
    sizes = np.array([kjt.stride(), len(kjt.keys()), kjt.values().numel()], np.int64)
    parts = (sizes, kjt.values().numpy(), kjt.lengths().numpy())
    (folder / "batch.raw").write_bytes(b"".join(part.tobytes() for part in parts))
    subprocess.run([program, weights, folder / "batch.raw", folder / "embeddings.raw"], check=True)
    return np.fromfile(folder / "embeddings.raw", np.float32).reshape(kjt.stride(), -1)


def check(model: torch.nn.Module, compiled: torch.nn.Module, so: Path, program: Path) -> bool:
    """Compares the four ways to run the model, and prints one line for each."""
    loaded, weights = trec.load(so), so.with_suffix(".safetensors")
    collection = model.embedding_bag_collection

    def numpy_outputs(kjt: KeyedJaggedTensor) -> np.ndarray:
        return np.concatenate(list(loaded(kjt.values().numpy(), kjt.lengths().numpy()).values()), axis=1)

    ways: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = [
        ("trec.load, numpy", numpy_outputs, lambda kjt: collection(kjt).values()),
        ("trec.torch.replace, in SparseArch", lambda kjt: compiled(kjt).numpy(), model),
        ("C program on model.h", lambda kjt: run_c(program, weights, kjt), lambda kjt: collection(kjt).values()),
    ]
    batches = [make_batch(model, size, seed) for seed, size in enumerate(BATCH_SIZES)]
    right = True
    for name, run, reference in ways:
        expected = [reference(kjt) for kjt in batches]
        differing = sum(not same_bits(run(kjt), want) for kjt, want in zip(batches, expected))
        total = sum(want.numel() for want in expected)
        print(f"  {name:36}{'every bit equal' if not differing else 'DIFFERENT':18}{total:>12,} values")
        right = right and not differing
    return right


def quartiles(times: list[float]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(times, [25, 50, 75])
    return float(low), float(middle), float(high)


def interleave(calls: list[Callable[[Any], Any]], batches: list[Any], seconds: float) -> list[list[float]]:
    """Microseconds of each call; taking turns, so that what disturbs the machine hits all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for batch in batches:
        for call in calls:
            call(batch)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < len(batches):
        for batch in batches:
            for call, samples in zip(calls, times):
                begin = time.perf_counter_ns()
                call(batch)
                samples.append((time.perf_counter_ns() - begin) / 1000)
    return times


def print_latencies(model: torch.nn.Module, compiled: torch.nn.Module, options: argparse.Namespace) -> None:
    collections = [model.embedding_bag_collection, compiled.embedding_bag_collection]
    print(f"\nLatency of the module call, {options.threads} thread(s), median (quartiles), microseconds")
    print(f"  {'batch':>6}{'TorchRec':>28}{'trec':>28}{'ratio':>8}")
    for size in BATCH_SIZES:
        # Several batches in turn: a server does not see the same ids again and again.
        batches = [make_batch(model, size, seed) for seed in range(100, 116)]
        samples = interleave(collections, batches, options.seconds)
        texts, medians = [], []
        for low, middle, high in map(quartiles, samples):
            medians.append(middle)
            texts.append(f"{middle:,.1f} ({low:,.1f} - {high:,.1f})")
        print(f"  {size:>6}{texts[0]:>28}{texts[1]:>28}{medians[0] / medians[1]:>7.1f}x")


def print_tables(model: trec.Model) -> None:
    print(f"\n  {'table':10}{'type':6}{'dim':>5}{'rows':>10}{'bytes':>14}  kernel")
    for table in model.tables:
        print(
            f"  {table['name']:10}{table['dtype']:6}{table['dim']:>5}{table['rows']:>10,}{table['bytes']:>14,}"
            f"  {table['kernel']}"
        )


def build(model: torch.nn.Module, folder: Path) -> tuple[Path, Path]:
    """Exports and compiles the model, and the C program against the generated header."""
    (exported,) = trec.export(model, folder)
    begin = time.perf_counter()
    so = trec.compile(exported, exported / "model.so")
    seconds = time.perf_counter() - begin
    program = exported / "example"
    command = ["gcc", "-std=c11", "-O2", "-Wall", "-Werror", "-I", exported, EXAMPLE, so, f"-Wl,-rpath,{exported}"]
    subprocess.run([*command, "-o", program], check=True)
    begin = time.perf_counter()
    loaded = trec.load(so)
    load_seconds = time.perf_counter() - begin
    print_tables(loaded)
    sizes = [os.path.getsize(path) for path in (so, so.with_suffix(".safetensors"))]
    print(
        f"\nmodel.so {sizes[0] / 1024:,.0f} KiB, weights {sizes[1] / 2**20:,.1f} MiB, compiled in {seconds:.2f} s "
        f"for {loaded.info['cpu_level']}, loaded in {load_seconds * 1000:.2f} ms"
    )
    return so, program


def demonstrate(options: argparse.Namespace, folder: Path) -> bool:
    model = make_model(options.max_rows, options.dim)
    print(f"DLRM's SparseArch, {len(ROWS)} tables of at most {options.max_rows:,} rows, {sum(HOTS)} ids a sample")
    so, program = build(model, folder)
    compiled = trec.torch.replace(SparseArch(model.embedding_bag_collection))
    print(f"\nAgainst TorchRec with FBGEMM, batches of {', '.join(map(str, BATCH_SIZES))}")
    with torch.inference_mode():
        if not check(model, compiled, so, program):
            return False
        print_latencies(model, compiled, options)
    return True


def main() -> int:
    options = parse()
    try:
        require_vector_kernels()
    except trec.TrecError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="trec-demo-") as temporary:
        return 0 if demonstrate(options, options.out or Path(temporary)) else 1


if __name__ == "__main__":
    sys.exit(main())
