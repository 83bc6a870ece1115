"""The arithmetic of PTX instructions, on arrays of unsigned integers of 64 bits: one element per thread.

Floats are computed with the rounding that the instruction names, which is to nearest in all that is known here; a fused
multiply-add of floats is the C library's. Half floats are computed in long doubles, whose 64 bits hold their products
and sums.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Callable

import numpy as np

_libm = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")
_libm.fmaf.restype, _libm.fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
_fmaf = np.vectorize(lambda a, b, c: _libm.fmaf(a, b, c), otypes=[np.float32])

Array = np.ndarray


def bits_of(suffix: str) -> int:
    return 1 if suffix == "pred" else 32 if suffix.endswith("x2") else int(suffix[1:])


def sign_extend(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def unsigned(values: Array, bits: int) -> Array:
    return values if bits == 64 else values & np.uint64((1 << bits) - 1)


def signed(values: Array, bits: int) -> Array:
    shift = np.uint64(64 - bits)
    return (values << shift).view(np.int64) >> np.int64(64 - bits)


def integers(values: Array, suffix: str) -> Array:
    return signed(values, bits_of(suffix)) if suffix[0] == "s" else unsigned(values, bits_of(suffix))


def to_float(values: Array) -> Array:
    return values.astype(np.uint32).view(np.float32)


def from_float(values: Array) -> Array:
    return np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)


def to_half(values: Array) -> Array:
    return values.astype(np.uint16).view(np.float16)


def from_half(values: Array) -> Array:
    return np.asarray(values).astype(np.float16).view(np.uint16).astype(np.uint64)


def halves(values: Array) -> tuple[Array, Array]:
    return to_half(values & np.uint64(0xFFFF)), to_half(values >> np.uint64(16) & np.uint64(0xFFFF))


def pair(low: Array, high: Array) -> Array:
    return from_half(low) | from_half(high) << np.uint64(16)


def round_bfloat(values: Array) -> Array:
    """To nearest, ties to even, of f32 that are no NaN."""
    bits = from_float(values)
    return (bits + np.uint64(0x7FFF) + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)


_REAL: dict[str, Callable[..., Array]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "rcp": lambda a: np.float32(1) / a, "neg": lambda a: -a, "abs": np.abs, "min": np.fmin, "max": np.fmax,
}


def _real(name: str, suffix: str, values: list[Array]) -> Array:
    with np.errstate(all="ignore"):
        if suffix == "f32":
            floats = [to_float(value) for value in values]
            return from_float(_fmaf(*floats) if name == "fma" else _REAL[name](*floats))
        wide = [[half.astype(np.longdouble) for half in halves(value)] for value in values]
        results = [a * b + c if name == "fma" else _REAL[name](a, *rest) for a, *rest in zip(*wide)
                   for b, c in [(rest + [None, None])[:2]]]
        return pair(*results) if suffix == "f16x2" else from_half(results[0])


def _compare(operator: str, a: Array, b: Array) -> Array:
    return {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
            "ge": np.greater_equal, "lo": np.less, "ls": np.less_equal, "hi": np.greater,
            "hs": np.greater_equal}[operator](a, b).astype(np.uint64)


def _shift(name: str, suffix: str, a: Array, by: Array) -> Array:
    bits = bits_of(suffix)
    amount = np.minimum(unsigned(by, 32), np.uint64(bits))
    inner = np.minimum(amount, np.uint64(bits - 1))
    if name == "shr" and suffix[0] == "s":
        return unsigned((signed(a, bits) >> inner.astype(np.int64)).view(np.uint64), bits)
    shifted = unsigned(a << inner, bits) if name == "shl" else unsigned(a, bits) >> inner
    return np.where(amount == bits, np.uint64(0), shifted)


def _multiply(opcode: list[str], a: Array, b: Array) -> Array:
    suffix = opcode[-1]
    bits = bits_of(suffix)
    x, y = integers(a, suffix), integers(b, suffix)
    if "wide" in opcode:
        return unsigned((x * y).view(np.uint64) if suffix[0] == "s" else x * y, 2 * bits)
    if "hi" in opcode:
        return np.array([(int(i) * int(j) >> bits) & ((1 << bits) - 1) for i, j in zip(x, y)], np.uint64)
    return unsigned(a * b, bits)


def _integer(opcode: list[str], values: list[Array]) -> Array:
    name, suffix = opcode[0], opcode[-1]
    bits = bits_of(suffix)
    typed = [integers(value, suffix) for value in values]
    results = {
        "add": lambda: values[0] + values[1], "sub": lambda: values[0] - values[1],
        "and": lambda: values[0] & values[1], "or": lambda: values[0] | values[1],
        "xor": lambda: values[0] ^ values[1], "not": lambda: ~values[0], "neg": lambda: -values[0].view(np.int64),
        "min": lambda: np.minimum(*typed), "max": lambda: np.maximum(*typed),
        "div": lambda: typed[0] // typed[1], "rem": lambda: typed[0] % typed[1],
        "mov": lambda: values[0], "cvta": lambda: values[0],
    }
    return unsigned(np.asarray(results[name]()).astype(np.int64).view(np.uint64)
                    if name in ("min", "max", "neg") and suffix[0] == "s" else
                    np.asarray(results[name]()).view(np.uint64), bits)


def _convert(opcode: list[str], values: list[Array]) -> Array:
    target, source = opcode[-2], opcode[-1]
    if target in ("f16x2", "bf16x2"):
        high, low = (to_float(value) for value in values)
        with np.errstate(all="ignore"):
            if target == "f16x2":
                return pair(low, high)
        return round_bfloat(low) | round_bfloat(high) << np.uint64(16)
    value = values[0]
    with np.errstate(all="ignore"):
        if source == "f16":
            return from_float(to_half(value).astype(np.float32))
        if source == "f32" and target == "f16":
            return from_half(to_float(value))
        if source == "f32" and target == "bf16":
            return round_bfloat(to_float(value))
        if target == "f32":
            return from_float(integers(value, source).astype(np.float32))
    wide = integers(value, source)
    return unsigned(wide.view(np.uint64), bits_of(target))


def apply(opcode: list[str], values: list[Array]) -> Array:
    """The result of an instruction. A KeyError where it is not known."""
    name, suffix = opcode[0], opcode[-1]
    if name == "setp":
        a, b = values[:2]
        if suffix == "f32":
            return _compare(opcode[1], to_float(a), to_float(b))
        return _compare(opcode[1], integers(a, suffix), integers(b, suffix))
    if name == "selp":
        return np.where(values[2] != 0, values[0], values[1])
    if name in ("shl", "shr"):
        return _shift(name, suffix, *values)
    if name == "cvt":
        return _convert(opcode, values)
    if suffix in ("f32", "f16", "f16x2") and name != "mov":
        return _real(name, suffix, values)
    if name == "mul":
        return _multiply(opcode, *values)
    if name == "mad":
        product = _multiply(opcode, *values[:2])
        return unsigned(product + values[2], bits_of(suffix) * (2 if "wide" in opcode else 1))
    if name == "bfe":
        return unsigned(values[0] >> values[1], 32) & ((np.uint64(1) << values[2]) - np.uint64(1))
    if name == "prmt":
        return permute(*values)
    if suffix == "pred":
        return _integer([name, "u64"], values) & np.uint64(1)
    return _integer(opcode, values)


def permute(a: Array, b: Array, selector: Array) -> Array:
    """Bytes of a and b by the four digits of a selector, without its signs."""
    both = unsigned(a, 32) | unsigned(b, 32) << np.uint64(32)
    result = np.zeros_like(both)
    for i in range(4):
        digit = selector >> np.uint64(4 * i) & np.uint64(15)
        if (digit > 7).any():
            raise KeyError("prmt with signs")
        result |= (both >> (digit * np.uint64(8)) & np.uint64(0xFF)) << np.uint64(8 * i)
    return result


def apply_atomic(opcode: list[str], old: int, values: list[int], bits: int) -> int:
    if "cas" in opcode:
        return values[1] if old == values[0] & ((1 << bits) - 1) else old
    if "add" in opcode:
        return (old + values[0]) & ((1 << bits) - 1)
    raise ValueError(f"unknown instruction: {'.'.join(opcode)}")


def shuffle_source(kind: str, lane: Array, by: Array, mask_and_clamp: Array) -> Array:
    """The lane that each lane takes its value from: its own, where there is no such lane."""
    segment, clamp = mask_and_clamp >> 8 & 31, mask_and_clamp & 31
    limit = lane & segment | clamp & ~segment
    if kind == "up":
        source = lane - by
        return np.where(source >= limit, source, lane)
    source = {"idx": lane & segment | by & ~segment & 31, "bfly": lane ^ by, "down": lane + by}[kind]
    return np.where(source <= limit, source, lane)
