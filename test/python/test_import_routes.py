"""The three ways to a model directory: from the module, from its TorchScript archive, from its saved state dict.

They end in the same files, byte for byte, for every kind of model; and so do two of them where the third cannot be.
"""

import copy
import itertools
import subprocess

import pytest
import torch
from archives import TABLE_BATCH, assert_same_files, import_archive, save_traced
from conftest import KEYS, configs, make_processed, make_quantized, make_sequence, sequence_configs
from safetensors.torch import save_file
from torchrec.inference.modules import quantize_embeddings
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatCollection
from torchrec.modules.feature_processor_ import PositionWeightedModule, PositionWeightedModuleCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessorDictWrapper

import trec
import trec.torch
from trec.compiler import find_tool
from trec.torch.collect import CollectOptions, collect

TYPES = [DataType.INT8, DataType.FP16, DataType.INT4, DataType.FP32, DataType.INT2]


def interleaved():
    """Poolings and types in turn, a feature in tables of both poolings, one twice in a table."""
    features = [["a"], ["b", "a"], ["c", "c"], ["d"], ["e", "b"]]
    return [
        EmbeddingBagConfig(
            name=f"t{i}", num_embeddings=5 + i, embedding_dim=8 * (i + 1), feature_names=names, data_type=kind,
            pooling=PoolingType.MEAN if i % 2 else PoolingType.SUM,
        )
        for i, (names, kind) in enumerate(zip(features, TYPES))
    ]  # fmt: skip


def interleaved_sequence():
    tables = sequence_configs(ads={"data_type": DataType.INT4}, users={"data_type": DataType.FP32})
    tables.insert(1, copy.deepcopy(tables[0]))
    tables[1].name, tables[1].feature_names, tables[1].data_type = "more", ["m", "n"], DataType.INT8
    tables.append(copy.deepcopy(tables[1]))
    tables[-1].name, tables[-1].feature_names = "last", ["n", "o"]
    return tables


def pruned():
    tables = [EmbeddingBagConfig(name="t", num_embeddings=30, embedding_dim=8, feature_names=["a"])]
    model = torch.nn.Sequential(FloatCollection(tables=tables, device=torch.device("cpu")))
    from torchrec.inference.modules import set_pruning_data

    set_pruning_data(model, {"t": 7})
    module = quantize_embeddings(model, torch.qint8, True)[0]
    module.register_tbes = True
    module.tbes = torch.nn.ModuleList(module._emb_modules)
    return module


def wrapped():
    modules = {key: PositionWeightedModule(9 + i) for i, key in enumerate(KEYS)}
    return make_processed(FeatureProcessorDictWrapper(torch.nn.ModuleDict(modules)))


def longer_than_tables():
    return PositionWeightedModuleCollection({"x": 3, **dict.fromkeys(reversed(KEYS), 200)})


OUTPUTS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
KINDS = {
    **{
        f"bags {'weighted ' * weighted}{name} {alignment}": lambda w=weighted, o=output, a=alignment: make_quantized(
            interleaved(), w, output_dtype=o, row_alignment=a, register_tbes=True
        )
        for weighted, (name, output), alignment in itertools.product([False, True], OUTPUTS.items(), [4, 16])
    },
    **{
        f"sequence {'indices ' * indices}{name}": lambda i=indices, o=output: make_sequence(
            interleaved_sequence(), need_indices=i, output_dtype=o, register_tbes=True
        )
        for indices, (name, output) in itertools.product([False, True], OUTPUTS.items())
    },
    "split bags": lambda: make_quantized(interleaved(), quant_state_dict_split_scale_bias=True, register_tbes=True),
    "split sequence": lambda: make_sequence(quant_state_dict_split_scale_bias=True, register_tbes=True),
    "cached order": lambda: make_quantized(interleaved(), cache_features_order=True, register_tbes=True),
    "cached order of a sequence": lambda: make_sequence(cache_features_order=True, register_tbes=True),
    "processed": lambda: make_processed(register_tbes=True),
    "processed by more": lambda: make_processed(longer_than_tables(), register_tbes=True),
    "pruned": pruned,
    "stored rows": lambda: make_sequence(
        sequence_configs(pages={"data_type": DataType.INT8}), output_dtype=torch.qint8, register_tbes=True
    ),
    "one table": lambda: make_quantized(configs()[:1], register_tbes=True),
}


def write_spec(module, directory, weights):
    """The module's spec with tables as its configs have them, so that only the importer can put them in order."""
    spec = collect(module, "", CollectOptions()).spec
    order = [*getattr(module, "_embedding_bag_configs", getattr(module, "_embedding_configs", []))]
    spec.tables.sort(key=lambda table: [config.name for config in order].index(table.name))
    spec.position_weights.reverse()
    spec.weights = str(weights)
    path = directory / "spec.json"
    path.write_text(spec.to_json(), encoding="utf-8")
    return path


def import_state(module, directory, weights):
    command = [find_tool("trec-import"), write_spec(module, directory, weights), "-o", directory / "of_state"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return directory / "of_state"


def plain_tensors(module):
    """Without TorchRec's types for packed integers, which safetensors does not know, and each with its own bytes."""
    state = {name: value for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
    return {
        name: (value if type(value) is torch.Tensor else value.view(torch.uint8)).clone().contiguous()
        for name, value in state.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_same_files(tmp_path, kind):
    module = KINDS[kind]()
    trec.export(module, tmp_path / "exported")
    import_archive(save_traced(module, tmp_path / "model.pt", [TABLE_BATCH]), tmp_path / "imported")
    assert_same_files(tmp_path / "imported", tmp_path / "exported")
    torch.save(plain_tensors(module), tmp_path / "state.pt")
    assert_same_files(import_state(module, tmp_path, tmp_path / "state.pt"), tmp_path / "exported")
    save_file(plain_tensors(module), tmp_path / "state.safetensors")
    assert_same_files(import_state(module, tmp_path, tmp_path / "state.safetensors"), tmp_path / "exported")


def test_processors_that_no_archive_holds(tmp_path):
    module = wrapped()
    trec.export(module, tmp_path / "exported")
    torch.save(module.state_dict(), tmp_path / "state.pt")
    assert_same_files(import_state(module, tmp_path, tmp_path / "state.pt"), tmp_path / "exported")


def test_configs_keep_their_order_in_python(tmp_path):
    module = make_quantized(interleaved(), register_tbes=True)
    compiled = trec.torch.compile(module)
    assert compiled.embedding_bag_configs() is module.embedding_bag_configs()
    assert list(compiled.state_dict()) == list(module.state_dict())
    import_archive(save_traced(module, tmp_path / "model.pt"), tmp_path / "imported")
    loaded = trec.torch.load(tmp_path / "imported")
    of_tables = [name for name in module.state_dict() if not name.startswith("tbes.")]
    assert list(loaded.state_dict()) == of_tables
