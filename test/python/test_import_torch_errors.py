"""trec-import-torch: what it refuses, in which words, and that nothing of an archive is ever run."""

import pickle
import zipfile

import pytest
import torch
from archives import TABLE_BATCH, assert_refused, edit, make_dlrm, replace_code, run, save_script, save_traced
from conftest import configs, make_kjt, make_quantized
from torchrec.distributed.global_settings import set_propogate_device
from torchrec.fx import symbolic_trace
from torchrec.inference.modules import quantize_inference_model, shard_quant_model
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor


@pytest.fixture
def archive(tmp_path):
    return save_traced(make_quantized(register_tbes=True), tmp_path / "model.pt")


@pytest.fixture
def bare(tmp_path):
    return save_traced(make_quantized(), tmp_path / "model.pt", leaves=[])


def test_usage(tmp_path):
    assert run().returncode == 2
    assert run(tmp_path / "model.pt").returncode == 2
    assert run(tmp_path / "model.pt", "-o", tmp_path, "--unknown").returncode == 2
    result = run("--help")
    assert result.returncode == 0 and "trec-import-torch model.pt -o model" in result.stdout
    assert run("--version").stdout.startswith("trec ")


def test_missing_and_empty(tmp_path):
    assert_refused(tmp_path / "none.pt", "cannot be read, or is empty")
    (tmp_path / "empty.pt").touch()
    assert_refused(tmp_path / "empty.pt", "cannot be read, or is empty")


def test_not_an_archive(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("not an archive")
    assert_refused(path, "expected a TorchScript archive", "got a file that is no zip archive")


class Trap:
    """Unpickling it would raise."""

    def __reduce__(self):
        return exec, ("raise SystemExit('pickled code was run')",)


def test_pickles(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Trap()))
    assert_refused(path, "got a pickle, which is never run", "save it with torch.jit.save")
    torch.save(make_quantized().embedding_bags["ads"].state_dict(), path)
    assert_refused(path, "got one of torch.save, whose pickles are never run", "or use trec.export")
    torch.save({"trap": Trap()}, path)
    assert_refused(path, "got one of torch.save")
    torch.save({"trap": Trap()}, path, _use_new_zipfile_serialization=False)
    assert_refused(path, "got a pickle, which is never run")


@pytest.mark.parametrize(
    ("record", "got"),
    [
        ("a/model.json", "got one of before PyTorch 1.4"),
        ("a/.data/extern_modules", "got an archive of torch.package"),
        ("a/other", "got a zip archive without its records"),
    ],
)
def test_other_archives(tmp_path, record, got):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/version", "3\n")
        file.writestr(record, "{}")
    assert_refused(path, "expected a TorchScript archive", got)


def test_code_that_cannot_be_read(archive):
    replace_code(archive, "return keyed_tensor", "return ) keyed_tensor")
    assert_refused(archive, "cannot be loaded, for it is damaged: expected ident but found ')'")


def test_attributes_missing(archive):
    replace_code(archive, "  training : bool\n", "  training : bool\n  bogus : int\n")
    assert_refused(archive, "an object lacks attributes of its class")


def test_unknown_operator(bare):
    replace_code(bare, "ops.fbgemm.bounds_check_indices", "ops.mine.check")
    assert_refused(bare, "expected code with operators of PyTorch and FBGEMM, got: Unknown builtin op: mine::check")


class Stateful(torch.nn.Module):
    """Its __setstate__ cannot be run without an error."""

    def __init__(self):
        super().__init__()
        self.number = 3
        self.inner = torch.nn.Linear(2, 2)

    @torch.jit.export
    def __getstate__(self):
        return (self.number, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]):
        self.number, self.training = state[0], state[1]
        assert state[0] == 4, "code of the archive was run"

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.number


class WithState(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bags = make_quantized(register_tbes=True)
        self.after = Stateful()

    def forward(self, batch: KeyedJaggedTensor) -> torch.Tensor:
        return self.after(self.bags(batch).values())


def test_code_is_never_run(tmp_path):
    path = save_traced(WithState(), tmp_path / "model.pt", leaves=["Stateful", TABLE_BATCH])
    with pytest.raises(Exception, match="code of the archive was run"):
        torch.jit.load(str(path))
    result = run(path, "-o", tmp_path / "imported")
    assert result.returncode == 0 and result.stdout == f"{tmp_path / 'imported' / 'bags'}\n"


class StatefulBatch(Stateful):
    def __init__(self):
        super().__init__()
        self.batch = make_quantized(register_tbes=True).tbes[0]

    def forward(self, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return self.batch(ids, offsets)


class WithStatefulBatch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.state = StatefulBatch()

    def forward(self, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return self.state(ids, offsets)


def test_tables_that_only_code_restores(tmp_path):
    path = save_script(WithStatefulBatch(), tmp_path / "model.pt")
    assert_refused(path, "module 'state.batch': expected a table batch that is stored, got one that code")


def test_no_collection(tmp_path):
    path = save_script(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    assert_refused(path, "expected a quantized EmbeddingBagCollection or EmbeddingCollection, got an archive without one")
    path = save_traced(make_dlrm(), tmp_path / "model.pt")
    assert_refused(path, "quantize the model before tracing it")


def test_frozen(tmp_path, archive):
    frozen = torch.jit.freeze(torch.jit.load(str(archive)).eval())
    torch.jit.save(frozen, str(archive))
    assert_refused(archive, "expected every lookup to be part of a KeyedTensor", "neither sharded, frozen nor optimized")


def test_sharded(tmp_path):
    try:
        set_propogate_device(True)
        model = quantize_inference_model(torch.nn.Sequential(make_dlrm()))
        sharded, _ = shard_quant_model(model[0], compute_device="cpu", sharding_device="cpu")
        sharded(torch.rand(3, 4), make_kjt(["f0", "f1", "f2"], rows=10))
        path = save_traced(sharded, tmp_path / "model.pt")
    finally:
        set_propogate_device(False)
    assert_refused(path, "sparse_arch.embedding_bag_collection.tbes.0': expected every lookup", "neither sharded")


def test_order_cached_by_a_call(tmp_path):
    module = make_quantized(register_tbes=True, cache_features_order=True)
    module(make_kjt())
    path = save_traced(module, tmp_path / "model.pt")
    assert_refused(path, "expected features by name, got positions", "trace the module before it is called")


FORWARD_EDITS = {
    "split([3, 1], )": ("split([3, 2], )", "expected parts of all the features"),
    "split([3, 1],": ("split([2, 2],", "expected 3 features for a lookup of as many, got 2"),
    "getitem_1 = (_fx_trec_unwrap_kjt)[0]": (
        "getitem_1 = (_fx_trec_unwrap_kjt)[1]", "expected ids and offsets of one batch",
    ),
    "getitem = split[0]": ("getitem = _permute_kjt", "expected a part of a batch that was split"),
    "(_permute_kjt).split(": ("(features).split(", "expected a permuted batch"),
    "[index, index_1, index_2, index_3]": (
        "annotate(List[int], (features).length_per_key())", "expected an order of features",
    ),
    'index_1 = torch.index(_get_kjt_keys, "last_ad")': (
        "index_1 = torch.len(_get_kjt_keys)", "expected features by name as in a traced collection",
    ),
    "torch.index(_get_kjt_keys,": (
        "torch.index((features).keys(),", "expected the place of a name among the batch's keys",
    ),
    "[16, 16, 12, 8]": ("[16, 16, 8, 12]", "key 'page': expected length_per_key to be 12, the table's dim, got 8"),
    '["ad", "last_ad", "page", "user"]': (
        '["ad", "last_ad", "page"]', "expected a KeyedTensor of 4 keys, one for each feature looked up, got 3 keys",
    ),
    "_5 = [16, 16, 12, 8]": (
        "_5 = (features).length_per_key()", "expected a KeyedTensor with constant keys and length_per_key",
    ),
    "_3([tbes_0, tbes_1], )": (
        "_3([tbes_0, torch.neg(tbes_1)], )", "lookups alone, got one with a result of aten::neg",
    ),
    "(getitem_1, getitem_2, None, )": (
        "(getitem_1, getitem_2, (features).weights(), )", "expected weights of the batch that the ids are of",
    ),
    "(getitem_4, getitem_5, None, )": (
        "(getitem_4, getitem_5, (getitem_3).weights(), )", "expected all lookups of a collection to be weighted alike or none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("old", FORWARD_EDITS)
def test_unlike_a_traced_collection(archive, old):
    new, expected = FORWARD_EDITS[old]
    replace_code(archive, old, new)
    assert_refused(archive, "the archive's module: ", expected)


def save_bare(path, change):
    """A collection whose lookups are on bare tensors, after `change` of the first table batch."""
    module = make_quantized()
    change(module._emb_modules[0])
    return save_traced(module, path, leaves=[])


def strided(batch):
    batch.rows_per_table = batch.rows_per_table.repeat_interleave(2)[::2]


BARE_CHANGES = {
    "type": (lambda b: b.weights_tys.fill_(7), "expected weights of fp32, fp16, int8, int4, int2 or fp8, got code 7"),
    "fp8": (lambda b: b.weights_tys.fill_(6), "expected fp8 of 4 bits of exponent with bias 7, got -1 bits with bias"),
    "floats": (lambda b: setattr(b, "weights_tys", b.weights_tys.float()),
               "'weights_tys': expected a tensor of integers, got Float"),
    "sparse": (lambda b: setattr(b, "rows_per_table", b.rows_per_table.to_sparse()), "expected a contiguous tensor"),
    "strides": (strided, "'rows_per_table': expected a contiguous tensor of the archive"),
    "counts": (lambda b: setattr(b, "weights_tys", b.weights_tys[:2]), "got 3 rows, 2 types and 4 column offsets"),
    "tables": (lambda b: b.rows_per_table.copy_(torch.tensor([40, 39, 20])), "got two that differ"),
    "unchecked": (lambda b: setattr(b, "bounds_check_mode_int", 3), "expected a bounds check before the lookup"),
    "rows": (lambda b: b.rows_per_table.copy_(torch.tensor([0, 0, 20])), "expected tables with rows, got one without"),
}  # fmt: skip


@pytest.mark.parametrize("what", BARE_CHANGES)
def test_bare_tensors(tmp_path, what):
    change, expected = BARE_CHANGES[what]
    assert_refused(save_bare(tmp_path / "model.pt", change), "the archive's module: ", expected)


BARE_EDITS = {
    "(_tensor_constant2, _tensor_constant3,": (
        "(torch.neg(_tensor_constant2), _tensor_constant3,", "expected a lookup whose 'dev_weights' is a tensor",
    ),
    "getitem_4, 0, getitem_5, 0,": (
        "getitem_4, torch.dim(getitem_4), getitem_5, 0,", "expected a lookup whose 'pooling_mode' is a constant",
    ),
}  # fmt: skip


@pytest.mark.parametrize("old", BARE_EDITS)
def test_computed_arguments(bare, old):
    new, expected = BARE_EDITS[old]
    replace_code(bare, old, new)
    assert_refused(bare, expected)


def test_two_batches(archive):
    replace_code(
        archive,
        "  getitem_3 = split[1]",
        "  other = (__torch__.torchrec.quant.embedding_modules._permute_kjt((features).flatten_lengths(), "
        "[index, index_1, index_2, index_3], None, )).split([3, 1], )\n    getitem_3 = other[1]",
    )
    assert_refused(archive, "expected the place of a name among the batch's keys")


class Helper(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bags = symbolic_trace(make_quantized(register_tbes=True), leaf_modules=[TABLE_BATCH])
        self.batch = make_quantized(register_tbes=True).tbes[0]

    @torch.jit.export
    def lookup(self, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return self.batch(ids, offsets)

    def forward(self, batch: KeyedJaggedTensor) -> torch.Tensor:
        return self.bags(batch).values() + self.lookup(batch.values(), batch.offsets())


def test_lookup_outside_of_forward(tmp_path):
    path = save_script(Helper(), tmp_path / "model.pt")
    assert_refused(path, "expected lookups in the forward of modules, got one here", "Helper.lookup'")


class Chosen(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.batches = make_quantized(register_tbes=True).tbes

    def forward(self, batch: KeyedJaggedTensor) -> torch.Tensor:
        total = torch.zeros(1)
        for table in self.batches:
            total = total + table(batch.values(), batch.offsets()).sum()
        return total


def test_lookups_of_another_kind(tmp_path):
    path = save_script(Chosen(), tmp_path / "model.pt")
    assert_refused(path, "module 'batches.0': expected every lookup to be part of a KeyedTensor")


def test_name_that_leads_elsewhere(tmp_path):
    model = torch.nn.Module()
    model.inner = torch.nn.ModuleDict({"a/b": symbolic_trace(make_quantized(), leaf_modules=[])})
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.script(model), str(path))
    assert_refused(path, "module 'inner.a/b': expected a name that can be one directory's")


def test_unwritable(archive, tmp_path):
    (tmp_path / "file").touch()
    refusals = {"file": "file/model.safetensors: cannot be written", "file/inner": "file/inner: cannot be made"}
    for output, message in refusals.items():
        result = run(archive, "-o", tmp_path / output)
        assert result.returncode == 1 and f"{tmp_path}/{message}" in result.stderr


def test_nothing_is_written_where_one_collection_is_refused(tmp_path):
    model = torch.nn.Module()
    tables = configs()
    tables[0].name = "__metadata__"
    model.inner = torch.nn.ModuleDict({
        "good": symbolic_trace(make_quantized(), leaf_modules=[]),
        "bad": symbolic_trace(make_quantized(tables), leaf_modules=[]),
    })  # fmt: skip
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.script(model), str(path))
    assert run(path, "-o", tmp_path / "fine").returncode == 0
    model.inner["bad"] = symbolic_trace(make_quantized(tables, register_tbes=True), leaf_modules=[TABLE_BATCH])
    torch.jit.save(torch.jit.script(model), str(path))
    assert_refused(path, "module 'inner.bad': tables[0].name: \"__metadata__\" cannot name a table")
