"""Compiled collections under the names of torchrec.quant's own, for tests that were written for those.

`install` puts them in place of the originals in every module of torchrec that knows them. Each call of a compiled
model is counted by the model's own counters, so that a test that passes can be told from one that never used it.
"""

import abc
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec.torch
import trec.torch.build as build
from trec.torch import kinds

# They take the originals by name when they are imported, so they must be there before `install` looks around.
_USERS = (
    "torchrec.quant",
    "torchrec.quant.utils",
    "torchrec.inference.modules",
    "torchrec.inference.dlrm_predict",
    "torchrec.distributed.quant_embedding",
    "torchrec.distributed.quant_embeddingbag",
    "torchrec.distributed.test_utils.infer_utils",
)
_META = torch.device("meta")


@dataclass
class Uses:
    """Compiled modules asked for and made, calls of the models inside, and originals on the meta device, where there is
    nothing to compile: since `take` was called last."""

    asked: int = 0
    modules: int = 0
    forwards: int = 0
    on_meta: int = 0

    def take(self) -> "Uses":
        taken = replace(self)
        self.asked = self.modules = self.forwards = self.on_meta = 0
        return taken


USES = Uses()


class _Substitute(abc.ABCMeta):
    """A class that makes the original where there is nothing to compile, and knows both for its own."""

    def __call__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if _META in [*args, *kwargs.values()]:
            USES.on_meta += 1
            return cls.original(*args, **kwargs)
        USES.asked += 1
        return super().__call__(*args, **kwargs)

    def __instancecheck__(cls: Any, instance: Any) -> bool:
        return isinstance(instance, (cls.compiled, cls.original))


class _Counted:
    """A mixin before a compiled class."""

    original: Any

    def _set_up(self, parts: Any) -> None:
        super()._set_up(parts)  # type: ignore[misc]
        USES.modules += 1

    # Annotated as the original for torch.jit.script, which gets the graph of it.
    def forward(self, features: KeyedJaggedTensor):  # type: ignore[no-untyped-def]
        before = self.counters()["forwards"]  # type: ignore[attr-defined]
        result = super().forward(features)  # type: ignore[misc]
        USES.forwards += self.counters()["forwards"] - before  # type: ignore[attr-defined]
        return result

    @classmethod
    def from_float(cls, module: Any, use_precomputed_fake_quant: bool = False) -> Any:
        if any(tensor.is_meta for tensor in module.state_dict().values()):
            USES.on_meta += 1
            return cls.original.from_float(module)
        USES.asked += 1
        return super().from_float(module)  # type: ignore[misc]


def _substitute(original: type, compiled: type) -> type:
    attributes = {"__module__": __name__, "original": original, "compiled": compiled}
    return _Substitute(original.__name__, (_Counted, compiled), attributes)


SUBSTITUTES = {
    original: _substitute(original, getattr(trec.torch, f"Compiled{original.__name__.removeprefix('Quant')}"))
    for original in kinds.QUANTIZED
}


def _remember_libraries() -> None:
    """Compiles equal models once: tests make the same few over and over."""
    compiled: dict[str, bytes] = {}
    compile_spec = build.build

    def remembering(spec: Any, target: Any) -> bytes:
        key = repr((spec, target))
        if key not in compiled:
            compiled[key] = compile_spec(spec, target)
        return compiled[key]

    build.build = remembering


def _places() -> Iterator[tuple[ModuleType, str, Any]]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "torchrec":
            for attribute, value in list(vars(module).items()):
                if isinstance(value, type) and value in SUBSTITUTES:
                    yield module, attribute, SUBSTITUTES[value]


def install() -> list[str]:
    """Replaces the originals for the rest of the process, and says where."""
    for name in _USERS:
        import_module(name)
    _remember_libraries()
    replaced = []
    for module, attribute, substitute in _places():
        setattr(module, attribute, substitute)
        replaced.append(f"{module.__name__}.{attribute}")
    mapping = import_module("torchrec.inference.modules").DEFAULT_QUANT_MAPPING
    for typename, original in mapping.items():
        mapping[typename] = SUBSTITUTES.get(original, original)
    return replaced
