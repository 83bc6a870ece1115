"""Writes a batch of the model in tables.mlir, as trec-run --inputs takes it.

    make_batch.py FILE [FIELD=VALUE ...]

Each field is a Python expression of a list that takes the place of a tensor's elements, or None, which leaves it out:
values and offsets, of int64.
"""

from __future__ import annotations

import json
import struct
import sys

SAMPLES, FEATURES, LENGTH = 600, 3, 3


def main() -> None:
    path, changes = sys.argv[1], dict(change.split("=", 1) for change in sys.argv[2:])
    bags = SAMPLES * FEATURES
    tensors = {"values": [i * 7919 % 2000 for i in range(bags * LENGTH)], "offsets": [i * LENGTH for i in range(bags + 1)]}
    for name, value in changes.items():
        tensors[name] = eval(value, {}, tensors)  # noqa: S307
    header, data = {}, b""
    for name, elements in tensors.items():
        if elements is None:
            continue
        begin = len(data)
        data += struct.pack(f"<{len(elements)}q", *elements)
        header[name] = {"dtype": "I64", "shape": [len(elements)], "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
