"""Turns the first examples of README.md into a model, its weights and a C program that calls it."""

import json
import re
import struct
import sys
from pathlib import Path

ROWS, ROW_BYTES, DIM = 1000000, 144, 128

MAIN = """
int main(void) {
  const int64_t ids[] = {1, 999999, 1};
  const int32_t lengths[] = {2, 1};
  static float out[2 * TREC_MODEL_TOTAL_DIM];
  int status = serve(ids, lengths, out);
  printf("%d %g %g\\n", status, out[0], out[TREC_MODEL_TOTAL_DIM + 127]);
  return status;
}
"""


def write_weights(path: Path) -> None:
    """Rows of zeros but for the first and the last one that is looked up; the file is sparse."""
    size = ROWS * ROW_BYTES
    header = json.dumps({"ads": {"dtype": "U8", "shape": [ROWS, ROW_BYTES], "data_offsets": [0, size]}})
    header += " " * (-(8 + len(header)) % 64)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode())
        start = file.tell()
        file.truncate(start + size)
        for row, (scale, bias, code) in {1: (0.5, 1.0, 3), ROWS - 1: (2.0, 0.0, 5)}.items():
            file.seek(start + row * ROW_BYTES)
            file.write(struct.pack("<ee", scale, bias) + bytes([code]) * DIM)


def main(readme: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    blocks = {language: re.search(f"```{language}\n(.*?)```", readme.read_text(), re.DOTALL) for language in ("mlir", "c")}
    (folder / "model.mlir").write_text(blocks["mlir"].group(1))
    (folder / "serve.c").write_text(blocks["c"].group(1) + MAIN)
    write_weights(folder / "model.safetensors")


main(Path(sys.argv[1]), Path(sys.argv[2]))
