"""The run of TorchRec's own tests, on a made-up checkout."""

import os
import subprocess
import sys
import textwrap

import pytest

from trec.testing import upstream
from trec.testing.substitutes import Uses

TESTS = """
    import os
    import unittest

    import torch
    from torchrec.modules.embedding_configs import EmbeddingBagConfig
    from torchrec.quant.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
    from torchrec.quant.tests.helper import KEYS
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor


    def make(device="cpu"):
        table = EmbeddingBagConfig(name="t", num_embeddings=10, embedding_dim=8, feature_names=KEYS)
        return EmbeddingBagCollection([table], is_weighted=False, device=torch.device(device))


    def batch():
        return KeyedJaggedTensor(KEYS, torch.tensor([1, 2]), lengths=torch.tensor([2]))


    class MadeUpTest(unittest.TestCase):
        def test_calls(self):
            make()(batch())

        def test_makes(self):
            self.assertTrue(isinstance(make(), EmbeddingBagCollection))

        def test_looks_for_what_only_the_original_has(self):
            self.assertTrue(make()._emb_modules)

        def test_fails_anyhow(self):
            make()
            self.assertEqual(1, 2)

        def test_uses_nothing(self):
            pass

        def test_only_meta(self):
            self.assertFalse(isinstance(make("meta"), EmbeddingCollection))

        def test_meta_by_type(self):
            self.assertIs(type(make("meta")), EmbeddingBagCollection)

        @unittest.skip("no such machine")
        def test_skipped(self):
            pass
"""
FILES = {
    "torchrec/__init__.py": "raise ImportError('the installed package is meant')",
    "torchrec/quant/__init__.py": "raise ImportError('the installed package is meant')",
    "torchrec/quant/tests/__init__.py": "",
    "torchrec/quant/tests/helper.py": "KEYS = ['f']",
    "torchrec/quant/tests/test_made_up.py": TESTS,
    "torchrec/quant/tests/test_broken.py": "import torchrec.quant\nimport no_such_module\n",
    "torchrec/quant/tests/test_dies.py": """
        import os, unittest
        from torchrec.quant import EmbeddingBagCollection

        class Dies(unittest.TestCase):
            def test_dies(self):
                if EmbeddingBagCollection.__module__.startswith("trec"):
                    os._exit(9)
    """,
    "torchrec/metrics/tests/test_else.py": "raise ImportError('not about quantized modules')",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


@pytest.fixture(scope="module")
def run(checkout):
    command = [sys.executable, "-m", "trec.testing.upstream", str(checkout), "--traces"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})


EXPECTED = {
    "test_calls": "passed: MadeUpTest.test_calls (1 compiled modules, 1 calls)",
    "test_makes": "passed: MadeUpTest.test_makes (1 compiled modules, 0 calls)",
    "test_looks_for": "failed: MadeUpTest.test_looks_for_what_only_the_original_has: AttributeError: ",
    "test_fails_anyhow": "not applicable: MadeUpTest.test_fails_anyhow: fails with TorchRec's own modules too: ",
    "test_uses_nothing": "not applicable: MadeUpTest.test_uses_nothing: passes without a compiled module",
    "test_only_meta": "not applicable: MadeUpTest.test_only_meta: passes without a compiled module",
    "test_meta_by_type": "not applicable: MadeUpTest.test_meta_by_type: its modules are on the meta device",
    "test_skipped": "not applicable: MadeUpTest.test_skipped: TorchRec skips it: no such machine",
    "test_broken": "not applicable: test_broken.py: fails with TorchRec's own modules too: cannot be imported: Module",
    "test_dies": "failed: test_dies.py: the process died",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_verdict(run, name):
    assert EXPECTED[name] in run.stdout, run.stdout + run.stderr


def test_summary(run):
    last = run.stdout.splitlines()[-1]
    assert last.startswith("2 passed, 2 failed, 6 not applicable (torch ")
    assert run.returncode == 1
    assert "self.assertTrue(make()._emb_modules)" in run.stdout
    assert "metrics" not in run.stdout


def test_without_tests(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        upstream.main([str(tmp_path)])
    assert caught.value.code == 2
    assert "has no tests of TorchRec's quantized modules" in capsys.readouterr().err


def test_a_failed_compilation_is_a_failure():
    """Also where others of its modules are on the meta device."""
    failed = upstream.Result("T.test", upstream.FAILED, "ExportError", Uses(asked=1, on_meta=1))
    assert upstream.judge(failed, upstream.Result("T.test", upstream.PASSED)) is failed
