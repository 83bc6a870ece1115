"""trec-import-torch: archives of collections without pooling give what trec.export writes of the same module."""

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
from conftest import SEQUENCE_KEYS, assert_same_dicts, make_kjt, make_quantized, make_sequence, sequence_configs
from torchrec.fx import symbolic_trace
from torchrec.inference.modules import quantize_inference_model
from torchrec.modules.embedding_configs import DataType, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection as FloatSequence
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor, KeyedTensor

import trec
import trec.torch
from trec.testing.cases import draw_case
from trec.testing.models import draw_batch, flatten, seeded_draw
from trec.testing.reference import different_elements

# A feature in tables of one type, a feature twice in one table, tables of types in turn.
MIXED = [
    EmbeddingConfig(name=f"table{i}", num_embeddings=7 + i, embedding_dim=8, feature_names=features, data_type=kind)
    for i, (features, kind) in enumerate([
        (["a", "b"], DataType.INT4),
        (["c"], DataType.FP32),
        (["d", "d"], DataType.INT8),
        (["b", "é \"f\""], DataType.INT4),
        (["g"], DataType.FP16),
        (["h", "i"], DataType.INT2),
    ])
]  # fmt: skip
TABLES = {"small": sequence_configs(), "mixed": MIXED}
VARIANTS = {
    "plain": {},
    "indices": {"need_indices": True},
    "float16": {"output_dtype": torch.float16},
    "bfloat16": {"output_dtype": torch.bfloat16, "need_indices": True},
    "alignment": {"row_alignment": 4},
    "cached order": {"cache_features_order": True},
    "split state": {"quant_state_dict_split_scale_bias": True},
}


@pytest.mark.parametrize("tables", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)
def test_registered_table_batches(tmp_path, arguments, tables):
    module = make_sequence(tables, register_tbes=True, **arguments)
    assert_imports_as_exported(module, save_traced(module, tmp_path / "model.pt"), tmp_path)


@pytest.mark.parametrize("registered", [False, True], ids=["bare", "traced through"])
@pytest.mark.parametrize("tables", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)
def test_bare_tensors(tmp_path, arguments, tables, registered):
    """Tables without a shared feature have lost their names; everything else is there."""
    names = names_in_archive(tables)
    module = make_sequence(tables, register_tbes=registered, **arguments)
    _, warnings = import_archive(save_traced(module, tmp_path / "model.pt", leaves=[]), tmp_path / "imported")
    made_up = [name for table, name in names.items() if name != table]
    assert warnings.count("warning") == len(made_up) and all(f"'{name}'" in warnings for name in made_up)
    trec.export(make_sequence(rename_tables(tables, names), **arguments), tmp_path / "exported")
    assert_same_files(tmp_path / "imported", tmp_path / "exported")


@pytest.mark.parametrize("need_indices", [False, True])
@pytest.mark.parametrize("leaves", [[TABLE_BATCH], []], ids=["registered", "bare"])
def test_stored_rows_as_outputs(tmp_path, leaves, need_indices):
    # Each has a feature twice or a shared one: the archive has their names.
    tables = sequence_configs(pages={"data_type": DataType.INT8, "feature_names": ["page", "page"]})
    module = make_sequence(
        tables, output_dtype=torch.qint8, need_indices=need_indices, register_tbes=bool(leaves)
    )
    assert_imports_as_exported(module, save_traced(module, tmp_path / "model.pt", leaves), tmp_path)


@pytest.mark.parametrize("seed", range(15))
def test_random_modules_give_the_same_bits(tmp_path, seed):
    draw = seeded_draw(seed)
    case = draw_case(draw, ["sequence"])
    case.module.register_tbes = True
    case.module.tbes = torch.nn.ModuleList(case.module._emb_modules)
    assert_imports_as_exported(case.module, save_traced(case.module, tmp_path / "model.pt"), tmp_path)
    compiled = trec.torch.load(tmp_path / "imported")
    for _ in range(3):
        batch = draw_batch(draw, case.shape)
        if len(batch.lengths):
            (_, got), (_, expected) = flatten(compiled(batch.kjt())), flatten(case.module(batch.kjt()))
            # Indices are the module's own business: they are not part of a compiled model.
            step = 3 if case.module.need_indices() else 2
            for left, right in zip(got[::2], expected[::step], strict=True):
                assert different_elements(left, right) == 0


def test_a_feature_in_tables_of_two_types(tmp_path):
    """TorchRec loses one of the outputs, and with it the key in the archive's dict; the import has both."""
    tables = sequence_configs(pages={"feature_names": ["page", "ad"]})
    module = make_sequence(tables, register_tbes=True)
    assert list(module(make_kjt(SEQUENCE_KEYS))) == ["ad", "shared@ads", "user", "shared@users", "page"]
    assert_imports_as_exported(module, save_traced(module, tmp_path / "model.pt"), tmp_path)
    assert '["ad@ads", "shared@ads", "user", "shared@users", "page", "ad@pages"]' in (
        (tmp_path / "imported" / "model.mlir").read_text()
    )


class Attention(torch.nn.Module):
    """Uses one feature's rows; the others' are made and dropped."""

    def __init__(self, sequence):
        super().__init__()
        self.sequence = sequence
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, batch: KeyedJaggedTensor) -> torch.Tensor:
        rows = self.sequence(batch)["user"]
        dense = torch.ops.fbgemm.jagged_to_padded_dense(rows.values(), [rows.offsets()], [5])
        return self.attention(dense, dense, dense, need_weights=False)[0]


@pytest.mark.parametrize("need_indices", [False, True])
def test_sequence_that_feeds_attention(tmp_path, need_indices):
    model = Attention(make_sequence(register_tbes=True, need_indices=need_indices))
    archive = save_traced(model, tmp_path / "model.pt", leaves=[TABLE_BATCH])
    assert_imports_as_exported(model, archive, tmp_path)
    assert (tmp_path / "imported" / "sequence" / "model.mlir").exists()


def test_names_lost_with_the_dict(tmp_path):
    """Inside a model without registered batches no key is left, so tables of one feature get names that differ."""
    model = Attention(make_sequence())
    printed, warnings = import_archive(save_traced(model, tmp_path / "model.pt", leaves=[]), tmp_path / "imported")
    assert printed == [str(tmp_path / "imported")] and warnings.count("warning") == 3
    names = {"ads": "t_ad", "users": "t_user", "pages": "t_page"}
    trec.export(make_sequence(rename_tables(sequence_configs(), names)), tmp_path / "exported")
    assert_same_files(tmp_path / "imported", tmp_path / "exported")


class OnlyValues(torch.nn.Module):
    def __init__(self, sequence):
        super().__init__()
        self.sequence = sequence

    def forward(self, batch: KeyedJaggedTensor) -> list[torch.Tensor]:
        out = self.sequence(batch)
        return [out["a@one"].values(), out["a@two"].values(), out["b"].values()]


def test_made_up_names_differ(tmp_path):
    tables = [
        EmbeddingConfig(name="one", num_embeddings=5, embedding_dim=4, feature_names=["a"]),
        EmbeddingConfig(name="two", num_embeddings=6, embedding_dim=4, feature_names=["a"]),
        EmbeddingConfig(name="three", num_embeddings=7, embedding_dim=4, feature_names=["b"]),
    ]
    for table in tables:
        table.data_type = DataType.INT8
    archive = save_traced(OnlyValues(make_sequence(tables)), tmp_path / "model.pt", leaves=[])
    _, warnings = import_archive(archive, tmp_path / "imported")
    assert all(f"named it '{name}'" in warnings for name in ("t_a", "t_a_2", "t_b"))
    text = (tmp_path / "imported" / "model.mlir").read_text()
    assert '["a@t_a", "a@t_a_2", "b"]' in text


class Both(torch.nn.Module):
    def __init__(self, bags, sequence):
        super().__init__()
        self.bags = bags
        self.inner = torch.nn.ModuleDict({"sequence": sequence})

    def forward(self, batch: KeyedJaggedTensor) -> tuple[KeyedTensor, dict[str, JaggedTensor]]:
        return self.bags(batch), self.inner["sequence"](batch)


def test_bags_and_sequences(tmp_path):
    model = Both(make_quantized(register_tbes=True), make_sequence(register_tbes=True))
    assert_imports_as_exported(model, save_traced(model, tmp_path / "model.pt"), tmp_path)
    traced = Both(*(symbolic_trace(m, leaf_modules=[TABLE_BATCH]) for m in (model.bags, model.inner["sequence"])))
    assert_imports_as_exported(model, save_script(traced, tmp_path / "scripted.pt"), tmp_path)


class Twice(torch.nn.Module):
    def __init__(self, sequence):
        super().__init__()
        self.sequence = sequence

    def forward(self, first: KeyedJaggedTensor, second: KeyedJaggedTensor) -> list[dict[str, JaggedTensor]]:
        return [self.sequence(first), self.sequence(second)]


def test_a_collection_called_twice_is_one(tmp_path):
    model = Twice(make_sequence(register_tbes=True))
    archive = save_traced(model, tmp_path / "model.pt")
    assert_imports_as_exported(model, archive, tmp_path)


def test_inference_model(tmp_path):
    """As torchrec.inference prepares it: table batches registered, order of features cached."""
    tables = [
        EmbeddingConfig(name=f"t{i}", num_embeddings=9 + i, embedding_dim=8, feature_names=[key])
        for i, key in enumerate(SEQUENCE_KEYS)
    ]
    model = quantize_inference_model(Attention(FloatSequence(tables=tables, device=torch.device("cpu"))))
    assert_imports_as_exported(model, save_traced(model, tmp_path / "model.pt"), tmp_path)


def test_imported_sequence_is_called_as_the_original(tmp_path):
    module = make_sequence(register_tbes=True)
    import_archive(save_traced(module, tmp_path / "model.pt"), tmp_path / "imported")
    kjt = make_kjt(SEQUENCE_KEYS, batch=5)
    assert_same_dicts(trec.torch.load(tmp_path / "imported")(kjt), module(kjt))


FORWARD_EDITS = {
    "_5(_get_feature_length, _maybe_quint4x2_to_int8, )": (
        "torch.neg(_maybe_quint4x2_to_int8)", "expected every lookup to be part of a KeyedTensor, or of JaggedTensors",
    ),
    "torch.sum(_get_unflattened_lengths, [1])": (
        "torch.sum(_get_unflattened_lengths, [0])", "module 'tbes.0': expected every lookup", "got one that is not",
    ),
    "_6(_get_feature_length, 4, )": (
        "_6(_2(split[1], ), 4, )", "expected rows that are cut by the lengths of their own ids, got lengths of others",
    ),
    "split([4, 1], )": ("split([4, 1, 0], )", "expected one lookup for each of the 3 parts of a batch, got 2"),
    "getitem_11 = split[1]": ("getitem_11 = split[0]", "one lookup for each of the 2 parts of a batch, got 2 for other parts"),
    "getitem_10 = split_1[3]": ("getitem_10 = split_1[7]", "expected as many cuts of rows as features, got more"),
    "(getitem_1, getitem_2, None, )": (
        "(getitem_1, getitem_2, (getitem).weights(), )", "expected lookups without pooling to have no weights",
    ),
}  # fmt: skip


@pytest.mark.parametrize("old", FORWARD_EDITS)
def test_unlike_a_traced_collection(tmp_path, old):
    new, *expected = FORWARD_EDITS[old]
    archive = save_traced(make_sequence(register_tbes=True), tmp_path / "model.pt")
    replace_code(archive, old, new)
    assert_refused(archive, *expected)


def test_pooled_rows_in_a_jagged_tensor(tmp_path):
    module = make_sequence(register_tbes=True)
    for batch in module.tbes:
        batch.pooling_mode = type(batch.pooling_mode).SUM
    archive = save_traced(module, tmp_path / "model.pt")
    assert_refused(archive, "expected lookups without pooling in a JaggedTensor, got pooled ones")


def test_stored_rows_of_another_type(tmp_path):
    module = make_sequence(sequence_configs(pages={"data_type": DataType.INT4}), output_dtype=torch.quint8,
                           register_tbes=True)  # fmt: skip
    archive = save_traced(module, tmp_path / "model.pt")
    assert_refused(archive, 'output_dtype: "uint8" gives out stored rows of int8, but table "pages" has int4')
