"""Random models against TorchRec and FBGEMM, every bit. The long run is `python -m trec.parity --models 2000`."""

import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trec.torch
from trec.parity import compare_batch, compare_model
from trec.testing import reference
from trec.testing.cases import draw_case
from trec.testing.models import Draw, as_array, draw_batch, seeded_draw
from trec.torch.collect import CollectOptions, collect


def supported_levels():
    """Those that the dynamic linker reports for this machine."""
    if platform.machine() != "x86_64":
        return []
    text = subprocess.run(["/lib64/ld-linux-x86-64.so.2", "--help"], capture_output=True, text=True).stdout
    return [level for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4") if f"{level} (supported" in text]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(st.data())
def test_random_models(data):
    draw = Draw(lambda low, high: data.draw(st.integers(low, high)))
    tally = compare_model(draw, batches=2)
    assert tally.batches == 2 and tally.different == 0


@pytest.mark.parametrize("seed", range(12))
def test_every_level_and_thread_count(seed):
    draw = seeded_draw(seed)
    case = draw_case(draw)
    batches = [draw_batch(draw, case.shape) for _ in range(4)]
    levels = supported_levels()
    assert levels
    threads = torch.get_num_threads()
    try:
        for level in levels:
            compiled = trec.torch.compile(case.module, cpu=level, **case.options)
            for number in (1, 3):
                torch.set_num_threads(number)
                for batch in batches:
                    assert compare_batch(case.peer, compiled, batch)[1] == 0, (level, number)
            assert compiled.cpu_level == level
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("seed", range(40))
def test_reference_formula(seed):
    """The numpy formula is FBGEMM's too: what it says of models that FBGEMM refuses can be trusted."""
    draw = seeded_draw(1000 + seed)
    case = draw_case(draw, ["bags"])
    case.shape.takes_strides = False
    found = collect(case.module, "", CollectOptions())
    rows = {table.spec.name: table.tensor.numpy() for table in found.tables}
    batch = draw_batch(draw, case.shape)
    values, lengths, weights = in_feature_order(batch, found.spec.features)
    got = reference.forward(found.spec, rows, values, lengths, weights if case.module.is_weighted() else None)
    assert reference.different_elements(got, as_array(case.module(batch.kjt()).values())) == 0


def in_feature_order(batch, features):
    size = len(batch.lengths) // len(batch.keys)
    offsets = np.concatenate([[0], np.cumsum(batch.lengths.numpy())])
    keys = [batch.keys.index(feature) for feature in features]
    bags = [slice(offsets[key * size], offsets[(key + 1) * size]) for key in keys]
    values = np.concatenate([batch.values.numpy()[bag] for bag in bags])
    lengths = np.concatenate([batch.lengths.numpy()[key * size : (key + 1) * size] for key in keys])
    return (
        values,
        lengths,
        None if batch.weights is None else np.concatenate([batch.weights.numpy()[bag] for bag in bags]),
    )


def test_a_difference_is_found():
    """One bit of one row makes the comparison fail."""
    draw = seeded_draw(3)
    case = draw_case(draw, ["bags"])
    compiled = trec.torch.compile(case.module)
    batches = [draw_batch(draw, case.shape) for _ in range(6)]
    assert sum(compare_batch(case.module, compiled, batch)[1] for batch in batches) == 0
    other = seeded_draw(3)
    changed = draw_case(other, ["bags"]).module
    next(iter(changed.embedding_bags.values())).weight.view(torch.uint8)[:] ^= 1
    assert sum(compare_batch(changed, compiled, batch)[1] for batch in batches) > 0


@pytest.mark.parametrize("kind", ["bags", "regrouped", "sequence", "processed", "formats"])
def test_every_kind_is_drawn_and_varied(kind):
    """Figures are worth nothing if batches are empty."""
    draw = seeded_draw(5)
    case = draw_case(draw, [kind])
    batches = [draw_batch(draw, case.shape) for _ in range(40)]
    assert sum(batch.values.numel() for batch in batches) > 40
    assert any(batch.by_offsets for batch in batches) and any((batch.values == -1).any() for batch in batches)
    assert any(batch.strides for batch in batches) is case.shape.takes_strides


def test_long_command_prints_the_figures():
    command = [sys.executable, "-W", "ignore", "-m", "trec.parity", "--models", "4", "--batches", "2", "--jobs", "2"]
    result = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("4 models, 8 batches, ") and ": 0 different (" in result.stdout
