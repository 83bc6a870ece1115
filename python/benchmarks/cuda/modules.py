"""A case as a user calls it: torch modules on KeyedJaggedTensors, FBGEMM's module, graphs of one call, and what the
host and the driver need for anything at all."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.cuda import timing
from benchmarks.cuda.run import IndexSet, Run, put_rows

FLOOR = "floor"
_ROUNDS, _MOST_SETS = 200, 64


def _features(run: Run) -> list[str]:
    return run.case.spec().features


def _ready(run: Run, given: IndexSet) -> Any:
    """A KeyedJaggedTensor that knows all that can be known: offsets, and how many ids each key has."""
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    ends = torch.cumsum(torch.tensor([0, *given.totals]), 0).tolist()
    return KeyedJaggedTensor(
        _features(run), given.ids, given.weights, given.lengths, given.offsets, run.case.batch,
        length_per_key=given.totals, offset_per_key=ends,
    )  # fmt: skip


def _fresh(run: Run, given: IndexSet) -> Any:
    """One that is made from values and lengths, as those of a new batch are."""
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    return KeyedJaggedTensor(_features(run), given.ids, given.weights, given.lengths)


def trec_module(run: Run) -> Any:
    from trec.torch import load

    widths = {table.name: table.row_bytes for table in run.case.spec().tables}
    rows = {name: table[:, : widths[name]] for name, table in run.tables().items()}
    return load(run.library, rows, device=run.buffer.device.type)


def torchrec_module(run: Run) -> Any:
    """TorchRec's quantized module, on the same rows."""
    from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, EmbeddingConfig, PoolingType
    from torchrec.quant.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

    case = run.case
    options: dict[str, Any] = {"pooling": PoolingType[case.pooling.upper()]} if case.is_pooled else {}
    tables = [
        (EmbeddingBagConfig if case.is_pooled else EmbeddingConfig)(
            name=table.name, num_embeddings=table.num_embeddings, embedding_dim=table.embedding_dim,
            feature_names=list(table.features), data_type=DataType[table.dtype.upper()], **options,
        )
        for table in case.spec().tables
    ]  # fmt: skip
    common = {"device": run.buffer.device, "output_dtype": getattr(torch, case.output), "row_alignment": 16}
    if case.is_pooled:
        module = EmbeddingBagCollection(tables, is_weighted=case.is_weighted, **common)
    else:
        module = EmbeddingCollection(tables, **common)
    (tbe,) = module._emb_modules
    put_rows(tbe, run.buffer)
    return module


def _module_calls(run: Run, sets: list[IndexSet]) -> tuple[timing.Calls, dict[str, str]]:
    """Of torch modules, and which of them there are not, with the reason."""
    calls: timing.Calls = {}
    absent: dict[str, str] = {}
    for name, make in (("trec module", trec_module), ("torchrec module", torchrec_module)):
        try:
            module = make(run)
            ready = [_ready(run, given) for given in sets]
            module(ready[0])
        except Exception as error:
            absent[name] = f"{type(error).__name__}: {error}"
            continue
        # TorchRec's modules have no such property.
        path = getattr(module, "call_path", "extension")
        if path != "extension":
            absent[f"{name}, extension"] = path
        calls[name] = [lambda m=module, k=kjt: m(k) for kjt in ready]
        calls[f"{name}, new batch"] = [lambda m=module, s=given: m(_fresh(run, s)) for given in sets]
    return calls, absent


def _floor(run: Run) -> Callable[[], Any]:
    """The least that a call and a wait can be: one number is added to one element."""
    x = torch.zeros(1, device=run.buffer.device)
    return lambda: x.add_(1)


def _can_be_captured(name: str) -> bool:
    """What makes a batch reads the number of ids of each key back, sooner or later."""
    return not name.endswith("new batch")


def by_clock(run: Run) -> tuple[timing.Times, dict[str, str]]:
    """Calls with a wait for the GPU, and replays of graphs of one call; and what there is not."""
    sets = run.sets[:_MOST_SETS]
    calls: timing.Calls = {FLOOR: [_floor(run)]}
    calls.update((name, ring[: len(sets)]) for name, ring in run.calls().items())
    modules, absent = _module_calls(run, sets)
    calls.update(modules)
    if run.buffer.is_cuda:
        for name in filter(_can_be_captured, list(calls)):
            try:
                calls[f"{name}, graph"] = [timing.capture(calls[name][:1]).replay]
            except Exception as error:
                absent[f"{name}, graph"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return timing.on_the_clock(calls, _ROUNDS if run.buffer.is_cuda else 3), absent
