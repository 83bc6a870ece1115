"""TorchScript archives for the tests of trec-import-torch: made by TorchRec, and edited afterwards."""

import copy
import zipfile

import torch
from torchrec.fx import symbolic_trace
from torchrec.models.dlrm import DLRM
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatCollection

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
