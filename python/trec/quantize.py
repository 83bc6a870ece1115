"""Row-wise quantization in numpy: the bytes that FBGEMM's own operator makes, with the header in front.

For each row: bias = fp16(min); scale = fp16((max - bias) / (2^bits - 1)), 1 where that is 0 or its reciprocal
overflows; code = clamp(rint((x - bias) * (1 / scale))). Codes lie low bits first. Unlike FBGEMM, any dim is taken: the
last byte's spare bits are 0. fp8 is FBGEMM's own: 4 bits of exponent with bias 7, 3 of mantissa, no infinities; rounded
to even and held within 240. bf16 is rounded to even, as torch does.

Rows that the format cannot hold (not finite, or past fp16) are refused instead of stored as garbage. Where a row's
least elements are zeros of both signs, FBGEMM's choice of bias depends on its vector width; no lookup can tell them
apart.
"""

from collections.abc import Iterator

import numpy as np

from trec.errors import QuantizeError
from trec.spec import BITS, HEADER_BYTES, row_bytes

CHUNK_ELEMENTS = 1 << 22
# FBGEMM quantizes to this, though its format goes on to 480.
FP8_LARGEST = np.float32(240)
_FP8_MIN_EXPONENT = -6


def _parameters(rows: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """fp16 scale and bias of each row."""
    with np.errstate(over="ignore", divide="ignore"):
        bias = rows.min(axis=1).astype(np.float16)
        span = rows.max(axis=1) - bias.astype(np.float32)
        scale = np.where(span == 0, np.float32(1), span / np.float32(2**bits - 1)).astype(np.float16)
        inverse = np.float32(1) / scale.astype(np.float32)
    scale[(scale == 0) | np.isinf(inverse)] = 1
    return scale, bias


def _refuse_unrepresentable(rows: np.ndarray, scale: np.ndarray, bias: np.ndarray, first_row: int) -> None:
    bad = ~(np.isfinite(rows).all(axis=1) & np.isfinite(scale) & np.isfinite(bias))
    if bad.any():
        row = int(bad.argmax())
        low, high = rows[row].min(), rows[row].max()
        raise QuantizeError(
            f"row {first_row + row} spans {low} to {high}, expected finite values whose scale and bias fit fp16"
        )


def pack_codes(codes: np.ndarray, bits: int) -> np.ndarray:
    """Packs `uint8[rows, dim]` codes, element 0 in the low bits; the spare bits of the last byte are 0."""
    per_byte = 8 // bits
    rows, dim = codes.shape
    padded = np.zeros((rows, -(-dim // per_byte) * per_byte), np.uint8)
    padded[:, :dim] = codes
    packed = np.zeros((rows, padded.shape[1] // per_byte), np.uint8)
    for element in range(per_byte):
        packed |= padded[:, element::per_byte] << np.uint8(element * bits)
    return packed


def unpack_codes(packed: np.ndarray, bits: int, dim: int) -> np.ndarray:
    """The inverse of `pack_codes`."""
    per_byte = 8 // bits
    codes = np.empty((packed.shape[0], packed.shape[1] * per_byte), np.uint8)
    for element in range(per_byte):
        codes[:, element::per_byte] = (packed >> np.uint8(element * bits)) & np.uint8(2**bits - 1)
    return codes[:, :dim]


def _integer_payload(rows: np.ndarray, bits: int, first_row: int) -> np.ndarray:
    if rows.shape[1] == 0:
        raise QuantizeError("expected rows of at least one element, got 0")
    with np.errstate(invalid="ignore"):
        scale, bias = _parameters(rows, bits)
    _refuse_unrepresentable(rows, scale, bias, first_row)
    inverse = np.float32(1) / scale.astype(np.float32)
    codes = np.rint((rows - bias.astype(np.float32)[:, None]) * inverse[:, None])
    codes = np.clip(codes, 0, 2**bits - 1).astype(np.uint8)
    header = np.stack([scale, bias], axis=1).view(np.uint8)
    return np.concatenate([header, pack_codes(codes, bits)], axis=1)


def float_to_bf16(values: np.ndarray) -> np.ndarray:
    """uint16 bits, rounded to even; a NaN keeps its sign and becomes quiet."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF))) >> np.uint32(16)
    return np.where(np.isnan(values), (bits >> np.uint32(16)) | np.uint32(0x40), rounded).astype(np.uint16)


def bf16_to_float(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def float_to_fp8(values: np.ndarray) -> np.ndarray:
    """FBGEMM's FloatToHFP8Quantized with its default of 4 bits of exponent, bias 7 and 240 as the largest value."""
    values = np.asarray(values, np.float32)
    magnitude = np.minimum(np.abs(values), FP8_LARGEST)
    exponent = np.where(magnitude == 0, _FP8_MIN_EXPONENT, np.frexp(magnitude)[1] - 1)
    exponent = np.maximum(exponent, _FP8_MIN_EXPONENT)
    # A mantissa that rounds up to 16 carries into the exponent by itself.
    mantissa = np.rint(np.ldexp(magnitude, 3 - exponent)).astype(np.int32)
    codes = mantissa + (exponent - _FP8_MIN_EXPONENT) * 8
    return (codes | (np.signbit(values).astype(np.int32) << 7)).astype(np.uint8)


def fp8_to_float(codes: np.ndarray) -> np.ndarray:
    magnitude = ((codes & np.uint8(0x7F)).astype(np.uint32) << np.uint32(20)).view(np.float32) * np.float32(2.0**120)
    return np.where(codes & np.uint8(0x80), -magnitude, magnitude)


def _float_payload(rows: np.ndarray, dtype: str, first_row: int) -> np.ndarray:
    if dtype == "bf16":
        return float_to_bf16(rows.astype(np.float32, copy=False)).view(np.uint8)
    if dtype == "fp8":
        bad = np.isnan(rows).any(axis=1)
        if bad.any():
            raise QuantizeError(f"row {first_row + int(bad.argmax())} holds nan, expected numbers, fp8 has no nan")
        return float_to_fp8(rows)
    with np.errstate(over="ignore"):
        kind = np.float32 if dtype == "fp32" else np.float16
        return np.ascontiguousarray(rows.astype(kind, copy=False)).view(np.uint8)


def quantize_rows(rows: np.ndarray, dtype: str, row_alignment: int = 1, first_row: int = 0) -> np.ndarray:
    """`uint8[rows, row_bytes]` of fp32 or fp16 rows; `first_row` only counts in error messages."""
    if rows.ndim != 2 or rows.dtype not in (np.float32, np.float16):
        raise QuantizeError(f"expected a two-dimensional float32 or float16 array, got {rows.dtype}{list(rows.shape)}")
    if dtype not in BITS:
        raise QuantizeError(f"unknown dtype '{dtype}', expected one of {', '.join(BITS)}")
    if dtype.startswith("int"):
        payload = _integer_payload(rows.astype(np.float32, copy=False), BITS[dtype], first_row)
    else:
        payload = _float_payload(rows, dtype, first_row)
    result = np.zeros((rows.shape[0], row_bytes(rows.shape[1], dtype, row_alignment)), np.uint8)
    result[:, : payload.shape[1]] = payload
    return result


def _check_mapping(mapping: np.ndarray) -> None:
    if mapping.ndim != 1 or mapping.dtype.kind not in "iu":
        raise QuantizeError(f"expected a map of one row, or -1, for each id, got {mapping.dtype}{list(mapping.shape)}")


def pruned_num_embeddings(mapping: np.ndarray) -> int:
    """The rows that a table has once it is pruned: one more than the map's largest entry.

    TorchRec had a function of this name while it pruned by maps; `mapping[id]` is the row that is left of an id, or -1.
    """
    _check_mapping(mapping)
    return int(mapping.max(initial=-1)) + 1


def prune_rows(rows: np.ndarray, mapping: np.ndarray) -> np.ndarray:
    """The rows that a map from ids keeps, where it says."""
    _check_mapping(mapping)
    if len(mapping) != len(rows):
        raise QuantizeError(f"expected a map of {len(rows)} ids, one for each row, got one of {len(mapping)}")
    kept = np.flatnonzero(mapping >= 0)
    counts = np.bincount(mapping[kept], minlength=pruned_num_embeddings(mapping))
    if (counts != 1).any():
        row = int((counts != 1).argmax())
        raise QuantizeError(f"expected one id for each of {len(counts)} rows, row {row} is that of {counts[row]}")
    result = np.empty((len(counts), *rows.shape[1:]), rows.dtype)
    result[mapping[kept]] = rows[kept]
    return result


def quantize_chunks(rows: np.ndarray, dtype: str, row_alignment: int = 1) -> Iterator[np.ndarray]:
    """`quantize_rows` in pieces, so that a large table never exists twice."""
    step = max(1, CHUNK_ELEMENTS // max(1, rows.shape[1]))
    for begin in range(0, rows.shape[0], step):
        yield quantize_rows(rows[begin : begin + step], dtype, row_alignment, begin)


def dequantize_rows(stored: np.ndarray, dtype: str, dim: int) -> np.ndarray:
    """float32 values of stored rows: what a bag of one id without weights gives."""
    if not dtype.startswith("int"):
        elements = np.ascontiguousarray(stored[:, : row_bytes(dim, dtype, 1)])
        if dtype == "fp8":
            return fp8_to_float(elements)
        if dtype == "bf16":
            return bf16_to_float(elements.view(np.uint16))
        return elements.view(np.float32 if dtype == "fp32" else np.float16).astype(np.float32)
    header = np.ascontiguousarray(stored[:, :HEADER_BYTES]).view(np.float16).astype(np.float32)
    packed = stored[:, HEADER_BYTES : row_bytes(dim, dtype, 1)]
    codes = unpack_codes(packed, BITS[dtype], dim).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return codes * header[:, :1] + header[:, 1:]
