"""The guard must go off where FBGEMM would run its scalar loops, and name the repair."""

import os
import subprocess
import sys

import pytest

from trec._fbgemm import loaded_library, require_vector_kernels
from trec.errors import TrecError


def fake_fbgemm(tmp_path, instruction_set):
    source = tmp_path / "fake.cpp"
    source.write_text(f"namespace fbgemm {{ int fbgemmInstructionSet() {{ return {instruction_set}; }} }}\n")
    library = tmp_path / "fbgemm.so"
    subprocess.run(["g++", "-shared", "-fPIC", source, "-o", library], check=True)
    return str(library)


def test_passes_in_this_process():
    assert loaded_library()
    require_vector_kernels()


def test_scalar_path_is_refused(tmp_path):
    with pytest.raises(TrecError, match="without vector instructions; start python with LD_PRELOAD=.*libc10.so"):
        require_vector_kernels(fake_fbgemm(tmp_path, 0))


def test_vector_path_is_accepted(tmp_path):
    require_vector_kernels(fake_fbgemm(tmp_path, 2))


def test_process_without_fbgemm_is_refused():
    code = "from trec._fbgemm import require_vector_kernels; require_vector_kernels()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode and "fbgemm.so is not loaded" in result.stderr


def test_test_run_stops_on_the_scalar_path(tmp_path):
    """A whole pytest run, with the guard made to look at a fake library."""
    fake = fake_fbgemm(tmp_path, 0)
    (tmp_path / "plugin.py").write_text(f"import trec._fbgemm\ntrec._fbgemm.loaded_library = lambda: {fake!r}\n")
    here = os.path.dirname(__file__)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", os.path.join(here, "test_abi.py")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=here)
    assert result.returncode == 3 and "LD_PRELOAD" in result.stdout + result.stderr
