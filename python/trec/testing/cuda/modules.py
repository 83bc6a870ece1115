"""Compiled torch modules on a GPU, loaded from prepared libraries, on torch's current stream."""

import copy
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import trec
from trec.spec import SEQUENCE
from trec.testing.cuda.contract import expected
from trec.testing.cuda.models import Batch, Case, Tensors, make_batches, make_tensors
from trec.testing.cuda.prepare import library_of
from trec.testing.cuda.run import Tally
from trec.weights_file import Parameter, TableRows, array_chunks, write_weights

_CALLS = 4


def check_modules(folder: Path, cases: list[Case], tally: Tally, device: str = "cuda") -> None:
    """`trec.torch.load` of bags, weighted ones, sequences and weights by position, against the contract."""
    try:
        import trec.torch
    except ImportError as error:
        print(f"NOT TESTED: trec.torch on a GPU: {error}", flush=True)
        return
    for case in _torch_cases(cases):
        tensors = make_tensors(case)
        module = _load(folder, case, tensors, device=device)
        tally.expect(case.name, module.device.type == device, f"the module is on {module.device}")
        for number, (batch,) in enumerate(make_batches(case, _CALLS)):
            features, want = _kjt(batch, device), expected(case, tensors, [batch])
            for how in ("python", "extension"):
                with _other_stream(device, number):
                    got = _embeddings(module(features), case)
                tally.compare(f"{case.name}, module, call {number} by {how}", "contract", got, want)
                # Keys are known from the first call, and then this, without which the other is as the first.
                if batch.size:
                    features.length_per_key()
        _expect_extension(case, module, tally)


def _expect_extension(case: Case, module: Any, tally: Tally) -> None:
    """Where it is there it has made some of the calls."""
    if module.call_path != "extension":
        print(f"NOT TESTED: calls of {case.name} by the extension: {module.call_path}", flush=True)
        return
    tally.expect(case.name, module._runtime.caller.calls > 0, "the extension has made no call")


def check_module_placement(folder: Path, cases: list[Case], tally: Tally) -> None:
    """A module whose first table stays in host memory, its copy, and itself once pickled: all read pinned memory."""
    case = next(_torch_cases(cases))
    tensors = make_tensors(case)
    first = case.spec.tables[0].name
    module = _load(folder, case, tensors, device="cuda", placement=trec.Placement({first: "host"}))
    module.to("cuda")
    ((batch,),) = make_batches(case, 1)
    want = expected(case, tensors, [batch])
    for what, made in (("module", module), ("copy", copy.deepcopy(module)), ("pickle", pickle.loads(pickle.dumps(module)))):
        on_host = [name for name, place in made.placement.items() if place == "host"]
        tally.expect(what, on_host == [first], f"on the host are {on_host}, not {first}")
        tally.expect(what, made._rows[first].is_pinned(), "its memory is not pinned")
        tally.compare(f"on the host: {what}", "contract", _embeddings(made(_kjt(batch, "cuda")), case), want)


def _load(folder: Path, case: Case, tensors: Tensors, **options: Any) -> Any:
    import trec.torch

    with tempfile.TemporaryDirectory(prefix="trec-") as directory:
        weights = Path(directory, "model.safetensors")
        _write(weights, tensors)
        return trec.torch.load(library_of(folder, case), weights, **options)


def _torch_cases(cases: list[Case]) -> Iterator[Case]:
    """The first of each kind that torch modules have, among those with the contract's numerics."""
    found = set()
    for case in cases:
        kind = case.name.split("-")[1]
        is_wanted = kind in ("bags", "weighted", "sequence", "positions") and case.numerics == "fbgemm"
        if is_wanted and kind not in found:
            found.add(kind)
            yield case


def _other_stream(device: str, number: int) -> Any:
    """Every second call is on a stream of its own."""
    return torch.cuda.stream(torch.cuda.Stream() if device == "cuda" and number % 2 else None)


def _write(path: Path, tensors: Tensors) -> None:
    tables = [
        TableRows(name, rows.shape[0], rows.shape[1], lambda rows=rows: array_chunks(np.ascontiguousarray(rows)))
        for name, rows in tensors.rows.items()
    ]  # fmt: skip
    write_weights(path, [*tables, *(Parameter(name, array) for name, array in tensors.parameters.items())])


def _kjt(batch: Batch, device: str) -> Any:
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    def there(array: Any) -> Any:
        return None if array is None else torch.from_numpy(np.ascontiguousarray(array)).to(device)

    bounds = {name: there(array) for name, array in batch.bounds().items()}
    return KeyedJaggedTensor(batch.keys, there(batch.values), weights=there(batch.weights), stride=batch.size, **bounds)


def _embeddings(result: Any, case: Case) -> dict[str, np.ndarray]:
    """By output key; bfloat16 as bits, for numpy has none."""
    is_sequence = case.spec.kind == SEQUENCE
    by_key = {key: item.values() for key, item in result.items()} if is_sequence else result.to_dict()
    return {key: _host(tensor) for key, tensor in by_key.items()}


def _host(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().contiguous().cpu()
    return tensor.view(torch.uint16).numpy() if tensor.dtype is torch.bfloat16 else tensor.numpy()
