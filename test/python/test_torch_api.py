"""What a compiled module answers, against the module that it stands for; and TorchRec's ways to a quantized module."""

import copy
import pickle

import pytest
import torch
from conftest import (
    KEYS,
    SEQUENCE_KEYS,
    assert_same,
    assert_same_dicts,
    configs,
    make_float,
    make_kjt,
    make_quantized,
    make_sequence,
    rows_for,
    sequence_configs,
)
from torch.ao import quantization
from torchrec.inference.modules import (
    assign_weights_to_tbe,
    get_table_to_weights_from_tbe,
    quantize_embeddings,
    quantize_inference_model,
    set_pruning_data,
)
from torchrec.modules.embedding_configs import DataType, QuantConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatBags
from torchrec.modules.embedding_modules import (
    EmbeddingBagCollectionInterface,
    EmbeddingCollectionInterface,
)
from torchrec.modules.embedding_modules import EmbeddingCollection as FloatSequence
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection as FloatProcessed
from torchrec.quant import embedding_modules as quant

import trec
import trec.torch

CPU = torch.device("cpu")


def make_processed(**arguments):
    tables = configs()
    return quant.FeatureProcessedEmbeddingBagCollection(
        tables, True, CPU, table_name_to_quantized_weights={table.name: rows_for(table) for table in tables},
        feature_processor=PositionWeightedModuleCollection(dict.fromkeys(KEYS, 9)), **arguments,
    )  # fmt: skip


KINDS = {"bags": make_quantized, "sequence": make_sequence, "processed": make_processed}
KEYS_OF = {"bags": KEYS, "sequence": SEQUENCE_KEYS, "processed": KEYS}
COMMON = {
    "output_dtype": lambda m: m.output_dtype(),
    "device": lambda m: m.device,
    "training": lambda m: m.training,
    "row_alignment": lambda m: m.row_alignment,
    "register_tbes": lambda m: m.register_tbes,
    "copy": lambda m: m.copy(CPU) is m,
    "state_dict": lambda m: [(name, type(t), t.shape, t.dtype) for name, t in m.state_dict().items()],
    "parameters": lambda m: [name for name, _ in m.named_parameters()],
    "split": lambda m: getattr(m, "__quant_state_dict_split_scale_bias"),
    "mark of registered": lambda m: getattr(m, "__register_tbes_in_named_modules"),
    "cached order": lambda m: getattr(m, "__cache_features_order"),
}
BAGS = {
    "embedding_bag_configs": lambda m: [id(config) for config in m.embedding_bag_configs()],
    "is_weighted": lambda m: m.is_weighted(),
    "interface": lambda m: isinstance(m, EmbeddingBagCollectionInterface),
}
SEQUENCE = {
    "embedding_configs": lambda m: [id(config) for config in m.embedding_configs()],
    "embedding_dim": lambda m: m.embedding_dim(),
    "embedding_names_by_table": lambda m: m.embedding_names_by_table(),
    "need_indices": lambda m: m.need_indices(),
    "interface": lambda m: isinstance(m, EmbeddingCollectionInterface),
}
ANSWERS = {"bags": {**COMMON, **BAGS}, "sequence": {**COMMON, **SEQUENCE}, "processed": {**COMMON, **BAGS}}
ARGUMENTS = [
    {},
    {"output_dtype": torch.float16},
    {"register_tbes": True},
    {"quant_state_dict_split_scale_bias": True},
    {"row_alignment": 8},
    {"cache_features_order": True},
]


def same_results(kind, got, expected):
    assert (assert_same_dicts if kind == "sequence" else assert_same)(got, expected) is None


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda arguments: next(iter(arguments), "default"))
@pytest.mark.parametrize("kind", KINDS)
def test_answers_as_the_original(kind, arguments):
    module = KINDS[kind](**arguments).eval()
    compiled = trec.torch.compile(module)
    for name, answer in ANSWERS[kind].items():
        assert answer(compiled) == answer(module), name
    keys = KEYS_OF[kind]
    same_results(kind, compiled(make_kjt(keys)), module(make_kjt(keys)))


@pytest.mark.parametrize("kind", KINDS)
def test_built_as_the_original(kind):
    """The compiled classes take torchrec.quant's arguments."""
    tables = sequence_configs() if kind == "sequence" else configs()
    weights = {table.name: rows_for(table) for table in tables}
    positional = {"sequence": (tables, CPU), "bags": (tables, False, CPU), "processed": (tables, True, CPU)}[kind]
    named = {"table_name_to_quantized_weights": weights, "output_dtype": torch.float16, "register_tbes": True}
    if kind == "processed":
        named["feature_processor"] = PositionWeightedModuleCollection(dict.fromkeys(KEYS, 9))
    names = {
        "bags": "EmbeddingBagCollection",
        "sequence": "EmbeddingCollection",
        "processed": "FeatureProcessedEmbeddingBagCollection",
    }
    original = getattr(quant, names[kind])(*positional, **named)
    compiled = getattr(trec.torch, f"Compiled{names[kind]}")(*positional, **named)
    assert compiled._get_name() == f"Compiled{names[kind]}"
    assert list(compiled.state_dict()) == list(original.state_dict())
    same_results(kind, compiled(make_kjt(KEYS_OF[kind])), original(make_kjt(KEYS_OF[kind])))


def test_built_without_weights():
    compiled = trec.torch.CompiledEmbeddingBagCollection(configs(), is_weighted=False, device=CPU)
    assert not compiled(make_kjt()).values().any()


def qconfig(dtype=torch.qint8, **per_table):
    return QuantConfig(
        activation=quantization.PlaceholderObserver.with_args(dtype=torch.float),
        weight=quantization.PlaceholderObserver.with_args(dtype=dtype),
        per_table_weight_dtype=per_table or None,
    )


def float_sequence():
    tables = sequence_configs()
    for table in tables:
        table.data_type = DataType.FP32
    return FloatSequence(tables=tables, device=CPU)


def float_processed():
    inner = make_float(sum_pooling(), is_weighted=True)
    return FloatProcessed(inner, PositionWeightedModuleCollection(dict.fromkeys(KEYS, 9)))


def sum_pooling():
    tables = configs()
    for table in tables:
        table.pooling = configs()[0].pooling
    return tables


FLOATS = {"bags": make_float, "sequence": float_sequence, "processed": float_processed}
COMPILED = {
    "bags": trec.torch.CompiledEmbeddingBagCollection,
    "sequence": trec.torch.CompiledEmbeddingCollection,
    "processed": trec.torch.CompiledFeatureProcessedEmbeddingBagCollection,
}
ORIGINALS = {
    "bags": quant.EmbeddingBagCollection,
    "sequence": quant.EmbeddingCollection,
    "processed": quant.FeatureProcessedEmbeddingBagCollection,
}


@pytest.mark.parametrize("kind", FLOATS)
def test_from_float(kind):
    module = FLOATS[kind]()
    module.qconfig = qconfig(pages=torch.quint4x2)
    same_results(
        kind,
        COMPILED[kind].from_float(module)(make_kjt(KEYS_OF[kind])),
        ORIGINALS[kind].from_float(module)(make_kjt(KEYS_OF[kind])),
    )


def test_from_float_without_qconfig():
    with pytest.raises(AssertionError, match="must have qconfig defined"):
        trec.torch.CompiledEmbeddingBagCollection.from_float(make_float())


def nested(kind):
    """TorchRec cannot quantize a feature-processed collection that is a child of the root."""
    return torch.nn.ModuleDict({"arch": torch.nn.ModuleDict({"sparse": FLOATS[kind]()})})


def dynamic(model, mapping=ORIGINALS):
    """Of the outermost type alone: with the inner one in the mapping TorchRec would quantize that first."""
    kind = {FloatBags: "bags", FloatSequence: "sequence", FloatProcessed: "processed"}
    found = type(model["arch"]["sparse"])
    return quantization.quantize_dynamic(model, qconfig_spec={found: qconfig()}, mapping={found: mapping[kind[found]]})


def embeddings(model):
    return quantize_embeddings(
        model, torch.qint8, False, [FloatSequence], {FloatSequence: quant.EmbeddingCollection},
        per_table_weight_dtype={"pages": torch.quint4x2},
    )  # fmt: skip


def prepared(model):
    types = [FloatBags, FloatSequence, FloatProcessed]
    quant.quant_prep_enable_quant_state_dict_split_scale_bias_for_types(model, types)
    quant.quant_prep_enable_register_tbes(model, types)
    quant.quant_prep_customize_row_alignment(model, types, 8)
    quant.quant_prep_enable_cache_features_order(model, types)
    return dynamic(model)


def pruned(model):
    return quantize_inference_model(set_pruning_data(model, {"ads": 17, "users": 20}))


FLOWS = {
    "quantize_dynamic": dynamic,
    "quantize_embeddings": embeddings,
    "quantize_inference_model": quantize_inference_model,
    "quant_prep": prepared,
    "set_pruning_data": pruned,
}


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("flow", FLOWS)
def test_flows_end_in_equal_modules(kind, flow):
    if (kind, flow) == ("processed", "quantize_embeddings"):
        pytest.skip("quantize_embeddings quantizes the collection inside, which TorchRec cannot put back")
    quantized = FLOWS[flow](nested(kind))
    compiled = trec.torch.replace(copy.deepcopy(quantized))
    assert type(compiled["arch"]["sparse"]) is COMPILED[kind]
    keys = KEYS_OF[kind]
    same_results(kind, compiled["arch"]["sparse"](make_kjt(keys)), quantized["arch"]["sparse"](make_kjt(keys)))
    got, expected = compiled.state_dict(), quantized.state_dict()
    assert list(got) == list(expected)
    assert [tensor.shape for tensor in got.values()] == [tensor.shape for tensor in expected.values()]


@pytest.mark.parametrize("kind", FLOATS)
def test_quantize_dynamic_to_compiled_classes(kind):
    model = nested(kind)
    expected = dynamic(copy.deepcopy(model))["arch"]["sparse"](make_kjt(KEYS_OF[kind]))
    got = dynamic(model, COMPILED)["arch"]["sparse"]
    assert type(got) is COMPILED[kind]
    same_results(kind, got(make_kjt(KEYS_OF[kind])), expected)


@pytest.mark.parametrize("kind", FLOATS)
def test_marks_of_a_float_module_count(kind):
    """dtype= gives what the marks make of TorchRec's own quantization."""
    model = nested(kind)
    types = [FloatBags, FloatSequence, FloatProcessed]
    quant.quant_prep_enable_quant_state_dict_split_scale_bias_for_types(model, types)
    quant.quant_prep_customize_row_alignment(model, types, 8)
    set_pruning_data(model, {"ads": 17}, types)
    quantized = dynamic(copy.deepcopy(model))["arch"]["sparse"]
    compiled = trec.torch.replace(model, dtype="int8")["arch"]["sparse"]
    assert compiled.row_alignment == quantized.row_alignment == 8
    got, expected = compiled.state_dict(), quantized.state_dict()
    assert list(got) == list(expected)
    assert [tensor.shape for tensor in got.values()] == [tensor.shape for tensor in expected.values()]
    same_results(kind, compiled(make_kjt(KEYS_OF[kind])), quantized(make_kjt(KEYS_OF[kind])))
    if kind != "sequence":
        ads = compiled.embedding_bag_configs()[0]
        assert (ads.num_embeddings, ads.num_embeddings_post_pruning) == (40, 17)


WAYS = {"itself": lambda m: m, "deepcopy": copy.deepcopy, "pickle": lambda m: pickle.loads(pickle.dumps(m))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_weights_through_registered_batches(kind, way):
    """TorchRec's helpers find FBGEMM's modules in a compiled one, and what they write is looked up."""
    keys = KEYS_OF[kind]
    module, other = (KINDS[kind](register_tbes=True) for _ in range(2))
    for weights in get_table_to_weights_from_tbe(other).values():
        weights[0].copy_(weights[0].flip(0))
    compiled = WAYS[way](trec.torch.compile(module))
    assert list(get_table_to_weights_from_tbe(compiled)) == list(get_table_to_weights_from_tbe(module))
    assign_weights_to_tbe(compiled, get_table_to_weights_from_tbe(other))
    same_results(kind, compiled(make_kjt(keys)), other(make_kjt(keys)))


def test_pruned_to_more_rows_than_there_are(tmp_path):
    model = set_pruning_data(torch.nn.ModuleDict({"sparse": make_float()}), {"ads": 41})
    with pytest.raises(trec.ExportError, match="table 'ads': it is to be pruned to 41 rows; expected 0 to 40"):
        trec.export(model, tmp_path, dtype="int8")


def test_ids_past_the_pruned_rows_follow_the_policy():
    tables = configs(ads={"num_embeddings_post_pruning": 10})
    weights = {table.name: rows_for(table) for table in tables}
    weights["ads"] = tuple(part[:10] for part in weights["ads"])
    module = quant.EmbeddingBagCollection(tables, False, CPU, table_name_to_quantized_weights=weights)
    compiled = trec.torch.compile(module)
    assert_same(compiled(make_kjt(rows=40)), module(make_kjt(rows=40)))
    with pytest.raises(trec.OutOfBoundsError) as caught:
        trec.torch.compile(module, bounds_check="fatal")(make_kjt(rows=40))
    assert (caught.value.table, caught.value.limit) == ("ads", 10)
