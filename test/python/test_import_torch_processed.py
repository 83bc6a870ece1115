"""trec-import-torch: feature processors. Weights by position come along; what else computes weights is refused."""

import pytest
import torch
from archives import (
    TABLE_BATCH,
    assert_imports_as_exported,
    assert_refused,
    assert_same_files,
    import_archive,
    names_in_archive,
    rename_tables,
    replace_code,
    save_script,
    save_traced,
)
from conftest import KEYS, assert_same, configs, make_kjt, make_processed
from torchrec.fx import symbolic_trace
from torchrec.inference.modules import quantize_inference_model
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatCollection
from torchrec.modules.feature_processor_ import (
    FeatureProcessorsCollection,
    PositionWeightedModule,
    PositionWeightedModuleCollection,
)
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection, FeatureProcessorDictWrapper
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

import trec
import trec.torch

PROCESSOR = "PositionWeightedModuleCollection"
FORMS = {"traced": [TABLE_BATCH], "module": [TABLE_BATCH, PROCESSOR]}


def with_other_features():
    """Weights of a feature that no table has, in another order than the tables'."""
    return PositionWeightedModuleCollection({"other": 3, **{key: 20 + i for i, key in enumerate(reversed(KEYS))}})


@pytest.mark.parametrize("leaves", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("arguments", [{}, {"output_dtype": torch.float16}, {"row_alignment": 4}])
def test_position_weights(tmp_path, arguments, leaves):
    module = make_processed(register_tbes=True, **arguments)
    assert_imports_as_exported(module, save_traced(module, tmp_path / "model.pt", leaves), tmp_path)
    kjt = make_kjt(batch=5)
    assert_same(trec.torch.load(tmp_path / "imported")(kjt), module(kjt))
    text = (tmp_path / "imported" / "model.mlir").read_text()
    assert "trec.position_weights" in text and "weighted>" not in text


@pytest.mark.parametrize("leaves", FORMS.values(), ids=FORMS)
def test_order_of_features_and_others(tmp_path, leaves):
    module = make_processed(processor=with_other_features(), register_tbes=True)
    assert_imports_as_exported(module, save_traced(module, tmp_path / "model.pt", leaves), tmp_path)


@pytest.mark.parametrize("leaves", [[], [PROCESSOR]], ids=FORMS)
@pytest.mark.parametrize("registered", [False, True])
def test_bare_tensors(tmp_path, registered, leaves):
    names = names_in_archive(configs())
    module = make_processed(register_tbes=registered)
    import_archive(save_traced(module, tmp_path / "model.pt", leaves), tmp_path / "imported")
    renamed = make_processed(module.feature_processor, rename_tables(configs(), names))
    trec.export(renamed, tmp_path / "exported")
    assert_same_files(tmp_path / "imported", tmp_path / "exported")


class Model(torch.nn.Module):
    def __init__(self, bags):
        super().__init__()
        self.outer = torch.nn.ModuleDict({"bags": bags})
        self.over = torch.nn.Linear(52, 1)

    def forward(self, batch: KeyedJaggedTensor) -> torch.Tensor:
        return self.over(self.outer["bags"](batch).values())


def test_inside_a_model(tmp_path):
    model = Model(make_processed(register_tbes=True))
    assert_imports_as_exported(model, save_traced(model, tmp_path / "model.pt"), tmp_path)
    assert (tmp_path / "imported" / "outer.bags" / "model.mlir").exists()


def test_inference_model(tmp_path):
    tables = [EmbeddingBagConfig(name=f"t{i}", num_embeddings=9, embedding_dim=8 + 4 * (i == 3), feature_names=[key])
              for i, key in enumerate(KEYS)]  # fmt: skip
    bags = FloatCollection(tables=tables, device=torch.device("cpu"), is_weighted=True)
    processor = PositionWeightedModuleCollection({key: 20 for key in KEYS})
    model = Model(FeatureProcessedEmbeddingBagCollection(bags, processor))
    model.over = torch.nn.Linear(36, 1)
    quantize_inference_model(model)
    assert_imports_as_exported(model, save_traced(model, tmp_path / "model.pt"), tmp_path)


def test_scripted_model_of_traced_collections(tmp_path):
    model = Model(make_processed(register_tbes=True))
    traced = Model(symbolic_trace(model.outer["bags"], leaf_modules=[TABLE_BATCH]))
    assert_imports_as_exported(model, save_script(traced, tmp_path / "model.pt"), tmp_path)


def test_processor_without_effect(tmp_path):
    """Bags that do not take weights are the same without it."""
    module = make_processed(is_weighted=False, register_tbes=True)
    import_archive(save_traced(module, tmp_path / "model.pt"), tmp_path / "imported")
    kjt = make_kjt(batch=5)
    assert_same(trec.torch.load(tmp_path / "imported")(kjt), module(kjt))


@pytest.mark.parametrize("wrap", [torch.nn.ModuleDict, lambda d: FeatureProcessorDictWrapper(torch.nn.ModuleDict(d))])
def test_a_dict_of_processors_cannot_be_scripted(tmp_path, wrap):
    """So no archive can hold one: TorchRec's own code of it is no TorchScript."""
    processor = wrap({key: PositionWeightedModule(20) for key in KEYS})
    with pytest.raises((RuntimeError, torch.jit.frontend.NotSupportedError)):
        save_traced(make_processed(processor=processor, register_tbes=True), tmp_path / "model.pt")


@pytest.mark.parametrize("leaves", FORMS.values(), ids=FORMS)
def test_a_feature_without_weights(tmp_path, leaves):
    processor = PositionWeightedModuleCollection({key: 20 for key in KEYS if key != "page"})
    module = make_processed(processor=processor, register_tbes=True)
    assert_refused(
        save_traced(module, tmp_path / "model.pt", leaves),
        "the archive's module, feature 'page': expected position weights of every feature, got none",
        "give the processor weights of it",
    )


@pytest.mark.parametrize("leaves", FORMS.values(), ids=FORMS)
def test_positions_from_the_batch(tmp_path, leaves):
    module = make_processed(register_tbes=True)
    module.feature_processor._pre_processed = True
    archive = save_traced(Model(module), tmp_path / "model.pt", leaves)
    assert_refused(archive, "module 'outer.bags': expected positions that the processor counts", "trace a fresh module")


class Doubling(FeatureProcessorsCollection):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.full((1,), 2.0))

    def forward(self, features: KeyedJaggedTensor) -> KeyedJaggedTensor:
        weights = self.factor.expand(features.values().shape[0])
        return KeyedJaggedTensor(
            keys=features.keys(), values=features.values(), weights=weights, lengths=features.lengths()
        )


@pytest.mark.parametrize("leaves", [[TABLE_BATCH], [TABLE_BATCH, "Doubling"]], ids=FORMS)
def test_another_processor(tmp_path, leaves):
    archive = save_traced(Model(make_processed(processor=Doubling(), register_tbes=True)), tmp_path / "m.pt", leaves)
    assert_refused(
        archive,
        "module 'outer.bags': expected ids and weights that are inputs of its forward, got what the archive computes",
        "Doubling.forward" if "Doubling" in leaves else "aten::expand",
        "save the collection alone and run the step before it",
    )


STEPS = {
    "offsets_range = ops.fbgemm.offsets_range(long, numel)": (
        "offsets_range = torch.zeros_like(long)", "expected positions in bags as in TorchRec's", "got aten::zeros_like",
    ),
    "numel = torch.numel(values)": ("numel = torch.numel(offsets)", "expected positions of all the batch's ids"),
    "long = torch.to(offsets, 4)": (
        "long = torch.to((features).lengths(), 4)", "expected positions by the batch's offsets",
    ),
    '{"ad": ad, ': ('{"ad": torch.neg(ad), ', "weights of feature 'ad' that are stored", "got computed ones"),
    "(keys, values_1, get_weights_list,": (
        "(keys, torch.neg(values_1), get_weights_list,", "expected a batch with new weights alone", "got aten::neg",
    ),
    "lengths, offsets_1, stride,": ("offsets_1, lengths, stride,", "expected a batch with new weights alone"),
}  # fmt: skip


@pytest.mark.parametrize("old", STEPS)
def test_unlike_a_traced_processor(tmp_path, old):
    new, *expected = STEPS[old]
    archive = save_traced(make_processed(register_tbes=True), tmp_path / "model.pt")
    replace_code(archive, old, new)
    assert_refused(archive, "the archive's module", *expected)


@pytest.mark.parametrize("leaves", FORMS.values(), ids=FORMS)
def test_weights_of_another_type(tmp_path, leaves):
    module = make_processed(register_tbes=True)
    module.feature_processor.double()
    archive = save_traced(module, tmp_path / "model.pt", leaves)
    assert_refused(archive, "weights of feature 'ad': expected a vector of float32, got 1 dimensions of Double")


class Unfinished(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self._pre_processed = 3

    def forward(self, features: KeyedJaggedTensor) -> KeyedJaggedTensor:
        return features


Unfinished.__name__ = PROCESSOR
Unfinished.__module__ = "torchrec.modules.feature_processor_"


def test_a_module_of_the_processor_s_name(tmp_path):
    archive = save_traced(
        make_processed(processor=Unfinished(), register_tbes=True), tmp_path / "m.pt", [TABLE_BATCH, PROCESSOR]
    )
    assert_refused(archive, "expected the attributes _pre_processed and position_weights_dict")


def test_sequence_of_processed_ids_is_refused(tmp_path):
    class Processed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.processor = PositionWeightedModuleCollection({key: 20 for key in KEYS})
            self.bags = make_processed(register_tbes=True)

        def forward(self, batch: KeyedJaggedTensor) -> KeyedTensor:
            return self.bags(self.processor(batch))

    # Weights of the first processor are replaced by those of the second, which is not seen here: it is a step before.
    assert_refused(save_traced(Processed(), tmp_path / "model.pt"), "module 'bags': expected ids and weights")
