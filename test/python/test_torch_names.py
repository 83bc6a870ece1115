"""The page's table of TorchRec's names: complete, each row with its test, and those of TorchRec's helpers."""

import copy
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import KEYS, assert_same, make_kjt, make_quantized
from test_managed import quantized, random_kjt
from test_remaps import expect_same
from test_torch_models import dlrm, inputs
from torchrec.inference import modules as inference
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatBags
from torchrec.quant import embedding_modules as quant
from torchrec.quant import utils

import trec
import trec.torch
from trec.quantize import prune_rows, pruned_num_embeddings, quantize_rows

HERE = Path(__file__).parent
# A test for each row, by the row's first name.
TESTS = {
    "EmbeddingBagCollection.forward": "test_torch_api.py::test_answers_as_the_original",
    "table_name_to_quantized_weights": "test_torch_api.py::test_built_as_the_original",
    "from_float": "test_torch_api.py::test_from_float",
    "embedding_bag_configs()": "test_torch_api.py::test_marks_of_a_float_module_count",
    "embedding_dim()": "test_torch_sequence.py::test_tables_of_different_dims",
    "output_dtype()": "test_stored_rows.py::test_same_bytes",
    "embedding_names_by_table()": "test_torch_api.py::test_answers_as_the_original",
    "state_dict()": "test_torch_module.py::test_state_dict",
    "tbes": "test_torch_api.py::test_weights_through_registered_batches",
    "_emb_modules": "test_torch_names.py::test_what_is_not_there",
    "torch.fx.symbolic_trace": "test_torch_graph.py::test_traced_and_scripted",
    "_get_name()": "test_torch_api.py::test_built_as_the_original",
    "for_each_module_of_type_do": "test_torch_api.py::test_marks_of_a_float_module_count",
    "quant_prep_enable_register_tbes": "test_torch_api.py::test_flows_end_in_equal_modules",
    "quantize_state_dict": "test_torch_names.py::test_quantize_state_dict",
    "quantize_dynamic": "test_torch_names.py::test_compiled_classes_in_the_mapping",
    "quantize_dense": "test_torch_names.py::test_quantize_dense",
    "shard_quant_model": "test_torch_names.py::test_shard_quant_model",
    "get_table_to_weights_from_tbe": "test_torch_api.py::test_weights_through_registered_batches",
    "PredictFactory": "test_torch_names.py::test_quantize_dense",
    "meta_to_cpu_placement": "test_torch_names.py::test_helpers_that_pass_over",
    "populate_fx_names": "test_torch_names.py::test_helpers_that_pass_over",
    "pruned_num_embeddings": "test_torch_names.py::test_pruned_num_embeddings",
    "num_embeddings_post_pruning": "test_torch_api.py::test_ids_past_the_pruned_rows_follow_the_policy",
    "set_index_remappings": "test_remaps.py::test_bags_are_those_of_fbgemm",
    "QuantManagedCollision…Collection.forward": "test_managed.py::test_drop_in",
    "QuantManagedCollision…Collection.from_float": "test_managed.py::test_from_float_quantizes",
    "QuantManagedCollision…Collection.to": "test_torch_names.py::test_managed_collision_to",
    "_managed_collision_collection": "test_managed.py::test_state_and_members",
    "KTRegroupAsDict": "test_torch_models.py::test_regroup_module",
}


def rows():
    """The names of each row of the table."""
    page = (HERE.parents[1] / "python" / "README.md").read_text(encoding="utf-8")
    table = page.partition("| name | compiled |")[2].partition("\n\n")[0].splitlines()[2:]
    return [re.findall("`([^`]+)`", row.split("|")[1]) for row in table]


def test_each_row_has_its_test():
    assert [names[0] for names in rows()] == list(TESTS)
    for place in TESTS.values():
        file, _, test = place.partition("::")
        assert f"def {test}(" in (HERE / file).read_text(encoding="utf-8"), place


def listed():
    """What the table speaks of: names, the last parts of qualified ones, and what stands for many."""
    result = set()
    for names in rows():
        for name in names:
            result |= set(name.removesuffix("()").replace("…", r"\w*").split("."))
    return re.compile("|".join(f"({pattern})" for pattern in sorted(result)))


def public(module):
    """Names that a module defines, and those that its classes do."""
    for name, value in vars(module).items():
        if name.startswith("_") or inspect.ismodule(value):
            continue
        if name.isupper():
            yield name
        elif (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__:
            yield name
            if inspect.isclass(value) and module is quant:
                yield from (member for member in vars(value) if not member.startswith("_"))


@pytest.mark.parametrize("module", [quant, utils, inference], ids=lambda module: module.__name__)
def test_all_names_are_in_the_table(module):
    pattern = listed()
    assert [name for name in public(module) if not pattern.fullmatch(name)] == []


def test_what_is_not_there():
    compiled = trec.torch.compile(make_quantized())
    assert not hasattr(compiled, "_emb_modules") and not hasattr(compiled, "_key_to_tables")


def test_quantize_state_dict():
    """One table of it is what `quantize_rows` makes, with the header on the other side."""
    module = torch.nn.ModuleDict({"t": torch.nn.Embedding(5, 16)})
    weights = {}
    quant.quantize_state_dict(module, weights, {"t": quant.DataType.INT8})
    stored = quantize_rows(module["t"].weight.detach().numpy(), "int8")
    codes, header = weights["t"]
    assert np.array_equal(stored, np.concatenate([header.numpy(), codes.numpy()], axis=1))


def test_compiled_classes_in_the_mapping():
    mapping = {torch.typename(FloatBags): trec.torch.CompiledEmbeddingBagCollection}
    torch.manual_seed(0)
    model = dlrm().eval()
    expected = inference.quantize_inference_model(copy.deepcopy(model))
    got = inference.quantize_inference_model(model, quantization_mapping=mapping)
    assert type(got.sparse_arch.embedding_bag_collection) is trec.torch.CompiledEmbeddingBagCollection
    with torch.inference_mode():
        assert torch.equal(got(*inputs("dlrm", 7, 0)), expected(*inputs("dlrm", 7, 0)))


class Predict(inference.PredictModule):
    def predict_forward(self, batch):
        sparse = self.predict_module["sparse"](batch["features"])
        return {"dense": self.predict_module["dense"](batch["dense"]), "sparse": sparse.values()}


def test_quantize_dense():
    module = make_quantized()
    expected = module(make_kjt()).values()
    model = torch.nn.ModuleDict({"dense": torch.nn.Linear(3, 2), "sparse": trec.torch.compile(module)})
    predict = inference.quantize_dense(Predict(model, "cpu"), torch.half)
    result = predict({"dense": torch.rand(1, 3), "features": make_kjt()})
    assert result["dense"].dtype is torch.float16 and torch.equal(result["sparse"], expected)
    assert inference.quantize_feature(model["sparse"], (make_kjt(),))[0].keys() == KEYS


def test_shard_quant_model():
    torch.manual_seed(0)
    model = inference.quantize_inference_model(dlrm().eval())
    compiled = trec.torch.replace(copy.deepcopy(model))
    sharded, plan = inference.shard_quant_model(compiled, compute_device="cpu", sharding_device="cpu")
    assert not plan.plan
    assert type(sharded.sparse_arch.embedding_bag_collection) is trec.torch.CompiledEmbeddingBagCollection
    with torch.inference_mode():
        assert torch.equal(sharded(*inputs("dlrm", 7, 0)), model(*inputs("dlrm", 7, 0)))


def test_helpers_that_pass_over():
    model = torch.nn.ModuleDict({"sparse": make_quantized()})
    with pytest.raises(AttributeError):
        utils.recursive_populate_fx_names(model)
    compiled = trec.torch.replace(copy.deepcopy(model))
    utils.recursive_populate_fx_names(compiled)
    utils.meta_to_cpu_placement(compiled)
    assert_same(compiled["sparse"](make_kjt()), model["sparse"](make_kjt()))


def test_managed_collision_to():
    module = quantized()
    compiled = trec.torch.compile(module)
    assert compiled.to(torch.device("cpu")) is compiled
    expect_same(compiled(random_kjt()), module(random_kjt()))
    with pytest.raises(trec.TrecError, match="cannot be moved to meta"):
        compiled.to(torch.device("meta"))


def test_pruned_num_embeddings():
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    mapping = np.array([1, -1, 0, -1, 2])
    assert pruned_num_embeddings(mapping) == 3
    assert np.array_equal(prune_rows(rows, mapping), rows[[2, 0, 4]])
    assert pruned_num_embeddings(np.array([-1, -1])) == pruned_num_embeddings(np.array([], np.int32)) == 0
    assert prune_rows(rows, np.full(5, -1)).shape == (0, 2)


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ([0, 1], "expected a map of 5 ids, one for each row, got one of 2"),
        ([0, 1, 1, -1, -1], "expected one id for each of 2 rows, row 1 is that of 2"),
        ([0, 2, -1, -1, -1], "expected one id for each of 3 rows, row 1 is that of 0"),
        ([[0]], "expected a map of one row, or -1, for each id, got int64[1, 1]"),
        ([0.5], "expected a map of one row, or -1, for each id, got float64[1]"),
    ],
)
def test_maps_that_do_not_prune(mapping, text):
    with pytest.raises(trec.QuantizeError, match=re.escape(text)):
        prune_rows(np.zeros((5, 2), np.float32), np.array(mapping))
