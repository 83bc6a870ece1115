"""Compiled models on the machine's GPU: trec.testing.cuda, prepared and run.

Where there is no GPU, or the compiler cannot make code for it, all of this is skipped, and pytest's summary says why.
"""

from pathlib import Path

import pytest
import torch

from trec.testing.cuda import fbgemm
from trec.testing.cuda.behaviour import CHECKS
from trec.testing.cuda.models import make_case
from trec.testing.cuda.prepare import prepare, prepared
from trec.testing.cuda.run import Tally, run_model

MODELS = 12
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOTHING IS TESTED ON A GPU: torch finds none on this machine"
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("models")
    prepare(made, range(MODELS), ["--gpu=sm_90", "--cpu=native"])
    return made


@pytest.mark.parametrize("seed", range(MODELS))
def test_model(folder, seed):
    tally = Tally()
    run_model(folder, make_case(seed), tally, fbgemm.is_there() is None)
    assert tally.elements and not tally.wrong


@pytest.mark.parametrize("name", CHECKS)
def test_behaviour(folder, name):
    tally = Tally()
    CHECKS[name](folder, prepared(folder), tally)
    assert tally.by_peer and not tally.wrong
