"""trec.quantize against FBGEMM's operator, byte for byte."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trec.errors import QuantizeError
from trec.quantize import dequantize_rows, pack_codes, quantize_chunks, quantize_rows, unpack_codes
from trec.spec import BITS, row_bytes
from trec.testing.reference import fma

DIVISORS = {"int8": 2, "int4": 4, "int2": 8}


def fbgemm_rows(rows, dtype):
    stored = torch.ops.fbgemm.FloatOrHalfToFusedNBitRowwiseQuantizedSBHalf(torch.from_numpy(rows), BITS[dtype]).numpy()
    return np.concatenate([stored[:, -4:], stored[:, :-4]], axis=1)


@pytest.mark.parametrize("dtype", DIVISORS)
@pytest.mark.parametrize("source", [np.float32, np.float16])
@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1.0, 300.0])
def test_same_bytes_as_fbgemm(dtype, source, scale):
    random = np.random.default_rng(0)
    for dim in (8, 16, 24, 64, 128, 200, 512):
        # A row with zeros of both signs may get either for its bias; no result depends on it.
        rows = (random.standard_normal((200, dim)) * scale).astype(source) + source(0)
        rows[::7] = rows[::7, :1]
        rows[::11, 0] = 0
        assert np.array_equal(quantize_rows(rows, dtype), fbgemm_rows(rows, dtype))


@pytest.mark.parametrize("dtype", DIVISORS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_same_bytes_as_fbgemm_for_any_row(dtype, data):
    dim = DIVISORS[dtype] * data.draw(st.integers(1, 6))
    elements = st.floats(-60000, 60000, width=32).map(lambda x: x + 0.0)
    rows = data.draw(arrays.arrays(np.float32, (data.draw(st.integers(1, 3)), dim), elements=elements))
    assert np.array_equal(quantize_rows(rows, dtype), fbgemm_rows(rows, dtype))


@pytest.mark.parametrize("dtype", DIVISORS)
@pytest.mark.parametrize("dim", [1, 3, 5, 127])
def test_dims_that_fbgemm_refuses(dtype, dim):
    rows = np.random.default_rng(0).standard_normal((9, dim)).astype(np.float32)
    stored = quantize_rows(rows, dtype, row_alignment=16)
    assert stored.shape == (9, row_bytes(dim, dtype, 16))
    # A row is quantized as if padded with one of its own elements, which changes neither its range nor other codes.
    padded = np.concatenate([rows, np.repeat(rows[:, :1], 16 - dim % 8, axis=1)], axis=1)
    padded = padded[:, : -(-dim // 8) * 8]
    expected = fbgemm_rows(np.ascontiguousarray(padded), dtype)
    codes = unpack_codes(expected[:, 4:], BITS[dtype], dim)
    assert np.array_equal(stored[:, :4], expected[:, :4])
    assert np.array_equal(unpack_codes(stored[:, 4:], BITS[dtype], dim), codes)
    used = row_bytes(dim, dtype, 1)
    spare = used * 8 - 32 - dim * BITS[dtype]
    assert not (stored[:, used:]).any()
    assert spare == 0 or not (stored[:, used - 1] >> (8 - spare)).any()


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_float_rows_keep_their_bits(dtype):
    rows = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    kind = np.float32 if dtype == "fp32" else np.float16
    stored = quantize_rows(rows, dtype, row_alignment=16)
    assert np.array_equal(stored[:, : 7 * kind().itemsize].copy().view(kind), rows.astype(kind))


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_unpack_inverts_pack(bits):
    codes = np.random.default_rng(0).integers(0, 2**bits, (4, 13), dtype=np.uint8)
    assert np.array_equal(unpack_codes(pack_codes(codes, bits), bits, 13), codes)


@pytest.mark.parametrize("dtype", BITS)
def test_chunks_are_the_whole(dtype, monkeypatch):
    monkeypatch.setattr("trec.quantize.CHUNK_ELEMENTS", 70)
    rows = np.random.default_rng(0).standard_normal((23, 9)).astype(np.float32)
    assert np.array_equal(np.concatenate(list(quantize_chunks(rows, dtype, 16))), quantize_rows(rows, dtype, 16))


@pytest.mark.parametrize("dtype", ["int8", "int4", "int2"])
def test_dequantize_is_near(dtype):
    rows = np.random.default_rng(0).standard_normal((10, 32)).astype(np.float32)
    step = np.ptp(rows, axis=1).max() / (2 ** BITS[dtype] - 1)
    assert np.abs(dequantize_rows(quantize_rows(rows, dtype), dtype, 32) - rows).max() < step


@pytest.mark.parametrize(
    "row, text",
    [
        ([1.0, np.nan], "row 1 spans nan"),
        ([0.0, np.inf], "row 1 spans 0.0 to inf"),
        ([-70000.0, 0.0], "-70000.0 to 0.0"),
    ],
)
def test_rows_that_int8_cannot_hold(row, text):
    with pytest.raises(QuantizeError, match=text):
        quantize_rows(np.array([[0, 1], row], np.float32), "int8")


def test_refuses_other_arrays():
    with pytest.raises(
        QuantizeError, match=r"expected a two-dimensional float32 or float16 array, got float64\[2, 2\]"
    ):
        quantize_rows(np.zeros((2, 2)), "int8")
    with pytest.raises(QuantizeError, match="unknown dtype 'int3', expected one of fp32"):
        quantize_rows(np.zeros((2, 2), np.float32), "int3")
    with pytest.raises(QuantizeError, match="at least one element"):
        quantize_rows(np.zeros((2, 0), np.float32), "int8")


@settings(max_examples=300, deadline=None)
@given(arrays.arrays(np.float32, (3, 8), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_reference_fma_rounds_once(numbers):
    from fractions import Fraction

    with np.errstate(over="ignore"):
        got = fma(*numbers)
    for a, b, c, result in zip(*numbers.tolist(), got):
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        if abs(exact) > Fraction(float(np.finfo(np.float32).max)):
            continue
        below, above = np.nextafter(result, np.float32(-np.inf)), np.nextafter(result, np.float32(np.inf))
        error = abs(Fraction(float(result)) - exact)
        for neighbour in (below, above):
            assert not np.isfinite(neighbour) or error <= abs(Fraction(float(neighbour)) - exact)
