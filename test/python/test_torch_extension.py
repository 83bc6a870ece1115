"""Calls by the extension: that it makes them and gives what Python gives, and that Python has all that is not plain."""

import ctypes
import functools
import gc
import logging
import resource
import sys
import threading
import weakref

import pytest
import torch
from conftest import KEYS, assert_same, make_kjt, make_quantized
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

import trec
import trec.torch
from trec.torch import extension


def compiled(weighted=False, output_dtype=torch.float32, **arguments):
    """A module that has met the list of keys."""
    module = trec.torch.compile(make_quantized(weighted=weighted, output_dtype=output_dtype), **arguments)
    by_python(module, make_kjt(weighted=weighted))
    return module


def calls(module):
    """How many the extension has made."""
    return module._runtime.caller.calls


def by_python(module, features):
    return module._forward_in_python(features)


def assert_equal_objects(got, expected):
    """All that can be seen of two KeyedTensors."""
    assert_same(got, expected)
    assert type(got) is KeyedTensor and list(got.__dict__) == list(expected.__dict__)
    assert all(got.__dict__[name] == value for name, value in expected.__dict__.items() if name != "_values")
    for ask in ("stride", "storage_offset", "is_inference", "is_contiguous", "is_pinned"):
        assert getattr(got.values(), ask)() == getattr(expected.values(), ask)()
    for name in ("device", "dtype", "requires_grad", "is_leaf", "grad_fn"):
        assert getattr(got.values(), name) == getattr(expected.values(), name)
    assert got.values().untyped_storage().nbytes() == expected.values().untyped_storage().nbytes()


def with_offsets(features):
    return KeyedJaggedTensor(features.keys(), features.values(), features.weights_or_none(), offsets=features.offsets())


PLAIN = {
    "lengths": lambda: make_kjt(),
    "one sample": lambda: make_kjt(batch=1),
    "int32": lambda: make_kjt(ids=torch.int32, lengths=torch.int64),
    "offsets": lambda: with_offsets(make_kjt()),
    "both": lambda: KeyedJaggedTensor.from_offsets_sync(KEYS, make_kjt().values(), make_kjt().offsets()).sync(),
    "stride": lambda: KeyedJaggedTensor(KEYS, make_kjt().values(), lengths=make_kjt().lengths(), stride=3),
    "weights of a plain one": lambda: make_kjt(weighted=True),
    "no ids": lambda: KeyedJaggedTensor(KEYS, torch.empty(0, dtype=torch.int64), lengths=torch.zeros(8).int()),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_plain_batches(name, mode):
    module, features = compiled(), PLAIN[name]()
    assert module.call_path == "extension"
    with mode():
        expected = by_python(module, features)
        assert calls(module) == 0
        assert_equal_objects(module(features), expected)
        assert_equal_objects(module.forward(features), expected)
    assert calls(module) == 2
    assert module.counters()["forwards"] == 4


@pytest.mark.parametrize("output_dtype", [torch.float16, torch.bfloat16])
def test_output_dtypes(output_dtype):
    module = compiled(output_dtype=output_dtype)
    assert_equal_objects(module(make_kjt()), by_python(module, make_kjt()))
    assert calls(module) == 1


def test_weighted():
    module, features = compiled(weighted=True), make_kjt(weighted=True)
    assert_equal_objects(module(features), by_python(module, features))
    assert_equal_objects(module(with_offsets(features)), by_python(module, features))
    features.weights().requires_grad_()
    assert_equal_objects(module(features), by_python(module, features))
    assert calls(module) == 3


def changed(features=None, **attributes):
    result = make_kjt() if features is None else features
    result.__dict__.update(attributes)
    return result


def twice_as_far(tensor):
    """The same elements with gaps."""
    return torch.stack([tensor, tensor], dim=1)[:, 0]


VALUES, LENGTHS = make_kjt().values(), make_kjt().lengths()
# Batches that Python has, and what it says of them: None, where it gives a result.
NOT_PLAIN = {
    "other keys": (lambda: make_kjt([*KEYS[::-1], "more"]), None),
    "no samples": (lambda: make_kjt(batch=0), None),
    "values with gaps": (lambda: changed(_values=twice_as_far(VALUES)), None),
    "lengths with gaps": (lambda: changed(_lengths=twice_as_far(LENGTHS)), None),
    "lengths of two dimensions": (lambda: changed(_lengths=LENGTHS.view(4, 3)), None),
    "values of a derived class": (lambda: changed(_values=torch.nn.Parameter(VALUES, requires_grad=False)), None),
    "samples by key": (
        lambda: KeyedJaggedTensor(KEYS, VALUES, lengths=LENGTHS, stride_per_key_per_rank=[[3]] * 4),
        None,
    ),
    "inverse indices": (lambda: changed(_inverse_indices=(KEYS, torch.zeros(4, 5, dtype=torch.int64))), None),
    "missing key": (lambda: make_kjt(KEYS[1:]), "feature 'ad' is missing, the batch has keys"),
    "values of floats": (lambda: changed(_values=VALUES.float()), "values: expected int32 or int64, got .*float32"),
    "values of int16": (lambda: changed(_values=VALUES.short()), "values: expected int32 or int64, got torch.int16"),
    "values of two dimensions": (lambda: changed(_values=VALUES.view(-1, 1)), "values: expected one dimension, got"),
    "values elsewhere": (lambda: changed(_values=VALUES.to("meta")), "values: expected a tensor on the cpu, got"),
    "no lengths": (lambda: changed(_lengths=None, _stride=3), "expected lengths or offsets, got none"),
    "short lengths": (lambda: changed(_lengths=LENGTHS[1:], _stride=3), "lengths: expected 12 elements .* got 11"),
    "lengths of no whole sample": (lambda: changed(_lengths=LENGTHS[1:]), "lengths: expected 8 elements .* got 11"),
    "short offsets": (lambda: changed(_offsets=make_kjt().offsets()[1:], _stride=3), "offsets: expected 13 .* got 12"),
    "no offsets": (lambda: changed(_offsets=LENGTHS[:0], _stride=3), "offsets: expected 13 elements .* got 0"),
    "floats for lengths": (lambda: changed(_lengths=LENGTHS.float()), "lengths: expected 12 .* of torch.float32"),
    "lengths elsewhere": (lambda: changed(_lengths=LENGTHS.to("meta")), "lengths: expected 12 .* on 'meta'"),
    "negative stride": (lambda: changed(_stride=-3), "lengths: expected -12 elements"),
}  # fmt: skip


def outcome(call, features):
    try:
        return call(features)
    except Exception as error:
        return error


def assert_same_outcome(got, expected, message):
    assert isinstance(expected, Exception) == (message is not None)
    if message is None:
        return assert_equal_objects(got, expected)
    assert type(got) is type(expected) is trec.InputError and str(got) == str(expected) and vars(got) == vars(expected)
    with pytest.raises(trec.InputError, match=message):
        raise got


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_not_plain(name):
    module, (make, message) = compiled(), NOT_PLAIN[name]
    assert module._runtime.caller(make()) is None
    assert_same_outcome(outcome(module, make()), outcome(functools.partial(by_python, module), make()), message)
    # Of keys that differ in size a plain batch is made.
    assert calls(module) == (2 if name in ("samples by key", "inverse indices") else 0)


WEIGHTS = make_kjt(weighted=True).weights()
WRONG_WEIGHTS = {
    "none": (None, "the collection is weighted, but the batch has no weights"),
    "double": (WEIGHTS.double(), "weights: expected one dimension of float32 on the cpu, got torch.float64"),
    "elsewhere": (WEIGHTS.to("meta"), "weights: expected one dimension of float32 on the cpu, got .* on 'meta'"),
    "integers": (WEIGHTS.int(), "weights: expected one dimension of float32 on the cpu, got torch.int32"),
    "gaps": (twice_as_far(WEIGHTS), None),
}


@pytest.mark.parametrize("name", WRONG_WEIGHTS)
def test_weights_that_are_not_plain(name):
    module, (weights, message) = compiled(weighted=True), WRONG_WEIGHTS[name]
    features = changed(make_kjt(weighted=True), _weights=weights)
    assert module._runtime.caller(features) is None
    assert_same_outcome(outcome(module, features), outcome(functools.partial(by_python, module), features), message)


def test_too_few_weights():
    """Of a plain batch the model itself says what is wrong."""
    module = compiled(weighted=True)
    features = changed(make_kjt(weighted=True), _weights=WEIGHTS[1:])
    expected = outcome(functools.partial(by_python, module), features)
    assert_same_outcome(outcome(module, features), expected, "21 weights for 22 values")


def test_order_of_keys():
    """A list of keys that Python has met is the extension's from then on, until another one comes."""
    module, features = compiled(), make_kjt()
    turned = features.permute([3, 2, 1, 0])
    expected = module(features)
    for batch, made in ((turned, 1), (turned, 2), (features, 2), (features, 3)):
        assert_same(module(batch), expected)
        assert calls(module) == made


def test_bad_id():
    module = compiled(bounds_check="fatal")
    features = changed(_values=VALUES.clone())
    features.values()[5] = 999
    expected = outcome(functools.partial(by_python, module), features)
    got = outcome(module, features)
    assert type(got) is type(expected) is trec.OutOfBoundsError and str(got) == str(expected)
    assert vars(got) == vars(expected) and got.value == 999 and got.feature in KEYS and got.table is not None
    assert calls(module) == 0 and module.counters()["failed"] == 2
    assert_same(module(make_kjt()), by_python(module, make_kjt()))


def test_warning(caplog):
    module = compiled(bounds_check="warning")
    features = changed(_values=VALUES.clone())
    features.values()[5] = 999
    with caplog.at_level(logging.WARNING, logger="trec"):
        module(features)
    assert "999" in caplog.text and calls(module) == 1 and module.counters()["bad_ids"] == 1


def test_number_of_threads():
    """The model for another number of threads is made by Python."""
    module, features, before = compiled(), make_kjt(), torch.get_num_threads()
    expected = module(features)
    try:
        torch.set_num_threads(before + 1)
        for made in (1, 2):
            assert_same(module(features), expected)
            assert calls(module) == made
    finally:
        torch.set_num_threads(before)


def test_rows_that_moved():
    module, features = compiled(), make_kjt()
    module(features)
    module.share_memory()
    expected = by_python(module, features)
    assert_same(module(features), expected)
    assert calls(module) == 2


def hooks_of(module, seen):
    note = lambda name, value=None: lambda *_, **__: seen.append(name) or value  # noqa: E731
    return {
        "forward": lambda: module.register_forward_hook(note("forward")),
        "pre": lambda: module.register_forward_pre_hook(note("pre")),
        "keywords": lambda: module.register_forward_pre_hook(note("keywords"), with_kwargs=True),
        "backward": lambda: module.register_full_backward_pre_hook(note("backward")),
        "all forward": lambda: torch.nn.modules.module.register_module_forward_hook(note("all forward")),
        "all pre": lambda: torch.nn.modules.module.register_module_forward_pre_hook(note("all pre")),
        "all backward": lambda: torch.nn.modules.module.register_module_full_backward_hook(note("all backward")),
        "all backward pre": lambda: torch.nn.modules.module.register_module_full_backward_pre_hook(note("abp")),
    }


@pytest.mark.parametrize("name", hooks_of(None, None))
def test_hooks(name, monkeypatch):
    module, features, seen, through_torch = compiled(), make_kjt(), [], []
    call = torch.nn.Module._call_impl
    monkeypatch.setattr(torch.nn.Module, "_call_impl", lambda *args: through_torch.append(1) or call(*args))
    handle = hooks_of(module, seen)[name]()
    try:
        module(features)
    finally:
        handle.remove()
    assert len(through_torch) == 1 and (seen == [name] or "backward" in name)
    module(features)
    assert len(through_torch) == 1 and calls(module) == 2


def test_hook_that_changes_the_result():
    module = compiled()
    module.register_forward_hook(lambda module, args, output: "changed")
    assert module(make_kjt()) == "changed"


def test_forward_of_ones_own(monkeypatch):
    class Derived(trec.torch.CompiledEmbeddingBagCollection):
        def forward(self, features):
            return "derived", super().forward(features)

    module = compiled()
    derived = compiled()
    derived.__class__ = Derived
    assert derived(make_kjt())[0] == "derived"
    module.forward = lambda features: "attribute"
    assert module(make_kjt()) == "attribute"
    del module.forward
    monkeypatch.setattr(trec.torch.CompiledEmbeddingBagCollection, "forward", lambda self, features: "patched")
    assert module(make_kjt()) == "patched"


def test_call_of_ones_own(monkeypatch):
    """As torch.fx replaces it while it traces."""
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda self, features: "patched")
    assert compiled()(make_kjt()) == "patched"


def test_keyword_arguments():
    module = compiled()
    assert_same(module(features=make_kjt()), module(make_kjt()))
    with pytest.raises(TypeError, match="forward"):
        module()
    with pytest.raises(TypeError, match="forward"):
        module(make_kjt(), make_kjt())


def test_compiled_by_torch():
    """torch.compile breaks its graph where it did, and says nothing of C."""
    module = compiled()
    outer = torch.compile(torch.nn.Sequential(module), backend="eager")
    assert_same(outer(make_kjt()), module(make_kjt()))
    module.compile(backend="eager")
    before = calls(module)
    assert_same(module(make_kjt()), by_python(module, make_kjt()))
    assert calls(module) == before


def test_threads():
    module, failures = compiled(), []
    batches = [make_kjt(batch=batch, seed=batch) for batch in (1, 2, 5, 9)]
    expected = [by_python(module, batch) for batch in batches]

    def serve(index):
        try:
            for _ in range(500):
                assert torch.equal(module(batches[index]).values(), expected[index].values())
        except AssertionError as error:
            failures.append(error)

    workers = [threading.Thread(target=serve, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures and calls(module) == 2000


def make_settings(module, **changes):
    """What a caller of the module is made from, changed."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trec.torch.compiled.make_caller", lambda call: made.append(call))
        module._make_caller()
    settings = {name: getattr(made[0], name) for name in dir(made[0]) if not name.startswith("_")}
    return type("Settings", (), {**settings, **changes})


def make_caller(module, **changes):
    return extension._extension.Caller(make_settings(module, **changes))


def test_others_run_during_a_call():
    """The model is a function of libc that sleeps: its first argument is how long."""
    module, ticks, done = compiled(), [], threading.Event()
    usleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value
    handle = type("Handle", (), {"address": 300_000})
    caller = make_caller(module, forward=usleep, handles={torch.get_num_threads(): handle})

    def count():
        while not done.wait(0.01):
            ticks.append(1)

    worker = threading.Thread(target=count)
    worker.start()
    assert caller(make_kjt()) is not None
    done.set()
    worker.join()
    assert len(ticks) > 5


def memory():
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_nothing_is_kept():
    module = compiled(bounds_check="fatal")
    plain, other, wrong = make_kjt(), NOT_PLAIN["values with gaps"][0](), changed(_values=VALUES + 999)
    handle = next(iter(module._runtime.handles.values()))
    watched = [plain, plain._keys, plain._values, plain._lengths, module, module._runtime, module._runtime.caller,
               module._runtime.output, module._runtime.reader, module._runtime.reader._last, handle, torch.float32,
               KeyedTensor, KeyedJaggedTensor, wrong, wrong._values, other, None]  # fmt: skip

    def serve(times):
        for _ in range(times):
            for _ in range(10):
                module(plain)
            module._runtime.caller(other)
            with pytest.raises(trec.OutOfBoundsError):
                module(wrong)

    serve(50)
    gc.collect()
    counts, before = [sys.getrefcount(value) for value in watched], memory()
    serve(2000)
    gc.collect()
    after = [sys.getrefcount(value) for value in watched]
    # None is anybody's.
    assert after[:-1] == counts[:-1] and abs(after[-1] - counts[-1]) < 1000
    for _ in range(100_000):
        module(plain)
    assert memory() - before < 8_000  # KiB


def test_a_caller_goes_with_its_module():
    module = compiled()
    module(make_kjt())
    handle = weakref.ref(next(iter(module._runtime.handles.values())))
    del module
    gc.collect()
    assert handle() is None


def test_allocator_that_fails():
    def fail(*_):
        raise MemoryError("no memory")

    with pytest.raises(MemoryError, match="no memory"):
        make_caller(compiled(), allocate=fail)(make_kjt())
    with pytest.raises(MemoryError, match="no memory"):
        make_caller(compiled(), get_device=lambda: 1, allocate_there=fail)(make_kjt())
    with pytest.raises(RuntimeError, match="no device"):
        make_caller(compiled(), get_device=lambda: (_ for _ in ()).throw(RuntimeError("no device")))(make_kjt())
    with pytest.raises((RuntimeError, TypeError)):
        make_caller(compiled(), allocate=lambda *_: "no tensor")(make_kjt())


def test_failure_without_an_exception():
    module = compiled()
    fail = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: 7)
    address = ctypes.cast(fail, ctypes.c_void_p).value
    with pytest.raises(SystemError, match="status 7 of a model is no error"):
        make_caller(module, forward=address, fail=lambda status, error: None)(make_kjt())


def test_settings():
    settings = make_settings(compiled())
    with pytest.raises(AttributeError, match="has no attribute 'forward'"):
        extension._extension.Caller(object())
    for columns in ([], 52):
        with pytest.raises(ValueError, match="columns: expected a list of at least one number"):
            extension._extension.Caller(make_settings(compiled(), columns=columns))
    with pytest.raises(TypeError):
        extension._extension.Caller(make_settings(compiled(), columns=["many"]))
    settings.exchange = None
    with pytest.raises(ValueError, match="PyCapsule"):
        extension._extension.Caller(settings)
    with pytest.raises(TypeError, match="a caller takes one batch"):
        compiled()._runtime.caller()
    with pytest.raises(TypeError, match="call_module: expected a module and a tuple"):
        extension._extension.call_module(compiled())


def test_found(tmp_path, monkeypatch):
    checkout = extension.find_file()
    assert checkout.parts[-3:] == ("build", "lib", "TorchCall.abi3.so")
    monkeypatch.setattr(extension, "__file__", str(tmp_path / "trec" / "torch" / "extension.py"))
    assert extension.find_file() is None
    beside = tmp_path / "trec" / "torch" / "TorchCall.abi3.so"
    beside.parent.mkdir(parents=True)
    beside.write_bytes(b"not a library")
    assert extension.find_file() == beside
    assert extension.load(None, object()) == (
        None, "python: TorchCall.abi3.so is neither in the checkout's build/lib nor beside trec.torch"
    )  # fmt: skip
    assert extension.load(checkout, None)[1].endswith("has no __dlpack_c_exchange_api__")
    module, reason = extension.load(beside, object())
    assert module is None and reason.startswith("python: ") and "TorchCall.abi3.so" in reason


def test_without_it(monkeypatch):
    monkeypatch.setattr(extension, "_extension", None)
    module = compiled()
    assert module._runtime.caller is extension.call_nothing
    assert_same(module(make_kjt()), compiled()(make_kjt()))
