"""Writes and prints safetensors files for tests, without the library.

    tensors.py write FILE NAME:DTYPE:SHAPE=NUMBERS...   numbers with commas; one number is repeated
    tensors.py show FILE                                one line per tensor, in the order of the file
"""

from __future__ import annotations

import json
import struct
import sys
from math import prod

FORMATS = {"U8": "B", "I32": "i", "I64": "q", "F32": "f", "F16": "e", "BF16": "H"}


def write(path: str, tensors: list[str]) -> None:
    header, data = {}, b""
    for tensor in tensors:
        description, numbers = tensor.split("=")
        name, dtype, dims = description.split(":")
        shape = [int(dim) for dim in dims.split("x")] if dims else []
        values = [float(n) if dtype[0] in "FB" else int(n) for n in numbers.split(",") if n]
        if len(values) == 1:
            values *= prod(shape)
        packed = struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def show(path: str) -> None:
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        print("data starts at", 8 + length)
        data = file.read()
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        values = [value for value, in struct.iter_unpack("<" + FORMATS[tensor["dtype"]], data[begin:end])]
        shown = ", ".join(f"{value:g}" for value in values[:8])
        print(f"{name}: {tensor['dtype']} {tensor['shape']} at {begin}: {shown}{', ...' if len(values) > 8 else ''}")


if __name__ == "__main__":
    write(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "write" else show(sys.argv[2])
