"""The examples of the package's page run as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "python" / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
CHECKS = [
    "assert type(model[0]) is trec.torch.CompiledEmbeddingBagCollection",
    "assert type(model) is trec.torch.CompiledRegroupedCollections",
]


@pytest.mark.parametrize("number", range(len(CHECKS)))
def test_examples(tmp_path, number):
    assert len(BLOCKS) == len(CHECKS)
    code = [sys.executable, "-W", "ignore", "-c", f"{BLOCKS[number]}\n{CHECKS[number]}"]
    result = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
