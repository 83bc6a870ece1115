"""Calls of collections without pooling by the extension: as in Python, but for what it leaves to Python."""

import gc
import sys

import pytest
import torch
from conftest import SEQUENCE_KEYS, assert_same_dicts, make_sequence, sequence_configs, sequence_kjt
from test_torch_extension import assert_same_outcome, calls, make_caller, outcome, twice_as_far
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor

import trec
import trec.torch


def compiled(**arguments):
    """A module that has met the list of keys."""
    module = trec.torch.compile(make_sequence(**arguments))
    module._forward_in_python(sequence_kjt())
    return module


def assert_equal_objects(got, expected):
    """All that can be seen of two dicts of JaggedTensors."""
    assert_same_dicts(got, expected)
    for key, jagged in expected.items():
        assert type(got[key]) is JaggedTensor and list(got[key].__dict__) == list(jagged.__dict__)
        for name in ("_values", "_lengths"):
            one, other = getattr(got[key], name), getattr(jagged, name)
            for ask in ("stride", "storage_offset", "is_inference"):
                assert getattr(one, ask)() == getattr(other, ask)()
            assert (one.dtype, one.device, one.requires_grad) == (other.dtype, other.device, other.requires_grad)
        rest = [name for name in jagged.__dict__ if name not in ("_values", "_lengths")]
        assert all(getattr(got[key], name) == getattr(jagged, name) for name in rest)


def with_offsets(features, **arguments):
    return KeyedJaggedTensor(features.keys(), features.values(), offsets=features.offsets(), **arguments)


PLAIN = {
    "lengths": lambda: sequence_kjt(),
    "one sample": lambda: sequence_kjt(batch=1),
    "many samples": lambda: sequence_kjt(batch=300),
    "narrow": lambda: sequence_kjt(ids=torch.int32, lengths=torch.int32),
    "wide": lambda: sequence_kjt(ids=torch.int64, lengths=torch.int64),
    "offsets": lambda: with_offsets(sequence_kjt()),
    "wide offsets": lambda: with_offsets(sequence_kjt(lengths=torch.int64)),
    "both": lambda: with_offsets(sequence_kjt(), lengths=sequence_kjt().lengths()),
    "no ids": lambda: KeyedJaggedTensor(SEQUENCE_KEYS, torch.empty(0, dtype=torch.int64), lengths=torch.zeros(8).int()),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_plain_batches(name, mode):
    module, features = compiled(), PLAIN[name]()
    assert module.call_path == "extension"
    with mode():
        expected = module._forward_in_python(features)
        assert calls(module) == 0
        assert_equal_objects(module(features), expected)
        assert_equal_objects(module.forward(features), expected)
    assert calls(module) == 2


@pytest.mark.parametrize("output_dtype", [torch.float16, torch.bfloat16])
def test_output_dtypes(output_dtype):
    module = compiled(output_dtype=output_dtype)
    assert_equal_objects(module(sequence_kjt()), module._forward_in_python(sequence_kjt()))
    assert calls(module) == 1


def test_order_of_keys():
    module = compiled()
    keys = ["user", "x", "shared", "page", "ad", "y"]
    expected = module._forward_in_python(sequence_kjt(keys))
    assert_equal_objects(module(sequence_kjt(keys)), expected)
    assert calls(module) == 1


VALUES, LENGTHS = sequence_kjt().values(), sequence_kjt().lengths()
OFFSETS = sequence_kjt().offsets()


def changed(**attributes):
    result = sequence_kjt()
    result.__dict__.update(attributes)
    return result


def edited(tensor, place, value):
    result = tensor.clone()
    result[place] += value
    return result


NOT_PLAIN = {
    "values with gaps": (lambda: changed(_values=twice_as_far(VALUES)), None),
    "no samples": (lambda: sequence_kjt(batch=0), None),
    "samples by key": (
        lambda: KeyedJaggedTensor(SEQUENCE_KEYS, VALUES, lengths=LENGTHS, stride_per_key_per_rank=[[3]] * 4),
        None,
    ),
    "values of floats": (lambda: changed(_values=VALUES.float()), "values: expected int32 or int64"),
    "long lengths": (lambda: changed(_lengths=edited(LENGTHS, 4, 1)), "expected lengths of 0 or more that sum to"),
    "short lengths": (lambda: changed(_lengths=edited(LENGTHS, LENGTHS.argmax(), -1)), "expected lengths of 0 or more"),
    "lengths below 0": (lambda: changed(_lengths=edited(LENGTHS, 0, -30)), "expected lengths of 0 or more that sum to"),
    "huge lengths": (
        lambda: changed(_lengths=edited(LENGTHS.long(), 0, 2**62).view(-1)),
        "expected lengths of 0 or more that sum to",
    ),
    "offsets that fall": (lambda: changed(_offsets=edited(OFFSETS, 3, 1000)), "expected lengths of 0 or more"),
    "offsets of more": (lambda: changed(_offsets=edited(OFFSETS, -1, 1)), "expected lengths of 0 or more"),
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_not_plain(name):
    module, (make, message) = compiled(), NOT_PLAIN[name]
    assert module._runtime.caller(make()) is None
    got, expected = outcome(module, make()), outcome(module._forward_in_python, make())
    if message is None:
        return assert_equal_objects(got, expected)
    assert_same_outcome(got, expected, message)
    assert calls(module) == 0


def test_lengths_that_do_not_go_with_offsets():
    """They are not looked at before they are split."""
    module, features = compiled(), with_offsets(sequence_kjt(), lengths=LENGTHS[1:])
    got, expected = outcome(module, features), outcome(module._forward_in_python, features)
    assert type(got) is type(expected) is RuntimeError and str(got) == str(expected)


def test_error_of_the_model():
    """Lengths of a key that fit together as a sum, but not one by one."""
    module = compiled()
    features = changed(_lengths=edited(edited(LENGTHS, 0, -LENGTHS[0] - 1), 1, LENGTHS[0] + 1))
    assert_same_outcome(outcome(module, features), outcome(module._forward_in_python, features), "length")
    assert module.counters()["failed"] == 2


def test_what_python_calls():
    module = compiled(need_indices=True)
    assert module.call_path == "python: need_indices asks for the ids too"
    twice = trec.torch.compile(make_sequence(sequence_configs(ads={"feature_names": ["ad", "ad"]})))
    assert twice.call_path == "python: a table has a feature twice"


def test_hooks():
    module, seen = compiled(), []
    handle = module.register_forward_hook(lambda *_: seen.append(1))
    module(sequence_kjt())
    handle.remove()
    module(sequence_kjt())
    assert seen == [1] and calls(module) == 2


def test_parts_that_fail():
    module, left = compiled(), [2]

    def fail_later(shape, strides, dtype):
        left[0] -= 1
        if left[0] < 0:
            raise MemoryError("no memory")
        return torch.empty_strided(shape, strides, dtype=dtype)

    with pytest.raises(MemoryError, match="no memory"):
        make_caller(module, allocate=fail_later)(sequence_kjt())
    for wrong in (lambda *_: (), lambda *_: None):
        with pytest.raises(TypeError, match="split_lengths: expected a tuple of 4"):
            make_caller(module, split_lengths=wrong)(sequence_kjt())


def test_nothing_is_kept():
    module, plain, wrong = compiled(), sequence_kjt(), NOT_PLAIN["long lengths"][0]()
    runtime = module._runtime
    watched = [plain, plain._values, plain._lengths, plain._keys, wrong, wrong._lengths, module, runtime,
               runtime.caller, runtime.output, runtime.reader._last, JaggedTensor, *module._embedding_names]  # fmt: skip

    def serve(times):
        for _ in range(times):
            module(plain)
            assert module._runtime.caller(wrong) is None
        gc.collect()

    serve(50)
    counts = [sys.getrefcount(value) for value in watched]
    serve(2000)
    assert [sys.getrefcount(value) for value in watched] == counts
