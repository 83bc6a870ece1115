"""Tables whose sums are exact: FBGEMM's bits by faster arithmetic, up to the certified length and not beyond.

Also relaxed numerics, where that arithmetic is used for all bags, and held to its bound.
"""

import copy

import numpy as np
import pytest
import torch
from conftest import assert_same, configs, make_kjt, make_quantized
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_parity import supported_levels
from torchrec.modules.regroup import KTRegroupAsDict

import trec
import trec.torch
from trec.errors import InputError, LoadError
from trec.exporter import write_model
from trec.library import Handle, Options
from trec.quantize import unpack_codes
from trec.spec import BITS, HEADER_BYTES, ModelSpec, TableSpec, row_bytes
from trec.testing import reference
from trec.weights_file import read_weights

LEVELS = supported_levels()
DTYPES = ("int8", "int4", "int2")
DIMS = (1, 8, 16, 100, 32, 128, 300)


def compile_spec(spec, directory, **options):
    write_model(spec, None, directory)
    return trec.compile(directory / "model.mlir", directory / f"{'_'.join(options.values())}.so", **options)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A library with a table of each dim, sums and means by turns; the numbers of rows come with the weights."""
    known = {}

    def build(dtype, weighted=False, **options):
        key = (dtype, weighted, *options.items())
        if key not in known:
            dims = [dim for dim in DIMS if dim * BITS[dtype] % 8 == 0]
            tables = [TableSpec(f"t{d}", None, d, dtype, ["f"], ("sum", "mean")[i % 2]) for i, d in enumerate(dims)]
            spec = ModelSpec(tables, weighted=weighted)
            known[key] = spec, compile_spec(spec, tmp_path_factory.mktemp("model"), **options)
        return known[key]

    return build


def make_rows(random, table, count, headers):
    """Rows of random codes under headers that are drawn from a function of the shape."""
    rows = np.zeros((count, table.row_bytes), np.uint8)
    rows[:, :HEADER_BYTES] = headers((count, 2)).astype(np.float16).view(np.uint8)
    used = row_bytes(table.embedding_dim, table.dtype, 1)
    rows[:, HEADER_BYTES:used] = random.integers(0, 256, (count, used - HEADER_BYTES), dtype=np.uint8)
    return rows


def longest_bag(rows, dtype):
    """The certified length by the definition, in Python's integers: units of 2^-24."""
    headers = [[int(float(x) * 2**24) for x in row] for row in rows[:, :HEADER_BYTES].copy().view(np.float16)]
    unit = min((abs(number) & -abs(number) for row in headers for number in row if number), default=0)
    if not unit:
        return 2**63 - 1
    parts = [((2 ** BITS[dtype] - 1) * scale, bias) for scale, bias in headers]

    def largest(offset):
        return max(abs(x) for code, bias in parts for x in (offset, bias, code + bias, code - offset, bias + offset))

    spread = min(0, *(code for code, _ in parts)) + max(0, *(code for code, _ in parts))
    offset = abs(spread) // 2 // unit * unit * (1 if spread > 0 else -1)
    length = 2**24 * unit // min(largest(0), largest(offset))
    return length if length >= 4 else 0


def draw_headers(random):
    """Whole numbers of up to so many bits times a power of two, of both signs and with zeros of both."""
    bits, exponent = random.integers(1, 12), random.integers(-14, -8)
    return lambda shape: random.integers(-(2**bits) + 1, 2**bits, shape) * 2.0**exponent * random.choice([-1.0, 1.0], shape)


def wide_headers(random):
    """Of all eleven bits, and far apart."""
    return lambda shape: random.standard_normal(shape) * 2.0 ** random.integers(-10, 4, shape)


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_tables(built, level, data):
    """Bags of lengths around the certified one, skipped and bad ids among them."""
    dtype = data.draw(st.sampled_from(DTYPES))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    spec, so = built(dtype, cpu=level)
    headers = draw_headers(random)
    rows = {table.name: make_rows(random, table, 20, headers) for table in spec.tables}
    model = trec.load(so, rows, exactness="check")
    lengths = {name: longest_bag(table, dtype) for name, table in rows.items()}
    assert model.certified_lengths == lengths
    edge = min(*lengths.values(), 40)
    bags = np.array([0, 1, 2, max(0, edge - 1), edge, edge + 1, edge + 2, 7])
    ids = random.integers(-1, 21, bags.sum()).astype(random.choice([np.int32, np.int64]))
    got = model.run_into(None, ids, bags)
    assert reference.different_elements(got, reference.forward(spec, rows, ids, bags)) == 0


# Scale 1 and bias 65504: certified up to 2^24 // (largest code + 65504) ids; one more passes 2^24, where floats are
# even. Added in order, an odd sum is rounded before the code is added, else after it.
def edge_rows(table, random):
    return make_rows(random, table, 9, lambda shape: np.full(shape, [1.0, 65504.0]))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_edge(built, dtype, level):
    """At the certified length all arithmetic gives the same; at the next one it does not, and FBGEMM's is used."""
    spec, so = built(dtype, cpu=level)
    _, relaxed_so = built(dtype, cpu=level, numerics="relaxed")
    random = np.random.default_rng(1)
    rows = {table.name: edge_rows(table, random) for table in spec.tables}
    model, relaxed = trec.load(so, rows, exactness="check"), trec.load(relaxed_so, rows)
    length = 2**24 // (2 ** BITS[dtype] - 1 + 65504)
    assert set(model.certified_lengths.values()) == {length}
    for count, differ in ((length, False), (length + 1, True)):
        bags = np.full(2, count)
        ids = random.integers(0, 9, bags.sum())
        expected = reference.forward(spec, rows, ids, bags)
        assert reference.different_elements(model.run_into(None, ids, bags), expected) == 0
        assert (reference.different_elements(relaxed.run_into(None, ids, bags), expected) > 0) is differ


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_hides_a_broken_promise(built, dtype):
    """Rows that are changed without check_exactness show that certified bags take another arithmetic; with it none do."""
    spec, so = built(dtype, cpu="native")
    random = np.random.default_rng(2)
    rows = {table.name: make_rows(random, table, 9, np.ones) for table in spec.tables}
    model = trec.load(so, rows, exactness="check")
    for table in spec.tables:
        rows[table.name][:] = make_rows(random, table, 9, wide_headers(random))
    bags = np.full(4, 20)
    ids = random.integers(0, 9, bags.sum())
    expected = reference.forward(spec, rows, ids, bags)
    assert reference.different_elements(model.run_into(None, ids, bags), expected) > 0
    model.check_exactness()
    assert model.certified_lengths == {name: longest_bag(table, dtype) for name, table in rows.items()}
    assert max(model.certified_lengths.values()) < 20
    assert reference.different_elements(model.run_into(None, ids, bags), expected) == 0


def test_arrays_are_not_certified_by_default(built):
    spec, so = built("int8", cpu="native")
    random = np.random.default_rng(3)
    rows = {table.name: make_rows(random, table, 9, np.ones) for table in spec.tables}
    for exactness, certified in (("auto", 0), ("off", 0), ("check", 2**24 // 256)):
        assert set(trec.load(so, rows, exactness=exactness).certified_lengths.values()) == {certified}


def test_files_are_certified_by_default(tmp_path):
    module = make_quantized()
    trec.export(module, tmp_path)
    so = trec.compile(tmp_path, tmp_path / "model.so")
    for exactness, certified in (("auto", True), ("check", True), ("off", False)):
        model = trec.load(so, exactness=exactness)
        rows = read_weights(so.with_suffix(".safetensors"))
        lengths = {name: longest_bag(rows[name], kind) for name, kind in (("ads", "int8"), ("users", "int4"))}
        assert model.certified_lengths == {**(lengths if certified else dict.fromkeys(lengths, 0)), "pages": 0}


def test_other_names_are_refused():
    with pytest.raises(InputError, match="unknown exactness 'maybe', expected one of 'auto', 'check', 'off'"):
        Options(exactness="maybe")


def test_model_of_an_older_trec(built, monkeypatch):
    spec, so = built("int8", cpu="native")
    rows = {table.name: make_rows(np.random.default_rng(3), table, 9, np.ones) for table in spec.tables}
    monkeypatch.setattr(Handle, "_has_exactness", False)
    model = trec.load(so, rows)
    assert set(model.certified_lengths.values()) == {0}
    with pytest.raises(LoadError, match="compiled by a trec that does not look for exact sums"):
        model.check_exactness()
    with pytest.raises(LoadError, match="compiled by a trec that does not look for exact sums"):
        trec.load(so, rows, exactness="check")


def coarse_module(**arguments):
    """A collection whose headers are small whole numbers."""
    module = make_quantized(**arguments)
    for name, bag in module.embedding_bags.items():
        if name != "pages":
            rows = bag.weight.view(torch.uint8)
            headers = rows[:, :HEADER_BYTES].view(torch.float16)
            headers[:] = (headers.float() * 4).round().half()
    return module


def edit(module, name="ads"):
    rows = module.embedding_bags[name].weight.view(torch.uint8)
    headers = wide_headers(np.random.default_rng(6))((len(rows), 2))
    rows[:, :HEADER_BYTES].view(torch.float16)[:] = torch.from_numpy(headers).half()


class TestTorchModules:
    """Rows are the module's to edit: nothing is certified before it is asked for, and edits make it void."""

    def test_asked_for_and_renewed(self):
        module = coarse_module()
        compiled = trec.torch.compile(module)
        assert set(compiled.certified_lengths.values()) == {0}
        compiled.check_exactness()
        assert compiled.certified_lengths["ads"] > 40 and compiled.certified_lengths["pages"] == 0
        assert_same(compiled(make_kjt(batch=30)), module(make_kjt(batch=30)))
        edit(module)
        compiled.check_exactness()
        assert compiled.certified_lengths["ads"] <= 2
        assert_same(compiled(make_kjt(batch=30)), module(make_kjt(batch=30)))

    def test_load_state_dict_renews(self):
        module, other = coarse_module(), make_quantized()
        compiled = trec.torch.compile(module)
        compiled.check_exactness()
        compiled.load_state_dict(other.state_dict())
        assert compiled.certified_lengths["ads"] <= 2
        assert_same(compiled(make_kjt(batch=30)), other(make_kjt(batch=30)))

    def test_copies_and_other_thread_counts_look_for_themselves(self):
        compiled = trec.torch.compile(coarse_module())
        compiled.check_exactness()
        twin = copy.deepcopy(compiled)
        assert twin.certified_lengths == compiled.certified_lengths
        edit(compiled)
        compiled.check_exactness()
        assert compiled.certified_lengths["ads"] <= 2 < twin.certified_lengths["ads"]
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(threads + 1)
            twin(make_kjt())
            handles = list(twin._runtime.handles.values())
            assert len(handles) == 2
            assert handles[0].certified_lengths() == handles[1].certified_lengths()
        finally:
            torch.set_num_threads(threads)

    @pytest.mark.parametrize("how", ["parent", "child", "state"])
    def test_regrouped(self, how):
        """The regrouped model reads the children's rows, whoever hears of an edit."""
        others = {name: {"feature_names": [f"{name}2"]} for name in ("ads", "users", "pages")}
        modules = [coarse_module(), coarse_module(tables=configs(**others))]
        compiled = trec.torch.compile(modules, regroup=KTRegroupAsDict([["user", "ads2"], ["ad"]], ["a", "b"]))
        batch = [make_kjt(batch=30), make_kjt(["ads2", "pages2", "users2"], batch=30)]

        def shortest():
            compiled(*batch)
            return min(length for name, length in compiled.certified_lengths.items() if "ads" in name)

        assert shortest() == 0
        compiled.check_exactness()
        assert shortest() > 40
        child = compiled.collections[0]
        if how == "state":
            child.load_state_dict(make_quantized().state_dict())
        else:
            edit(child)
            (compiled if how == "parent" else child).check_exactness()
        assert shortest() <= 2


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_relaxed_numerics_keep_their_bound(built, dtype, weighted, level):
    """Off by at most (n + 6) * 2**-24 of the sum of the magnitudes of all terms, for n ids; and other bits."""
    spec, so = built(dtype, weighted, cpu=level, numerics="relaxed")
    random = np.random.default_rng(4)
    rows = {
        table.name: make_rows(random, table, 50, lambda shape: random.standard_normal(shape) * [0.01, 1])
        for table in spec.tables
    }
    model = trec.load(so, rows)
    assert model.info["numerics"] == "relaxed" and set(model.certified_lengths.values()) == {0}
    bags = np.concatenate([np.arange(0, 41), np.full(20, 20)])
    ids = random.integers(0, 50, bags.sum())
    weights = random.standard_normal(len(ids)).astype(np.float32) if weighted else None
    got = model.run_into(None, ids, bags, weights=weights)
    exact, magnitudes = exact_sums(spec, rows, ids, bags, weights)
    bound = (bags[:, None] + 6) * 2.0**-24 * magnitudes
    assert (np.abs(got - exact) <= bound).all()
    assert reference.different_elements(got, reference.forward(spec, rows, ids, bags, weights)) > 0


def exact_sums(spec, rows, ids, bags, weights):
    """In float64, whose own rounding is far below the bound; and those of the terms' magnitudes."""
    factors = np.ones(len(ids)) if weights is None else weights.astype(np.float64)
    bag_of = np.repeat(np.arange(len(bags)), bags)
    sums, magnitudes = [], []
    for table in spec.tables:
        stored = rows[table.name]
        header = stored[:, :HEADER_BYTES].copy().view(np.float16).astype(np.float64)
        used = row_bytes(table.embedding_dim, table.dtype, 1)
        codes = unpack_codes(stored[:, HEADER_BYTES:used], BITS[table.dtype], table.embedding_dim).astype(np.float64)
        products, biases = codes * header[:, :1], np.broadcast_to(header[:, 1:], codes.shape)
        for terms, into in ((products + biases, sums), (np.abs(products) + np.abs(biases), magnitudes)):
            total = np.zeros((len(bags), table.embedding_dim))
            scaled = factors if into is sums else np.abs(factors)
            np.add.at(total, bag_of, terms[ids] * scaled[:, None])
            into.append(total if table.pooling == "sum" else total / np.maximum(bags, 1)[:, None])
    return np.concatenate(sums, axis=1), np.concatenate(magnitudes, axis=1)


def test_relaxed_is_an_option_of_torch_modules_too():
    module = make_quantized()
    relaxed = trec.torch.compile(module, numerics="relaxed")
    assert relaxed.info["numerics"] == "relaxed"
    replaced = trec.torch.replace(torch.nn.Sequential(make_quantized()), numerics="relaxed")
    assert replaced[0].info["numerics"] == "relaxed"
    assert torch.allclose(relaxed(make_kjt()).values(), module(make_kjt()).values(), atol=1e-3)
