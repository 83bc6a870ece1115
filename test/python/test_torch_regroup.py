"""CompiledRegroupedCollections: several collections and a KTRegroupAsDict as one model, in torch and without it."""

import copy
import logging
import pickle

import numpy as np
import pytest
import torch
from conftest import assert_same_bits, configs, make_float, make_kjt, make_quantized, make_sequence, rows_for
from torchrec.inference.modules import quantize_embeddings
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig
from torchrec.modules.feature_processor_ import FeatureProcessorsCollection, PositionWeightedModuleCollection
from torchrec.modules.regroup import KTRegroupAsDict
from torchrec.quant.embedding_modules import FeatureProcessedEmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec
import trec.torch

WEIGHTED_KEYS = ["shop", "buyer"]
GROUPS, NAMES = [["buyer", "ad", "user"], ["page", "buyer", "last_ad"]], ["dense", "other"]


def weighted_configs(prefix=""):
    return [
        EmbeddingBagConfig(
            name=name, num_embeddings=20, embedding_dim=dim, data_type=DataType.INT8, feature_names=[prefix + name]
        )
        for name, dim in (("shop", 8), ("buyer", 12))
    ]


def make_weighted(tables=None, **arguments):
    return make_quantized(tables or weighted_configs(), weighted=True, **arguments)


def regroup(groups=GROUPS, names=NAMES, **arguments):
    return KTRegroupAsDict(groups, names, **arguments)


def make_batches(batch=3, seed=0):
    return make_kjt(batch=batch, seed=seed), make_kjt(WEIGHTED_KEYS, batch, seed + 1, weighted=True)


def expected_of(modules, kjts, groups=GROUPS, names=NAMES, **arguments):
    return regroup(groups, names, **arguments)([module(kjt) for module, kjt in zip(modules, kjts)])


def assert_same_groups(got, expected):
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert got[name].is_contiguous()
        assert_same_bits(got[name], tensor)


@pytest.fixture(scope="module")
def modules():
    return [make_quantized(), make_weighted()]


@pytest.fixture(scope="module")
def compiled(modules):
    return trec.torch.compile(modules, regroup=regroup())


@pytest.mark.parametrize("batch", [0, 1, 2, 33])
def test_same_dict_as_torchrec(modules, compiled, batch):
    kjts = make_batches(batch)
    assert_same_groups(compiled(*kjts), expected_of(modules, kjts))


def test_keys_in_any_order_and_of_any_type(modules, compiled):
    kjt = make_kjt(["page", "x", "user", "last_ad", "ad"], ids=torch.int32, lengths=torch.int64)
    other = make_kjt(["buyer", "y", "shop"], weighted=True)
    assert_same_groups(compiled(kjt, other), expected_of(modules, [kjt, other]))


def test_threads(modules, compiled):
    kjts, threads = make_batches(600), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert_same_groups(compiled(*kjts), expected_of(modules, kjts))
    finally:
        torch.set_num_threads(threads)


def test_one_batch_for_several_collections(modules):
    shared = trec.torch.compile(modules, regroup=regroup(), batches=[0, 0])
    kjt = make_kjt(["ad", "last_ad", "page", "user", "shop", "buyer"], weighted=True)
    assert_same_groups(shared(kjt), expected_of(modules, [kjt, kjt]))
    assert [batch["weighted"] for batch in shared.info["batches"]] == [True]


def test_one_collection(modules):
    groups, names = [["user", "ad"], ["page"]], ["a", "b"]
    alone = trec.torch.compile([modules[0]], regroup=regroup(groups, names))
    kjt = make_kjt()
    assert_same_groups(alone(kjt), expected_of(modules[:1], [kjt], groups, names))


def test_a_float_module_with_dtype():
    floats = [make_float(configs()), make_float(weighted_configs(), is_weighted=True)]
    quantized = [quantize_embeddings(torch.nn.Sequential(copy.deepcopy(m)), torch.qint8, True)[0] for m in floats]
    compiled = trec.torch.compile(floats, regroup=regroup(), dtype="int8")
    kjts = make_batches()
    assert_same_groups(compiled(*kjts), expected_of(quantized, kjts))


@pytest.mark.parametrize("given, emb_dtype", [(torch.float32, DataType.FP16), (torch.float16, DataType.FP16)])
def test_a_cast_of_the_regroup(given, emb_dtype):
    modules = [make_quantized(output_dtype=torch.float32), make_weighted(output_dtype=given)]
    compiled = trec.torch.compile(modules, regroup=regroup(emb_dtype=emb_dtype))
    kjts = make_batches()
    got = compiled(*kjts)
    assert compiled.output_dtype() is torch.float16
    assert_same_groups(got, expected_of(modules, kjts, emb_dtype=emb_dtype))


def make_processed(processor, prefix="p_"):
    tables = weighted_configs(prefix)
    return FeatureProcessedEmbeddingBagCollection(
        tables, is_weighted=True, device=torch.device("cpu"), feature_processor=processor,
        table_name_to_quantized_weights={table.name: rows_for(table) for table in tables},
    )  # fmt: skip


class Twos(FeatureProcessorsCollection):
    """One that trec does not know."""

    def forward(self, features):
        weights = 2 * torch.ones(features.values().numel())
        return KeyedJaggedTensor(features.keys(), features.values(), weights=weights, lengths=features.lengths())


@pytest.mark.parametrize("kind", ["positions", "python"])
def test_feature_processors(modules, kind):
    processor = PositionWeightedModuleCollection({"p_shop": 6, "p_buyer": 7}) if kind == "positions" else Twos()
    processed = make_processed(processor)
    groups, names = [["p_shop", "ad"], ["user", "p_buyer"]], ["a", "b"]
    compiled = trec.torch.compile([modules[0], processed], regroup=regroup(groups, names), batches=[0, 0])
    kjt = make_kjt(["p_buyer", "ad", "user", "p_shop", "page", "last_ad"])
    assert_same_groups(compiled(kjt), expected_of([modules[0], processed], [kjt, kjt], groups, names))
    for parameter in processor.parameters():
        parameter.data = torch.randn(parameter.shape)
    assert_same_groups(compiled(kjt), expected_of([modules[0], processed], [kjt, kjt], groups, names))
    assert len(compiled.info["batches"]) == (1 if kind == "positions" else 2)


def test_tables_of_one_name_in_two_collections(modules, tmp_path):
    tables = weighted_configs()
    tables[0].name = "ads"
    other = make_weighted(tables)
    groups, names = [["shop", "ad"], ["buyer", "user"]], ["a", "b"]
    compiled = trec.torch.compile([modules[0], other], regroup=regroup(groups, names))
    kjts = make_batches()
    expected = expected_of([modules[0], other], kjts, groups, names)
    assert_same_groups(compiled(*kjts), expected)
    so = trec.compile([modules[0], other], tmp_path / "m.so", regroup=regroup(groups, names))
    assert [table["name"] for table in trec.load(so).tables] == ["ads", "users", "1.ads", "buyer"]
    assert_loaded_same(trec.load(so), kjts, expected)


def test_keys_in_no_group_are_not_looked_up(modules, caplog):
    """Nor are their ids checked, and the batch may lack them."""
    compiled = trec.torch.compile(modules, regroup=regroup([["user"], ["buyer"]]))
    assert [table["name"] for table in compiled.info["tables"]] == ["users", "buyer"]
    kjt, other = make_kjt(["user"]), make_kjt(["buyer"], weighted=True)
    full, full_other = make_kjt(["ad", "last_ad", "page", "user"]), make_kjt(["shop", "buyer"], weighted=True)
    expected = expected_of(modules, [full, full_other], [["user"], ["buyer"]])
    assert_same_groups(compiled(full, full_other), expected)
    assert set(compiled(kjt, other)) == set(NAMES)
    assert "collections.0.embedding_bags.ads.weight" in compiled.state_dict()
    assert not caplog.records


def test_state(modules):
    own = [copy.deepcopy(module) for module in modules]
    compiled = trec.torch.compile(own, regroup=regroup())
    kjts = make_batches()
    assert sorted(compiled.state_dict()) == sorted(
        f"collections.{index}.{name}" for index, module in enumerate(own) for name in module.state_dict()
    )
    rows = own[0].embedding_bags["ads"].weight
    assert compiled.collections[0].embedding_bags["ads"].weight.data_ptr() == rows.data_ptr()
    before = compiled(*kjts)
    rows[:, 4:] ^= 1
    changed = compiled(*kjts)
    assert not torch.equal(before["dense"], changed["dense"])
    assert_same_groups(changed, expected_of(own, kjts))
    compiled.load_state_dict(trec.torch.compile(modules, regroup=regroup()).state_dict())
    assert_same_groups(compiled(*kjts), before)


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies(modules, compiled, make_copy):
    kjts = make_batches()
    other = make_copy(compiled)
    expected = expected_of(modules, kjts)
    assert_same_groups(other(*kjts), expected)
    other.collections[0].embedding_bags["ads"].weight[:] = 0
    assert not torch.equal(other(*kjts)["dense"], expected["dense"])
    assert_same_groups(compiled(*kjts), expected)


def test_rows_that_move(modules):
    own = [copy.deepcopy(module) for module in modules]
    compiled = trec.torch.compile(own, regroup=regroup())
    kjts = make_batches()
    expected = expected_of(modules, kjts)
    compiled.collections[1].share_memory()
    assert_same_groups(compiled(*kjts), expected)
    compiled.share_memory()
    assert_same_groups(compiled(*kjts), expected)


def test_is_a_leaf_of_fx(modules, compiled):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.sparse = compiled

        def forward(self, first, second):
            return self.sparse(first, second)["dense"].sum()

    graph = torch.fx.symbolic_trace(Model())
    assert [node.target for node in graph.graph.nodes if node.op == "call_module"] == ["sparse"]
    kjts = make_batches()
    assert torch.equal(graph(*kjts), expected_of(modules, kjts)["dense"].sum())


def test_bad_ids_are_counted_once_and_named(compiled, caplog):
    kjt, other = make_batches()
    other.values()[:] = 1000
    before = compiled.counters()["bad_ids"]
    compiled(kjt, other)
    # buyer is in two groups; shop in none.
    number = int(other["buyer"].lengths().sum())
    assert compiled.counters()["bad_ids"] - before == number
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "batch 1: id out of bounds: feature \"buyer\", table \"buyer\"" in caplog.text


def strided(keys, strides, rows, weighted):
    random = np.random.default_rng(3)
    lengths = [random.integers(0, 4, stride) for stride in strides]
    count = int(sum(part.sum() for part in lengths))
    inverse = torch.from_numpy(np.stack([random.integers(0, stride, rows) for stride in strides]))
    return KeyedJaggedTensor(
        keys,
        torch.from_numpy(random.integers(0, 20, count)),
        weights=torch.rand(count) if weighted else None,
        lengths=torch.from_numpy(np.concatenate(lengths)),
        stride_per_key_per_rank=[[stride] for stride in strides],
        inverse_indices=(keys, inverse),
    )


def test_keys_of_different_sizes(modules, compiled):
    kjts = strided(["ad", "last_ad", "page", "user"], [2, 3, 1, 4], 5, False), strided(WEIGHTED_KEYS, [2, 1], 5, True)
    children = [trec.torch.compile(module) for module in modules]
    assert_same_groups(compiled(*kjts), expected_of(children, kjts))
    plain = make_batches(5)
    assert_same_groups(compiled(kjts[0], plain[1]), expected_of(children, [kjts[0], plain[1]]))
    with pytest.raises(trec.InputError, match=r"one number of samples to regroup, got \[3, 5\]"):
        compiled(kjts[0], make_batches(3)[1])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a, b: (a,), "expected 2 KeyedJaggedTensors, got 1"),
        (lambda a, b: (a, make_kjt(WEIGHTED_KEYS, 4, weighted=True)), "batch 1: expected 3 samples, .*got 4"),
        (lambda a, b: (a, make_kjt(["shop"], weighted=True)), "feature 'buyer' is missing"),
        (lambda a, b: (a, make_kjt(WEIGHTED_KEYS)), "the batch has no weights"),
        (
            lambda a, b: (a, KeyedJaggedTensor(WEIGHTED_KEYS, b.values(), b.weights(), lengths=b.lengths() + 1)),
            "batch 1: lengths sum to",
        ),
    ],
)
def test_batches_that_are_refused(compiled, change, message):
    with pytest.raises(trec.InputError, match=message):
        compiled(*change(*make_batches()))


def half(module=make_weighted):
    return module(output_dtype=torch.float16)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ([make_quantized()], GROUPS), "regroup: expected a KTRegroupAsDict, got list"),
        (lambda: ([], regroup()), "regroup: expected at least one collection"),
        (lambda: ([torch.nn.Linear(1, 1)], regroup()), "module '0': Linear is no embedding collection; pass the"),
        (
            lambda: ([make_quantized(), make_sequence()], regroup()),
            "module '1': without pooling there is no KeyedTensor to regroup; use an EmbeddingBagCollection",
        ),
        (
            lambda: ([make_quantized()], regroup([["ad"], ["zz"]])),
            "KTRegroupAsDict, group 'other', key 'zz': no collection has this key; use one of ad, last_ad, page, user",
        ),
        (
            lambda: ([make_weighted(), make_weighted()], regroup([["shop"]], ["a"])),
            "group 'a', key 'shop': several outputs of modules '0' and '1' have this key; rename the features",
        ),
        (
            lambda: ([make_quantized(), make_weighted()], regroup([["ad"]], ["a"])),
            "module '1': none of its keys is in a group; leave the collection out",
        ),
        (lambda: ([make_quantized()], regroup([["ad"], ["ad"]], ["a", "a"])), "two groups are named 'a'"),
        (lambda: ([make_quantized()], regroup([["ad"], []])), "group 'other' has no keys; drop it"),
        (lambda: ([make_quantized()], regroup([], [])), "it has no groups; give it one"),
        (
            lambda: ([make_quantized(), half()], regroup()),
            "module '1': its output type is float16, that of module '0' is float32; give all one output type",
        ),
        (
            lambda: ([make_quantized(), make_weighted()], regroup(emb_dtype=DataType.BF16)),
            "module '0': KTRegroupAsDict casts its output from float32 to bfloat16; leave emb_dtype out",
        ),
        (
            lambda: ([make_quantized(), half()], regroup(emb_dtype=DataType.FP32)),
            "module '1': KTRegroupAsDict casts its output from float16 to float32; leave emb_dtype out",
        ),
    ],
)
@pytest.mark.parametrize("call", [trec.torch.compile, lambda *a, **k: trec.export(*a, "unused", **k)])
def test_models_that_are_refused(make, message, call):
    given, groups = make()
    with pytest.raises(trec.ExportError, match=message):
        call(given, regroup=groups)


@pytest.mark.parametrize("batches", [[0], [0, 2], [1, 1], [-1, 0]])
def test_batches_argument_that_is_refused(modules, batches):
    with pytest.raises(trec.ExportError, match="batches: expected for each of the 2 collections"):
        trec.torch.compile(modules, regroup=regroup(), batches=batches)


def test_bounds_checks_that_differ(modules):
    other = make_weighted()
    for tbe in other._emb_modules:
        tbe.bounds_check_mode_int = 0
    with pytest.raises(trec.ExportError, match="module '1': its bounds check is fatal, that of module '0' is warning"):
        trec.torch.compile([modules[0], other], regroup=regroup())
    compiled = trec.torch.compile([modules[0], other], regroup=regroup(), bounds_check="ignore")
    assert compiled.info["bounds_check"] == "ignore"


def test_arguments_that_go_together(modules, tmp_path):
    for call in (trec.torch.compile, lambda module, **options: trec.export(module, tmp_path, **options)):
        with pytest.raises(trec.ExportError, match="batches: expected with regroup alone"):
            call(modules[0], batches=[0])


def test_a_processor_in_python_is_not_exported(modules, tmp_path):
    processed = make_processed(Twos())
    with pytest.raises(trec.ExportError, match="module '1': its feature processor Twos runs in Python"):
        trec.export([modules[0], processed], tmp_path, regroup=regroup([["ad", "p_shop"]], ["a"]))


def assert_loaded_same(model, kjts, expected):
    batches = []
    for kjt in kjts:
        batch = {"values": kjt.values().numpy(), "lengths": kjt.lengths().numpy(), "keys": kjt.keys()}
        if kjt.weights_or_none() is not None:
            batch["weights"] = kjt.weights().numpy()
        batches.append(batch)
    got = model(*batches)
    assert list(got) == list(expected)
    for name, array in got.items():
        assert_same_bits(torch.from_numpy(array), expected[name])


def test_load(modules, tmp_path):
    so = trec.compile(modules, tmp_path / "m.so", regroup=regroup(), cpu="x86-64-v3")
    model = trec.load(so)
    assert isinstance(model, trec.RegroupedModel)
    assert model.batches == [["ad", "last_ad", "page", "user"], ["buyer"]]
    assert model.features == ["ad", "last_ad", "page", "user", "buyer"]
    kjts = make_batches()
    assert_loaded_same(model, kjts, expected_of(modules, kjts))
    assert model.info["counters"]["forwards"] == 1


def test_exported_then_compiled(modules, tmp_path):
    assert trec.export(modules, tmp_path / "m", regroup=regroup(), dynamic_rows=True) == [tmp_path / "m"]
    assert "trec.regroup" in (tmp_path / "m" / "model.mlir").read_text()
    kjts = make_batches()
    assert_loaded_same(trec.load(trec.compile(tmp_path / "m")), kjts, expected_of(modules, kjts))
    with pytest.raises(trec.InputError, match="regroup applies to modules"):
        trec.compile(tmp_path / "m", regroup=regroup())


@pytest.fixture(scope="module")
def loaded(modules, tmp_path_factory):
    return trec.load(trec.compile(modules, tmp_path_factory.mktemp("regroup") / "m.so", regroup=regroup()))


GOOD = {"values": np.arange(4), "lengths": np.ones(4, np.int32)}
WEIGHTED = {"values": np.arange(1), "lengths": np.ones(1, np.int32), "weights": np.ones(1, np.float32)}


@pytest.mark.parametrize(
    "batches, message",
    [
        ([GOOD], "expected 2 batches, got 1"),
        ([GOOD, {**WEIGHTED, "length": 1}], "batch 1: unknown 'length'; expected some of values, lengths, offsets"),
        ([GOOD, {"lengths": 1}], "batch 1: no 'values'"),
        ([GOOD, {"values": np.arange(1)}], "batch 1: expected exactly one of lengths and offsets"),
        ([GOOD, {**WEIGHTED, "keys": ["shop"]}], "batch 1: feature 'buyer' is missing"),
        ([GOOD, {**WEIGHTED, "values": np.arange(2), "lengths": np.ones(2, np.int32)}], "batch 1: expected 1 samples"),
        ([GOOD, {**WEIGHTED, "weights": None}], "batch 1: weights is null"),
        ([{**GOOD, "weights": np.ones(4, np.float32)}, WEIGHTED], "batch 0: weights given, but this batch"),
    ],
)
def test_loaded_batches_that_are_refused(loaded, batches, message):
    with pytest.raises(trec.InputError, match=message):
        loaded(*batches)
