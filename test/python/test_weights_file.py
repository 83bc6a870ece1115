"""The canonical weights file: its bytes, its readers, and what it refuses."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from trec.errors import WeightsError
from trec.weights_file import TableRows, array_chunks, read_weights, write_weights


def table(name, array):
    return TableRows(name, *array.shape, lambda: array_chunks(array))


def some_tables():
    random = np.random.default_rng(0)
    shapes = {"odd": (3, 7), "wide": (4, 32), "empty": (0, 16), "two": (1, 2), 'quo"te\té': (2, 16)}
    return {name: random.integers(0, 256, shape, dtype=np.uint8) for name, shape in shapes.items()}


def test_canonical_bytes(tmp_path):
    tables = some_tables()
    write_weights(tmp_path / "w.safetensors", [table(name, array) for name, array in tables.items()])
    contents = (tmp_path / "w.safetensors").read_bytes()
    length = int.from_bytes(contents[:8], "little")
    text = contents[8 : 8 + length].decode()
    assert (8 + length) % 64 == 0
    assert " " not in text.rstrip() and "é" in text and '\\"te\\t' in text
    header = json.loads(text)
    assert list(header) == ["wide", "empty", 'quo"te\té', "two", "odd"]
    assert contents[8 + length :] == b"".join(tables[name].tobytes() for name in header)
    assert header["wide"] == {"dtype": "U8", "shape": [4, 32], "data_offsets": [0, 128]}


def test_both_readers_agree(tmp_path):
    tables = some_tables()
    write_weights(tmp_path / "w.safetensors", [table(name, array) for name, array in tables.items()])
    for loaded in (load_file(tmp_path / "w.safetensors"), read_weights(tmp_path / "w.safetensors")):
        assert all(np.array_equal(loaded[name], array) for name, array in tables.items())


def test_edits_of_a_mapped_table_stay_in_memory(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, [table("t", np.zeros((2, 16), np.uint8))])
    read_weights(path)["t"][:] = 1
    assert not read_weights(path)["t"].any()


def test_writes_without_copying_the_table(tmp_path):
    import tracemalloc

    array = np.ones((1 << 14, 1 << 14), np.uint8)
    tracemalloc.start()
    write_weights(tmp_path / "w.safetensors", [table("t", array)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 64


def test_failure_leaves_nothing(tmp_path):
    short = TableRows("t", 2, 16, lambda: [b"x" * 31])
    with pytest.raises(WeightsError, match="table 't' gave 31 bytes, expected 32"):
        write_weights(tmp_path / "w.safetensors", [short])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("names", [["t", "t"], ["__metadata__"]])
def test_refuses_names(tmp_path, names):
    with pytest.raises(WeightsError, match="is taken or reserved"):
        write_weights(tmp_path / "w", [table(name, np.zeros((1, 1), np.uint8)) for name in names])


def test_unreadable_files(tmp_path):
    with pytest.raises(WeightsError, match="cannot read weights"):
        read_weights(tmp_path / "none")
    (tmp_path / "long").write_bytes((1 << 40).to_bytes(8, "little"))
    with pytest.raises(WeightsError, match="its header would be"):
        read_weights(tmp_path / "long")
