"""Writes a safetensors file with the two tables of model.mlir; all bytes of a row are the row's index modulo 251."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    header, data = {}, b""
    for name, rows, row_bytes in (("ads", 1000, 144), ("users", 50, 48)):
        table = b"".join(bytes([row % 251]) * row_bytes for row in range(rows))
        header[name] = {"dtype": "U8", "shape": [rows, row_bytes], "data_offsets": [len(data), len(data) + len(table)]}
        data += table
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    Path(sys.argv[1]).write_bytes(len(text).to_bytes(8, "little") + text + data)


if __name__ == "__main__":
    main()
