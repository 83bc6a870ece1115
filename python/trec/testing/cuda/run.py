"""Running prepared models on a GPU and comparing every bit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

import trec
from trec.spec import REGROUP, SEQUENCE
from trec.testing.cuda import fbgemm
from trec.testing.cuda.contract import expected
from trec.testing.cuda.models import Batch, Case, Tensors, make_batches, make_tensors
from trec.testing.cuda.prepare import library_of
from trec.testing.reference import different_elements

_CALLS = 6


@dataclass
class Tally:
    """What was compared, and what differed."""

    elements: int = 0
    by_peer: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def compare(self, what: str, peer: str, got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
        for key, value in want.items():
            different = different_elements(np.ascontiguousarray(got[key]), np.ascontiguousarray(value))
            self.by_peer[peer] = self.by_peer.get(peer, 0) + value.size
            if different:
                self.wrong.append(f"{what}: {peer}: output '{key}': {different} of {value.size} elements differ")

    def expect(self, what: str, ok: bool, text: str) -> None:
        self.by_peer["checks"] = self.by_peer.get("checks", 0) + 1
        if not ok:
            self.wrong.append(f"{what}: {text}")


def on_gpu(array: Optional[np.ndarray]) -> Optional[torch.Tensor]:
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array)).cuda()


def arguments(batch: Batch, place: Callable[[Any], Any]) -> dict[str, Any]:
    """The keywords of a call; `place` brings arrays to where they should lie."""
    bounds = {name: place(array) for name, array in batch.bounds().items()}
    return {"values": place(batch.values), "weights": place(batch.weights), "keys": batch.keys, **bounds}


def _host(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else value.numpy()


def call(model: Any, case: Case, batches: list[Batch], place: Callable[[Any], Any] = on_gpu) -> dict[str, np.ndarray]:
    """One call on torch's current stream, with its outputs on the host."""
    stream = torch.cuda.current_stream().cuda_stream if place is on_gpu else None
    given = [arguments(batch, place) for batch in batches]
    options = {} if stream is None else {"stream": stream}
    if model.info["kind"] == REGROUP:
        return {key: _host(value) for key, value in model(*given, **options).items()}
    if model.info["kind"] == SEQUENCE:
        del given[0]["weights"]
        return {key: _host(value) for key, (value, _) in model(**given[0], **options).items()}
    return {key: _host(value) for key, value in model(**given[0], **options).items()}


def load(folder: Path, case: Case, tensors: Tensors, device: str = "cuda", **options: Any) -> Any:
    return trec.load(library_of(folder, case), tensors.all(), device=device, **options)


def run_model(folder: Path, case: Case, tally: Tally, with_fbgemm: bool) -> None:
    """Random batches through one model, against all that can say what they should give."""
    tensors = make_tensors(case)
    model = load(folder, case, tensors)
    on_cpu = load(folder, case, tensors, "cpu") if case.numerics == "cpu" else None
    peer = fbgemm.Peer.of(case, tensors) if with_fbgemm else None
    for number, batches in enumerate(make_batches(case, _CALLS)):
        what = f"{case.name}, call {number}"
        got = call(model, case, batches)
        model.poll()
        tally.elements += sum(value.size for value in got.values())
        if on_cpu is None:
            tally.compare(what, "contract", got, expected(case, tensors, batches))
        else:
            tally.compare(what, "code for CPUs", got, call(on_cpu, case, batches, lambda array: array))
        if peer is not None:
            tally.compare(what, "FBGEMM on the GPU", got, peer(batches[0]))
        if number == 0:
            tally.compare(f"{what}, from host memory", "contract", call(model, case, batches, lambda array: array), got)
