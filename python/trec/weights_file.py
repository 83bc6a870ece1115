"""The canonical weights file: safetensors with one U8 tensor `[rows, row_bytes]` per table, one F32 vector for each
feature that is weighted by position, and one tensor of integers for each map from ids to rows.

Written streaming: a table is handed over as chunks, so the largest thing in memory beside the caller's own tables is
one chunk. The layout is canonical (same tables, same bytes): order by alignment, data at a multiple of 64 bytes.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

from trec.errors import WeightsError

PathLike = Union[str, "os.PathLike[str]"]
DATA_ALIGNMENT = 64
CHUNK_BYTES = 1 << 26
# Of parameters; a table is bytes, whatever is in its rows.
_TYPES = {"F32": "<f4", "I32": "<i4", "I64": "<i8"}
_NAMES = {"float32": "F32", "int32": "I32", "int64": "I64"}


@dataclass
class TableRows:
    """One table to write: `chunks()` yields buffers of bytes that make up its rows in order."""

    name: str
    rows: int
    row_bytes: int
    chunks: Callable[[], Iterable[Any]]

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes

    @property
    def entry(self) -> dict[str, Any]:
        return {"dtype": "U8", "shape": [self.rows, self.row_bytes]}


@dataclass
class Parameter:
    """A small tensor to write: float32 weights by position, or a map from ids to rows."""

    name: str
    array: np.ndarray

    @property
    def bytes(self) -> int:
        return self.array.nbytes

    @property
    def entry(self) -> dict[str, Any]:
        return {"dtype": _NAMES[self.array.dtype.name], "shape": list(self.array.shape)}

    def chunks(self) -> Iterable[Any]:
        return array_chunks(np.ascontiguousarray(self.array))


Tensor = Union[TableRows, Parameter]


def array_chunks(array: np.ndarray) -> Iterator[memoryview]:
    """Yields the memory of a contiguous array in pieces, without copying it."""
    if array.size == 0:
        return
    view = memoryview(array).cast("B")
    for begin in range(0, len(view), CHUNK_BYTES):
        yield view[begin : begin + CHUNK_BYTES]


def _alignment(size: int) -> int:
    return min(size & -size, DATA_ALIGNMENT) if size else DATA_ALIGNMENT


def canonical_order(tables: Sequence[Tensor]) -> list[Tensor]:
    """The format allows no holes; by falling alignment each table starts aligned as far as its size lets it."""
    return sorted(tables, key=lambda table: -_alignment(table.bytes))


def header_bytes(ordered: Sequence[Tensor]) -> bytes:
    """The length field and the padded JSON header for tables that lie in this order."""
    entries: dict[str, Any] = {}
    begin = 0
    for table in ordered:
        if table.name in entries or table.name == "__metadata__":
            raise WeightsError(f"table name '{table.name}' is taken or reserved in a weights file")
        end = begin + table.bytes
        entries[table.name] = {**table.entry, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % DATA_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _write_table(file: Any, table: Tensor) -> None:
    written = 0
    for chunk in table.chunks():
        written += file.write(chunk)
    if written != table.bytes:
        raise WeightsError(f"table '{table.name}' gave {written} bytes, expected {table.bytes}")


def write_weights(path: PathLike, tables: Sequence[Tensor]) -> None:
    """Writes the file beside `path` and renames it, so that a reader never sees half of it."""
    ordered = canonical_order(tables)
    header = header_bytes(ordered)
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(header)
            for table in ordered:
                _write_table(file, table)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_weights(path: PathLike) -> dict[str, np.ndarray]:
    """Maps each table as `uint8[rows, row_bytes]`, and parameters; what is written to them stays in memory."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > os.fstat(file.fileno()).st_size - 8:
                raise WeightsError(f"'{path}' is no safetensors file: its header would be {length} bytes")
            entries = json.loads(file.read(length))
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read weights '{path}': {error}") from error
    data = np.memmap(path, dtype=np.uint8, mode="c", offset=0)[8 + length :]
    result = {}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        result[name] = np.asarray(data[begin:end]).view(_TYPES.get(entry["dtype"], np.uint8)).reshape(entry["shape"])
    return result
