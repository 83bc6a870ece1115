"""What is no number: errors that come later, graphs, streams, arrays of either kind."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import trec
from trec.spec import ModelSpec
from trec.testing.cuda.contract import expected
from trec.testing.cuda.models import Batch, Case, make_tensors
from trec.testing.cuda.modules import check_module_placement, check_modules
from trec.testing.cuda.run import Tally, arguments, call, load, on_gpu


def _plain(cases: list[Case]) -> Case:
    """A model of bags, unweighted and without parameters and promises, with FBGEMM's numbers."""
    return next(case for case in cases if case.name.endswith("bags-fbgemm") and not case.spec.fixed_lengths)


def _batch(spec: ModelSpec, size: int, seed: int = 0) -> Batch:
    random = np.random.default_rng(seed)
    rows = min(table.num_embeddings or 1 for table in spec.tables)
    lengths = random.integers(0, 9, size * len(spec.features))
    values = random.integers(0, rows, int(lengths.sum()))
    return Batch(list(spec.features), values, lengths, False, None, size)


def _raised(function: Callable[[], Any]) -> Any:
    try:
        function()
    except trec.TrecError as error:
        return error
    return None


def check_errors(folder: Path, cases: list[Case], tally: Tally) -> None:
    """Bad ids by policy, and lengths and offsets that are wrong: told by the next call, or by poll."""
    case = _plain(cases)
    tensors = make_tensors(case)
    batch = _batch(case.spec, 40)
    place = int(np.flatnonzero(batch.lengths)[2])
    first = int(batch.lengths[:place].sum())
    batch.values[first + int(batch.lengths[place]) - 1] = 10**6
    sample, feature = place % 40, case.spec.features[place // 40]
    for policy in ("fatal", "none"):
        model = load(folder, case, tensors, bounds_check=policy)
        call(model, case, [batch])
        error = _raised(lambda: call(model, case, [_batch(case.spec, 3)]))
        tally.expect(policy, isinstance(error, trec.OutOfBoundsError), f"expected OutOfBoundsError, got {error!r}")
        told = error and (error.feature, error.sample, error.position, error.value)
        wanted = (feature, sample, int(batch.lengths[place]) - 1, 10**6)
        tally.expect(policy, told == wanted, f"expected {wanted}, got {told}: {error}")
        tally.expect(policy, _raised(model.poll) is None, "told twice")
        call(model, case, [batch])
        tally.expect(policy, _raised(model.poll) is not None, "the same place again is not told again")
    model, messages = load(folder, case, tensors, bounds_check="warning"), _Messages()
    call(model, case, [batch])
    model.poll()
    tally.expect("warning", len(messages.texts) == 1 and "id 1000000" in messages.texts[0], f"got {messages.texts}")
    uses = sum(item.feature == feature for item in case.spec.outputs)
    tally.expect("warning", model.info["counters"]["bad_ids"] == uses, f"counted {model.info['counters']}, not {uses}")
    messages.end()
    for what, change, text in _WRONG:
        broken = _batch(case.spec, 40, 1)
        given = arguments(broken, on_gpu)
        change(given, broken)
        model(**given)
        torch.cuda.synchronize()
        error = _raised(model.poll)
        tally.expect(what, error is not None and text in str(error), f"expected '{text}', got {error!r}")
    tally.compare("after errors", "contract", call(model, case, [_batch(case.spec, 40)]),
                  expected(case, tensors, [_batch(case.spec, 40)]))  # fmt: skip


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        logging.getLogger("trec").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def end(self) -> None:
        logging.getLogger("trec").removeHandler(self)


def _set_lengths(change: Callable[[np.ndarray], None]) -> Callable[[dict[str, Any], Batch], None]:
    def apply(given: dict[str, Any], batch: Batch) -> None:
        lengths = batch.lengths.copy()
        change(lengths)
        given["lengths"] = on_gpu(lengths)

    return apply


def _set_offsets(change: Callable[[np.ndarray], None]) -> Callable[[dict[str, Any], Batch], None]:
    def apply(given: dict[str, Any], batch: Batch) -> None:
        offsets = np.concatenate([[0], np.cumsum(batch.lengths)]).astype(np.int64)
        change(offsets)
        del given["lengths"]
        given["offsets"] = on_gpu(offsets)

    return apply


def _at(index: int, value: int) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[index] = value

    return change


_WRONG: list[tuple[str, Callable[[dict[str, Any], Batch], None], str]] = [
    ("negative length", _set_lengths(_at(7, -4)), "negative length: length -4 at position 7"),
    ("surplus values", _set_lengths(lambda lengths: lengths.__setitem__(slice(None), 0)), "lengths sum to 0"),
    ("huge length", _set_lengths(_at(7, 2**60)), "lengths sum to"),
    ("decreasing offsets", _set_offsets(_at(9, -1)), "offset"),
    ("offset past the end", _set_offsets(_at(9, 2**40)), "offset"),
    ("first offset", _set_offsets(_at(0, 1)), "offset 1 at position 0"),
    ("last offset", _set_offsets(_at(-1, 0)), "offset"),
]


def check_graph(folder: Path, cases: list[Case], tally: Tally) -> None:
    """A captured call, with lengths (whose offsets take memory) and with offsets, replayed on other ids."""
    case = _plain(cases)
    tensors = make_tensors(case)
    model = load(folder, case, tensors)
    for by_offsets in (False, True):
        batch = _batch(case.spec, 64)
        batch.by_offsets = by_offsets
        given = arguments(batch, on_gpu)
        given["keys"] = list(reversed(batch.keys))  # an order that is met in the capture first
        batch.keys = list(reversed(batch.keys))
        total = model.info["output"]["total_dim"]
        out = torch.empty((64, total), dtype=_torch_dtype(model), device="cuda")
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            model.run_into(out, **given, stream=torch.cuda.current_stream().cuda_stream)
        for seed in (5, 6):
            random = np.random.default_rng(seed)
            batch.values = random.integers(0, min(t.num_embeddings or 1 for t in case.spec.tables), len(batch.values))
            given["values"].copy_(on_gpu(batch.values))
            out.fill_(float("nan"))
            graph.replay()
            torch.cuda.synchronize()
            want = expected(case, tensors, [batch])
            tally.compare(f"graph, offsets {by_offsets}", "contract", _columns(model, out), want)
        given["values"][0] = 10**7
        graph.replay()
        torch.cuda.synchronize()
        before = model.info["counters"]["bad_ids"]
        model.poll()
        tally.expect("graph", model.info["counters"]["bad_ids"] > before, "a bad id of a replay is not counted")


def _torch_dtype(model: Any) -> torch.dtype:
    # bfloat16 goes as the bits that it is handed out as.
    return {"float32": torch.float32, "float16": torch.float16}.get(model.info["output"]["dtype"], torch.uint16)


def _columns(model: Any, out: torch.Tensor) -> dict[str, np.ndarray]:
    array = out.cpu().numpy()
    return {
        key["key"]: array[:, key["column"] : key["column"] + key["dim"]] for key in model.info["output"]["keys"]
    }


def check_streams(folder: Path, cases: list[Case], tally: Tally) -> None:
    """Calls on two streams at once, on one model, by turns and with lengths."""
    case = _plain(cases)
    tensors = make_tensors(case)
    model = load(folder, case, tensors)
    batches = [_batch(case.spec, 200, seed) for seed in range(8)]
    given = [arguments(batch, on_gpu) for batch in batches]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream(), torch.cuda.Stream()]
    outputs = []
    for index in range(40):
        number = streams[index % 2].cuda_stream
        outputs.append(model(**given[index % 8], stream=number))
    for index, output in enumerate(outputs):
        want = expected(case, tensors, [batches[index % 8]])
        tally.compare(f"streams, call {index}", "contract", {key: value.numpy() for key, value in output.items()}, want)


def check_arrays(folder: Path, cases: list[Case], tally: Tally) -> None:
    """Arrays that only speak DLPack, tables on the device, and what is refused."""
    case = _plain(cases)
    tensors = make_tensors(case)
    batch = _batch(case.spec, 31)
    want = expected(case, tensors, [batch])
    padded = {name: _padded(rows) for name, rows in tensors.rows.items()}
    model = trec.load(_library(folder, case), padded, device="cuda")
    values, lengths = on_gpu(batch.values), on_gpu(batch.lengths)
    got = model(_OnlyDLPack(values), lengths=_OnlyDLPack(lengths))
    tally.compare("DLPack", "contract", {key: value.numpy() for key, value in got.items()}, want)
    as_torch = {key: torch.as_tensor(value, device="cuda") for key, value in got.items()}
    tally.compare("as tensors", "contract", {key: value.cpu().numpy() for key, value in as_torch.items()}, want)
    assert values is not None and lengths is not None
    error = _raised(lambda: model(values.repeat(2)[::2], lengths=lengths))
    tally.expect("strides", error is not None and "contiguous" in str(error), f"got {error!r}")
    error = _raised(lambda: trec.load(_library(folder, case), tensors.all(), device="cuda:99"))
    tally.expect("device", isinstance(error, trec.UnsupportedGPUError), f"got {error!r}")


def check_placement(folder: Path, cases: list[Case], tally: Tally) -> None:
    """Tables in host memory, all of them, by name and by budget; and that a budget is kept to."""
    case = _plain(cases)
    tensors = make_tensors(case)
    batch = _batch(case.spec, 53)
    want = expected(case, tensors, [batch])
    names = [table.name for table in case.spec.tables]
    model = load(folder, case, tensors)
    sizes = {table["name"]: table["bytes"] for table in model.info["tables"]}
    tally.expect("placement", {table["place"] for table in model.info["tables"]} == {"device"}, "not on the device")
    error = _raised(lambda: load(folder, case, tensors, placement=trec.Placement(device_bytes=1)))
    least = re.search(r"device_bytes is 1, expected at least (\d+)", str(error))
    tally.expect("small budget", least is not None, f"got {error!r}")
    others = int(least[1]) if least else 0  # what is no table
    budget = others + -(-sizes[names[0]] // 256) * 256
    for what, placement, on_host in (
        ("the first", trec.Placement({names[0]: "host"}), {names[0]}),
        ("all", trec.Placement(dict.fromkeys(names, "host"), l2_fetch_bytes=32), set(names)),
        ("budget", trec.Placement({names[0]: "device"}, device_bytes=budget), set(names[1:])),
        ("large budget", trec.Placement(device_bytes=others + 2 * sum(sizes.values()) + 256 * len(names)), set()),
    ):
        model = load(folder, case, tensors, placement=placement)
        found = {table["name"] for table in model.info["tables"] if table["place"] == "host"}
        tally.expect(what, found == on_host, f"on the host are {found}, not {on_host}")
        tally.compare(f"on the host: {what}", "contract", call(model, case, [batch]), want)


def check_cache(folder: Path, cases: list[Case], tally: Tally) -> None:
    """Tables that are to stay in the cache, as much as the device allows: in a call and in a graph of it."""
    case = _plain(cases)
    tensors = make_tensors(case)
    batch = _batch(case.spec, 47)
    want = expected(case, tensors, [batch])
    error = _raised(lambda: load(folder, case, tensors, placement=trec.Placement(l2_persist_bytes=1 << 50)))
    most = re.search(r"l2_persist_bytes is \d+, expected at most (\d+)", str(error))
    if isinstance(error, trec.UnsupportedGPUError):
        print(f"NOT TESTED: what stays in the cache: {error}", flush=True)
        return
    tally.expect("most of the cache", most is not None, f"got {error!r}")
    model = load(folder, case, tensors, placement=trec.Placement(l2_persist_bytes=int(most[1]) if most else 1))
    kept = {table["name"]: table["persistent_bytes"] == table["bytes"] for table in model.info["tables"]}
    tally.expect("kept in the cache", all(kept.values()), f"got {model.info['tables']}")
    tally.compare("kept in the cache", "contract", call(model, case, [batch]), want)
    given = arguments(batch, on_gpu)
    out = torch.zeros((47, model.info["output"]["total_dim"]), dtype=_torch_dtype(model), device="cuda")
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        model.run_into(out, **given, stream=torch.cuda.current_stream().cuda_stream)
    graph.replay()
    torch.cuda.synchronize()
    tally.compare("kept in the cache, graph", "contract", _columns(model, out), want)


def _library(folder: Path, case: Case) -> Path:
    return folder / f"{case.name}.so"


def _padded(rows: np.ndarray) -> torch.Tensor:
    width = -(-rows.shape[1] // 16) * 16
    result = torch.zeros((rows.shape[0], width), dtype=torch.uint8, device="cuda")
    result[:, : rows.shape[1]] = torch.from_numpy(rows).cuda()
    return result


class _OnlyDLPack:
    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack__(self, stream: Any = None) -> Any:
        return self._tensor.__dlpack__(stream=stream)

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()


CHECKS: dict[str, Callable[[Path, list[Case], Tally], None]] = {
    "errors": check_errors,
    "graph": check_graph,
    "streams": check_streams,
    "arrays": check_arrays,
    "placement": check_placement,
    "cache": check_cache,
    "modules": check_modules,
    "placement of modules": check_module_placement,
}
