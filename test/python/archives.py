"""TorchScript archives for the tests of trec-import-torch: made by TorchRec, and edited afterwards."""

import copy
import subprocess
import zipfile
from collections import Counter

import torch
from torchrec.fx import symbolic_trace
from torchrec.models.dlrm import DLRM
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatCollection

import trec
from trec.compiler import find_tool

TABLE_BATCH = "IntNBitTableBatchedEmbeddingBagsCodegen"


def save_script(module, path):
    torch.jit.save(torch.jit.script(module), str(path))
    return path


def save_traced(module, path, leaves=(TABLE_BATCH,)):
    """With the table batch as a leaf it stays a module; without, its tensors become those of the traced module."""
    return save_script(symbolic_trace(module, leaf_modules=list(leaves)), path)


def rename_tables(tables, names):
    renamed = copy.deepcopy(tables)
    for table in renamed:
        table.name = names[table.name]
    return renamed


def make_dlrm():
    tables = [
        EmbeddingBagConfig(name=f"t_f{i}", num_embeddings=10 + i, embedding_dim=8, feature_names=[f"f{i}"])
        for i in range(3)
    ]
    bags = FloatCollection(tables=tables, device=torch.device("cpu"))
    return DLRM(bags, dense_in_features=4, dense_arch_layer_sizes=[16, 8], over_arch_layer_sizes=[8, 1])


def edit(path, changes):
    """Rewrites records: `changes` takes a record's name and its bytes, and gives new bytes, or None to drop it."""
    with zipfile.ZipFile(path) as old:
        records = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, data in records.items():
            changed = changes(name.partition("/")[2], data)
            if changed is not None:
                new.writestr(name, changed)
    return path


def replace_code(path, old, new):
    """Replaces text that must be there in the code of the traced module."""
    count = 0

    def change(name, data):
        nonlocal count
        if not (name.startswith("code/__torch__/torch/fx/graph_module") and name.endswith(".py")):
            return data
        count += data.count(old.encode())
        return data.replace(old.encode(), new.encode())

    edit(path, change)
    assert count, f"{old!r} is not in the code"
    return path


def run(*arguments):
    return subprocess.run([find_tool("trec-import-torch"), *map(str, arguments)], capture_output=True, text=True)


def import_archive(archive, directory):
    """The directories that the tool prints, and its warnings."""
    result = run(archive, "-o", directory)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines(), result.stderr


def assert_same_files(got, expected):
    assert sorted(path.name for path in got.iterdir()) == ["model.mlir", "model.safetensors"]
    for name in ("model.mlir", "model.safetensors"):
        assert (got / name).read_bytes() == (expected / name).read_bytes(), name


def assert_imports_as_exported(module, archive, tmp_path):
    """`archive` holds `module`: the same directories with the same files."""
    printed, warnings = import_archive(archive, tmp_path / "imported")
    assert warnings == ""
    exported = trec.export(module, tmp_path / "exported")
    places = [path.relative_to(tmp_path / "exported") for path in exported]
    assert printed == [str(tmp_path / "imported" / place) for place in places]
    for place in places:
        assert_same_files(tmp_path / "imported" / place, tmp_path / "exported" / place)


def assert_refused(path, *parts):
    """One line that starts with the file and holds `parts`; nothing is written."""
    output = path.parent / "imported"
    result = run(path, "-o", output)
    assert result.returncode == 1, (result.returncode, result.stdout, result.stderr)
    assert result.stderr.startswith(f"trec-import-torch: error: {path}: ")
    for part in parts:
        assert part in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1 and not result.stdout and not output.exists()


def names_in_archive(tables):
    """What each table is called where the archive has only names of features."""
    uses = Counter(feature for table in tables for feature in table.feature_names)
    return {
        table.name: table.name if any(uses[f] > 1 for f in table.feature_names) else f"t_{table.feature_names[0]}"
        for table in tables
    }
