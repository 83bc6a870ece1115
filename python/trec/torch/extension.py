"""Calls by the extension module TorchCall, where it is there: what Python does for a plain batch, in one piece of C.

It reads tensors by DLPack's functions of torch, without calling Python, and makes the same call of the model. Whatever
is not as it mostly is, it leaves to Python: batches of other classes, types, devices or strides, keys in another order
than the last ones', and everything that is an error. So there is one place that says what is wrong.
"""

import functools
import importlib.machinery
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import torch
from torch.nn.modules import module as torch_module
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from trec import abi
from trec.torch.place import Place

_FILE = "TorchCall.abi3.so"
# What property `call_path` of a module says.
IN_EXTENSION = "extension"


@dataclass
class PlainCall:
    """What a caller is made from: all that it needs to know of a model, and of torch."""

    # The function of the compiled model, and where its models are, by number of threads.
    forward: int
    handles: dict[int, Any]
    # Tells by `_last` which list of keys was met last.
    reader: Any
    place: Place
    is_weighted: bool
    output_dtype: torch.dtype
    # Of each output; with pooling there is one.
    columns: list[int]
    # The class of a result, and its attributes but for the values, and without pooling the lengths.
    result_type: type
    template: dict[str, Any]
    # That of the module's class: with another one a module is called as torch calls it.
    forward_of_module: Any
    # Called with a status and the bytes of a trec_error, raises.
    fail: Callable[[int, bytes], None]
    # Without pooling: the outputs' keys, and what gives the lengths of each of the batch's keys.
    names: Optional[list[str]] = None
    split_lengths: Optional[Callable[..., tuple[torch.Tensor, ...]]] = None
    batch_type: type = KeyedJaggedTensor
    tensor_type: type = torch.Tensor
    exchange: Any = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
    workspace_dtype: torch.dtype = torch.int64
    scan_blocks: int = abi.GPU_SCAN_BLOCKS

    @property
    def gpu(self) -> int:
        return -1 if self.place.gpu is None else self.place.gpu

    @property
    def item_bytes(self) -> int:
        return self.output_dtype.itemsize

    @property
    def get_threads(self) -> Callable[[], int]:
        return torch.get_num_threads if self.place.gpu is None else functools.partial(int, 1)

    @property
    def get_device(self) -> Optional[Callable[[], int]]:
        """Where torch allocates without being told; None where that can only be the module's device."""
        is_alone = self.place.gpu is None or torch.cuda.device_count() <= 1
        return None if is_alone else getattr(torch._C, "_cuda_getDevice", torch.cuda.current_device)

    @property
    def allocate(self) -> Callable[..., torch.Tensor]:
        return find_allocator(torch._C._dynamo, self.place) or self.allocate_there

    @property
    def allocate_there(self) -> Callable[..., torch.Tensor]:
        return functools.partial(_allocate, self.place.device)


def _allocate(device: torch.device, shape: Any, strides: Any, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=device)


def find_allocator(functions: Any, place: Place) -> Optional[Callable[..., torch.Tensor]]:
    """What torch's compiler allocates with, where torch has that, at half of the cost: shape, strides and dtype."""
    name = "_empty_strided_cpu" if place.gpu is None else "_empty_strided_cuda"
    return getattr(getattr(functions, "guards", None), name, None)


def find_file() -> Optional[Path]:
    """The extension built in the checkout that this package is installed from, else the one beside this file."""
    built = Path(__file__).resolve().parents[3] / "build" / "lib" / _FILE
    return next((path for path in (built, Path(__file__).with_name(_FILE)) if path.exists()), None)


def load(path: Optional[Path], exchange: Any) -> tuple[Any, str]:
    """The module, or None, and why calls are made by it or not."""
    if path is None:
        return None, f"python: {_FILE} is neither in the checkout's build/lib nor beside trec.torch"
    if exchange is None:
        return None, f"python: torch {torch.__version__} has no __dlpack_c_exchange_api__"
    try:
        spec = importlib.util.spec_from_file_location("TorchCall", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        hooks = [getattr(torch_module, f"_global_{name}hooks") for name in _HOOKS]
        tracing = torch._C._get_tracing_state
        module.set_torch(exchange, torch.nn.Module, torch.nn.Module._wrapped_call_impl, tuple(hooks), tracing)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return None, f"python: {error}"
    return module, IN_EXTENSION


_HOOKS = ("forward_", "forward_pre_", "backward_", "backward_pre_")
_extension, CALL_PATH = load(find_file(), PlainCall.exchange)


class _AsTorch:
    """Modules are called by torch.nn.Module's __call__."""


class _Plainly:
    """A mixin before torch.nn.Module: whatever that would do besides calling forward is still done by it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # torch.compile cannot look into C.
        result = None if kwargs or is_compiling() else _call_module(self, args)
        return torch.nn.Module.__call__(self, *args, **kwargs) if result is None else result  # type: ignore[arg-type]


is_compiling = torch.compiler.is_dynamo_compiling
_call_module: Any = getattr(_extension, "call_module", None)
ModuleCall: Any = _AsTorch if _extension is None else _Plainly


def call_nothing(features: Any) -> None:
    """The caller of a model that is called by Python."""


def make_caller(call: PlainCall) -> Callable[[Any], Any]:
    """Gives the result for a plain batch, and None for any other."""
    return call_nothing if _extension is None else _extension.Caller(call)

