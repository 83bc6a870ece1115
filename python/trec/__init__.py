"""trec: TorchRec's quantized embedding modules, compiled ahead of time to a self-contained shared library.

Importing this package needs numpy alone. What works on torch modules lives in `trec.torch` and is imported at its
first use, so that a server that only runs compiled models never loads torch.
"""

from importlib import import_module
from typing import Any

from trec.compiler import compile
from trec.errors import (
    CompileError,
    ExportError,
    InputError,
    LoadError,
    OutOfBoundsError,
    QuantizeError,
    ToolError,
    TrecError,
    UnsupportedCPUError,
    UnsupportedGPUError,
    WeightsError,
)
from trec.exporter import export
from trec.library import Placement
from trec.runtime import Model, RegroupedModel, SequenceModel, load

__version__ = "0.1.0"

__all__ = [
    "CompileError",
    "ExportError",
    "InputError",
    "LoadError",
    "Model",
    "OutOfBoundsError",
    "Placement",
    "QuantizeError",
    "RegroupedModel",
    "SequenceModel",
    "ToolError",
    "TrecError",
    "UnsupportedCPUError",
    "UnsupportedGPUError",
    "WeightsError",
    "compile",
    "export",
    "load",
]

_LAZY = ("torch", "quantize", "parity")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(f"trec.{name}")
    raise AttributeError(f"module 'trec' has no attribute '{name}'")
