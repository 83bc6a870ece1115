"""Arrays on a GPU for `trec.load(so, device="cuda")`, without torch: the few calls of the CUDA driver that they need.

A `DeviceArray` is handed out for each output. Whatever has `__cuda_array_interface__` (torch, CuPy, Numba) or
`__dlpack__` is taken where it lies; a numpy array is copied to the device at each call.
"""

import ctypes
import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

import numpy as np

from trec.errors import InputError, TrecError, UnsupportedGPUError

_DEVICE_ORDINAL = 9  # CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
_NO_TIMING = 2
_MAJOR, _MINOR = 75, 76


def device_index(device: Any) -> Optional[int]:
    """The number of a GPU from "cuda" or "cuda:1"; None for "cpu"."""
    match = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", str(device))
    if match is None:
        raise InputError(f"device: expected 'cpu', 'cuda' or 'cuda:N', got '{device}'")
    return None if match[0] == "cpu" else int(match[1] or 0)


def is_on_device(value: Any) -> bool:
    """Whether an array says that it is on a GPU."""
    if hasattr(value, "__cuda_array_interface__"):
        return True
    return hasattr(value, "__dlpack_device__") and value.__dlpack_device__()[0] == _CUDA


class _Driver:
    """libcuda.so.1; every failing call becomes a TrecError with the driver's own words."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise UnsupportedGPUError(f"no GPU driver: {error}") from error
        self("cuInit", 0)

    def __call__(self, name: str, *arguments: Any) -> None:
        result = self._library[name](*arguments)
        if result:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(result, ctypes.byref(text))
            raise TrecError(f"{name}: {(text.value or b'unknown error').decode()} (CUDA error {result})")


def native_chip(index: int = 0) -> str:
    """The name of a GPU's code, such as "sm_90"."""
    driver, device, numbers = _Driver(), ctypes.c_int(), [ctypes.c_int(), ctypes.c_int()]
    driver("cuDeviceGet", ctypes.byref(device), index)
    for number, attribute in zip(numbers, (_MAJOR, _MINOR)):
        driver("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
    return f"sm_{numbers[0].value}{numbers[1].value}"


class _Given(NamedTuple):
    """An array of a caller's, as one of the two protocols describes it."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: Optional[tuple[int, ...]]
    stream: Optional[int]
    keep: Any


class DeviceArray:
    """A numpy-like view of device memory: `shape`, `dtype`, columns by slicing, `numpy()`, `__cuda_array_interface__`.

    Its memory is written and freed in the order of the stream that it was made on.
    """

    def __init__(self, device: "Device", given: _Given) -> None:
        self._device, self._keep = device, given.keep
        self.address, self.shape, self.dtype = given.address, given.shape, given.dtype
        self.strides = given.strides or _dense_strides(given.shape, given.dtype.itemsize)
        self.stream = given.stream

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def columns(self, columns: slice) -> "DeviceArray":
        """`array[:, columns]`, a view of the same memory."""
        begin, end, _ = columns.indices(self.shape[1])
        address = self.address + begin * self.strides[1]
        given = _Given(address, (self.shape[0], end - begin), self.dtype, self.strides, self.stream, self._keep)
        return DeviceArray(self._device, given)

    def numpy(self) -> np.ndarray:
        """A copy in host memory; waits for the stream."""
        result = np.empty(self.shape, self.dtype)
        if not self.size:
            return result
        extent = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides)) + self.dtype.itemsize
        whole = np.empty(extent, np.uint8)
        self._device.read(whole, self.address, self.stream or 0)
        result[...] = np.ndarray(self.shape, self.dtype, whole.data, 0, self.strides)
        return result

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (self.address if self.size else 0, False),
            "strides": self.strides, "version": 3, "stream": self.stream or 1,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"DeviceArray({list(self.shape)}, {self.dtype}, cuda:{self._device.index})"


def _dense_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = [itemsize]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides)) if shape else ()


class Device:
    """One GPU, by its primary context, which torch and the models of trec share."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._driver = _Driver()
        self._context = ctypes.c_void_p()
        device = ctypes.c_int()
        self._driver("cuDeviceGet", ctypes.byref(device), index)
        self._driver("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)

    @contextmanager
    def _current(self) -> Iterator[None]:
        self._driver("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self._driver("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def empty(self, shape: tuple[int, ...], dtype: Any, stream: int) -> DeviceArray:
        """Memory in the order of the stream."""
        kind, memory = np.dtype(dtype), ctypes.c_uint64()
        count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        if not count:
            return DeviceArray(self, _Given(0, shape, kind, None, stream, None))
        with self._current():
            self._driver("cuMemAllocAsync", ctypes.byref(memory), ctypes.c_size_t(count), ctypes.c_void_p(stream))
        owner = _Owner()
        weakref.finalize(owner, self._free, memory.value, stream)
        return DeviceArray(self, _Given(memory.value, shape, kind, None, stream, owner))

    def _free(self, address: int, stream: int) -> None:
        with self._current():
            self._driver("cuMemFreeAsync", ctypes.c_uint64(address), ctypes.c_void_p(stream))

    def read(self, to: np.ndarray, address: int, stream: int) -> None:
        with self._current():
            self._driver(
                "cuMemcpyDtoHAsync_v2", ctypes.c_void_p(to.ctypes.data), ctypes.c_uint64(address),
                ctypes.c_size_t(to.nbytes), ctypes.c_void_p(stream),
            )  # fmt: skip
            self._driver("cuStreamSynchronize", ctypes.c_void_p(stream))

    def _copy(self, array: np.ndarray, stream: int) -> DeviceArray:
        result = self.empty(array.shape, array.dtype, stream)
        if array.size:
            with self._current():
                # From memory that is not pinned: the call returns when it has been read.
                self._driver(
                    "cuMemcpyHtoDAsync_v2", ctypes.c_uint64(result.address), ctypes.c_void_p(array.ctypes.data),
                    ctypes.c_size_t(array.nbytes), ctypes.c_void_p(stream),
                )  # fmt: skip
        return result

    def array(self, name: str, value: Any, stream: int) -> DeviceArray:
        """The caller's array where it lies, once `stream` has waited for what writes it; or a copy of a host array."""
        if hasattr(value, "__cuda_array_interface__"):
            given = _read_interface(value)
        elif is_on_device(value):
            given = _read_dlpack(name, value, stream)
        else:
            return self._copy(np.ascontiguousarray(value), stream)
        result = DeviceArray(self, given)
        if given.strides not in (None, _dense_strides(given.shape, given.dtype.itemsize)) and result.size:
            strides = list(given.strides or ())
            raise InputError(f"{name}: expected a contiguous array on the device, got strides {strides}")
        self._check_place(name, result)
        if given.stream is not None and _number(given.stream) != _number(stream):
            self._wait(stream, given.stream)
        return result

    def _check_place(self, name: str, array: DeviceArray) -> None:
        ordinal, address = ctypes.c_int(-1), ctypes.c_uint64(array.address)
        if not array.size:
            return
        try:
            self._driver("cuPointerGetAttribute", ctypes.byref(ordinal), _DEVICE_ORDINAL, address)
        except TrecError as error:
            raise InputError(f"{name}: expected memory of a GPU: {error}") from error
        if ordinal.value != self.index:
            raise InputError(f"{name}: expected an array on cuda:{self.index}, got one on cuda:{ordinal.value}")

    def _wait(self, stream: int, other: int) -> None:
        event = ctypes.c_void_p()
        with self._current():
            self._driver("cuEventCreate", ctypes.byref(event), _NO_TIMING)
            self._driver("cuEventRecord", event, ctypes.c_void_p(other))
            self._driver("cuStreamWaitEvent", ctypes.c_void_p(stream), event, 0)
            self._driver("cuEventDestroy_v2", event)


class _Owner:
    """Whose end frees the memory."""


def _number(stream: int) -> int:
    return stream or 1  # both name the default stream


def _read_interface(value: Any) -> _Given:
    interface = value.__cuda_array_interface__
    strides = interface.get("strides")
    return _Given(
        interface["data"][0], tuple(interface["shape"]), np.dtype(interface["typestr"]),
        None if strides is None else tuple(strides), interface.get("stream"), value,
    )  # fmt: skip


_CUDA = 2  # kDLCUDA
_KINDS = {0: "i", 1: "u", 2: "f"}


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_uint64),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


def _read_dlpack(name: str, value: Any, stream: int) -> _Given:
    """The capsule is kept and not consumed: its own destructor gives the tensor back."""
    capsule = value.__dlpack__(stream=_number(stream))
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = _DLTensor.from_address(get_pointer(capsule, b"dltensor"))
    if tensor.code not in _KINDS or tensor.lanes != 1:
        raise InputError(f"{name}: expected integers or floats, got DLPack type code {tensor.code}")
    kind = np.dtype(f"{_KINDS[tensor.code]}{tensor.bits // 8}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(stride * kind.itemsize for stride in tensor.strides[: tensor.ndim]) if tensor.strides else None
    return _Given(tensor.data + tensor.byte_offset, shape, kind, strides, None, capsule)
