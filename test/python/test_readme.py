"""The examples of the package's page run as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "python" / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
CHECKS = [
    "assert type(model[0]) is trec.torch.CompiledEmbeddingBagCollection",
    "assert compiled.certified_lengths['ads'] > 20",
    "assert type(model) is trec.torch.CompiledRegroupedCollections",
]


@pytest.mark.parametrize("number", range(len(CHECKS)))
def test_examples(tmp_path, number):
    assert len(BLOCKS) == len(CHECKS)
    code = [sys.executable, "-W", "ignore", "-c", f"{BLOCKS[number]}\n{CHECKS[number]}"]
    result = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("folder", [".", "lib", "python", "test", "tools"])
def test_nothing_is_left_to_fill_in(folder):
    assert not re.findall(r"@[A-Z_]+@", (ROOT / folder / "README.md").read_text())
