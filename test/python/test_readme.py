"""The example of the package's page runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "python" / "README.md"


def test_example(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(blocks) == 1
    check = "\nassert type(model[0]) is trec.torch.CompiledEmbeddingBagCollection"
    code = [sys.executable, "-W", "ignore", "-c", blocks[0] + check]
    result = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
