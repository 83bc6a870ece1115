"""The kernel that makes offsets of lengths, by the PTX interpreter, where its blocks have several tiles of lengths."""

import numpy as np
import pytest
from trec.spec import ModelSpec, TableSpec
from trec.testing import gpu_launch

from trec.compiler import run_tool
from trec.exporter import write_model

TILE = 2048


@pytest.fixture(scope="module")
def ptx(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    write_model(ModelSpec([TableSpec("t", 10, 8, "int8", ["f"])]), None, folder)
    run_tool("trec-compile", folder, "--gpu=sm_80", "--emit=ptx", "-o", folder / "model.ptx")
    return (folder / "model.ptx").read_text()


def expected(lengths):
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("count, blocks", [(2 * TILE, 1), (3 * TILE + 5, 1), (3 * TILE + 5, 2), (4 * TILE, 2)])
def test_tiles(ptx, kind, count, blocks):
    lengths = np.random.default_rng(count).integers(0, 50, count).astype(kind)
    outcome = gpu_launch.scan(ptx, lengths, int(lengths.sum()), blocks)
    assert np.array_equal(outcome.output, expected(lengths))
    assert outcome.report["kind"] == gpu_launch.NOTHING


def test_lengths_are_not_aligned_to_vectors(ptx):
    """Every array has exactly the bytes that may be read."""
    lengths = np.ones(2 * TILE + 1, np.int32)
    outcome = gpu_launch.scan(ptx, lengths, len(lengths), 3)
    assert np.array_equal(outcome.output, expected(lengths))


def test_the_lowest_negative_length_of_all_tiles(ptx):
    lengths = np.ones(3 * TILE, np.int64)
    lengths[[100, 2 * TILE + 7, 2 * TILE + 8]] = -1, -2, -3
    report = gpu_launch.scan(ptx, lengths, int(lengths.sum()), 2).report
    assert (report["kind"], report["position"], report["value"]) == (gpu_launch.BAD_LENGTH, 100, -1)


def test_a_wrong_sum_is_reported_once(ptx):
    lengths = np.ones(3 * TILE, np.int64)
    report = gpu_launch.scan(ptx, lengths, 5, 2).report
    found = (report["kind"], report["position"], report["value"], report["lock"])
    assert found == (gpu_launch.BAD_SUM, 3 * TILE, 3 * TILE, 2)
