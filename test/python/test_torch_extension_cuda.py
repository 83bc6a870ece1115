"""What the extension does on a GPU, without one: tensors are said to lie there, and a model takes notes."""

import ctypes

import pytest
import torch
from conftest import KEYS, SEQUENCE_KEYS, make_kjt, make_quantized, make_sequence, sequence_kjt
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec.torch
from trec import abi
from trec.torch import extension
from trec.torch.place import Place

STREAM, CUDA, NAME = 0x700, 2, b"dlpack_exchange_api"
View = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)
CurrentStream = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p))


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_index", ctypes.c_int32)]


class Exchange(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("older", ctypes.c_void_p),
        ("unused", ctypes.c_void_p * 3), ("view", ctypes.c_void_p), ("current_stream", ctypes.c_void_p),
    ]  # fmt: skip


def capsule(exchange):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(ctypes.addressof(exchange), NAME, None)


def torchs():
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Exchange.from_buffer_copy(Exchange.from_address(get(torch.Tensor.__dlpack_c_exchange_api__, NAME)))


class GPU:
    """A module's caller as it would be made for a GPU, and what became of its calls."""

    def __init__(self, index=1, weighted=False, module=None, **changes):
        self.module = module or trec.torch.compile(make_quantized(weighted=weighted))
        self.module._forward_in_python(make_kjt(module and SEQUENCE_KEYS or KEYS, weighted=weighted))
        self.index, self.devices, self.streams, self.allocated, self.args = index, {}, [], [], []
        own = torchs()
        view = View(own.view)

        def view_there(tensor, result):
            status = view(tensor, result)
            there = Tensor.from_address(result)
            there.device_type, there.device_index = CUDA, self.devices.get(id(tensor), index)
            return status

        def stream(device_type, device_index, result):
            self.streams.append((device_type, device_index))
            result[0] = STREAM
            return 0

        def forward(model, args, error):
            fields = abi.ForwardArgs.from_address(args)
            self.args.append({name: getattr(fields, name) for name, _ in abi.ForwardArgs._fields_})
            return 0

        self.kept = View(view_there), CurrentStream(stream), abi.Forward(forward)
        addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in self.kept]
        own.view, own.current_stream = addresses[:2]
        self.exchange = own
        settings = self._settings(exchange=capsule(own), forward=addresses[2], **changes)
        self.call = extension._extension.Caller(settings)

    def _settings(self, **changes):
        runtime, made = self.module._runtime, []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trec.torch.compiled.make_caller", made.append)
            self.module._make_caller()
        names = [name for name in dir(made[0]) if not name.startswith("_")]
        settings = {name: getattr(made[0], name) for name in names}
        settings["handles"] = {1: next(iter(runtime.handles.values()))}
        made[0].place = Place(self.index)
        settings["get_threads"], settings["gpu"] = made[0].get_threads, made[0].gpu
        settings["allocate"] = lambda *shape: self.allocate("current", *shape)
        settings["allocate_there"] = lambda *shape: self.allocate("there", *shape)
        return type("Settings", (), {**settings, **changes})

    def allocate(self, how, shape, strides, dtype):
        self.allocated.append((how, shape, strides, dtype, torch.empty_strided(shape, strides, dtype=dtype)))
        return self.allocated[-1][-1]


def with_offsets(features):
    return KeyedJaggedTensor(features.keys(), features.values(), features.weights_or_none(), offsets=features.offsets())


def test_offsets():
    gpu, features = GPU(), with_offsets(make_kjt())
    result = gpu.call(features)
    (how, shape, strides, dtype, output), = gpu.allocated
    assert (how, shape, strides, dtype) == ("current", (3, 52), (52, 1), torch.float32)
    assert result.keys() == gpu.module(make_kjt()).keys() and result.values() is output
    assert gpu.streams == [(CUDA, 1)]
    args, = gpu.args
    assert args == {
        "size": ctypes.sizeof(abi.ForwardArgs), "batch_size": 3, "num_keys": 4,
        "slots": gpu.module._runtime.reader._last.address or None,
        "values": features.values().data_ptr(), "num_values": features.values().numel(), "lengths": None,
        "offsets": features.offsets().data_ptr(), "weights": None, "num_weights": 0,
        "output": output.data_ptr(), "output_bytes": output.nbytes, "output_row_stride": 0,
        "workspace": None, "workspace_bytes": 0, "values_type": abi.INT64, "lengths_type": 0,
        "offsets_type": {torch.int32: abi.INT32, torch.int64: abi.INT64}[features.offsets().dtype], "reserved": 0,
        "outputs": None, "outputs_bytes": None, "batches": None, "num_batches": 0, "stream": STREAM,
    }  # fmt: skip


def test_lookups_of_known_lengths():
    """Without pooling a GPU is not waited for where the batch says how many ids each key has."""
    gpu, features = GPU(module=trec.torch.compile(make_sequence())), sequence_kjt()
    assert gpu.call(features) is None and not gpu.allocated and not gpu.args
    expected = features.length_per_key()
    result = gpu.call(features)
    assert list(result) == ["ad", "shared@ads", "user", "shared@users", "page"]
    rows = [expected[SEQUENCE_KEYS.index(name.split("@")[0])] for name in result]
    assert [shape for _, shape, *_ in gpu.allocated] == [*((count, 8) for count in rows), (1040, 1)]
    for name, (*_, tensor) in zip(result, gpu.allocated):
        assert result[name].values() is tensor
    args, = gpu.args
    assert args["output"] is None and args["outputs"] and args["stream"] == STREAM
    for wrong in ([*expected[:3], expected[3] + 1], [-1, *expected[1:]], expected[:3], tuple(expected), ["", 0, 0, 0]):
        features._length_per_key = wrong
        assert gpu.call(features) is None and len(gpu.args) == 1


@pytest.mark.parametrize("batch", [1, 3, 500])
def test_lengths_have_a_workspace(batch, monkeypatch):
    """As large as the one that Python takes."""
    gpu, features = GPU(weighted=True), make_kjt(batch=batch, weighted=True, ids=torch.int32)
    assert gpu.call(features) is not None
    _, workspace = gpu.allocated
    args, = gpu.args
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda count, dtype, device: empty(count, dtype=dtype))
    expected = Place(1).workspace(gpu.module._runtime.reader.read(features, batch))
    assert workspace[3] is expected.dtype and workspace[4].numel() == expected.numel()
    assert (args["workspace"], args["workspace_bytes"]) == (workspace[4].data_ptr(), expected.nbytes)
    assert (args["lengths"], args["lengths_type"]) == (features.lengths().data_ptr(), abi.INT32)
    assert (args["offsets"], args["offsets_type"], args["values_type"]) == (None, 0, abi.INT32)
    assert (args["weights"], args["num_weights"]) == (features.weights().data_ptr(), features.weights().numel())


def test_another_device_is_current():
    current = iter([0, 0, 1, 1])
    gpu = GPU(get_device=lambda: next(current))
    assert gpu.call(make_kjt()) is not None and gpu.call(make_kjt()) is not None
    assert [how for how, *_ in gpu.allocated] == ["there", "there", "current", "current"]


@pytest.mark.parametrize("name", ["values", "lengths", "weights"])
def test_tensors_elsewhere(name):
    gpu, features = GPU(weighted=True), make_kjt(weighted=True)
    gpu.devices[id(getattr(features, name)())] = 0
    assert gpu.call(features) is None and not gpu.args and not gpu.allocated
    gpu.devices.clear()
    assert gpu.call(features) is not None


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch gives a stream")
def test_no_stream():
    """What torch's own function says where there is no GPU."""
    gpu = GPU()
    gpu.exchange.current_stream = torchs().current_stream
    with pytest.raises(RuntimeError) as error:
        gpu.call(make_kjt())
    assert str(error.value) and not gpu.args


def test_versions_of_the_exchange():
    """A later major version may name this one behind it; another one is none."""
    known = torchs()
    later = Exchange(major=2, older=ctypes.addressof(known))
    older = Exchange.from_buffer_copy(known)
    older.major = 0
    blind = Exchange.from_buffer_copy(known)
    blind.view = None
    arguments = (torch.nn.Module, torch.nn.Module.__call__, ({}, {}, {}, {}), torch._C._get_tracing_state)
    message = "expected DLPack's functions of major version 1 that view tensors"
    for bad in (older, blind, Exchange(major=2), Exchange(major=2, older=ctypes.addressof(older))):
        with pytest.raises(ValueError, match=message):
            extension._extension.set_torch(capsule(bad), *arguments)
        assert extension.load(extension.find_file(), capsule(bad)) == (None, f"python: {message}")
    assert extension.load(extension.find_file(), capsule(later))[1] == "extension"
