"""Compiled modules traced by torch.fx and scripted: the same bits, also from a saved program in another process."""

import copy
import gc
import io
import pickle
import subprocess
import sys
import textwrap
import weakref

import pytest
import torch
from conftest import (
    KEYS,
    SEQUENCE_KEYS,
    assert_same,
    assert_same_dicts,
    configs,
    make_kjt,
    make_quantized,
    make_sequence,
    rows_for,
    sequence_configs,
)
from test_torch_models import dlrm
from torchrec.fx import symbolic_trace
from torchrec.inference.modules import quantize_inference_model
from torchrec.modules.embedding_configs import DataType
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection
from torchrec.quant import embedding_modules as quant
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

import trec.torch
from trec.torch import graph

CPU = torch.device("cpu")


def make_processed():
    tables = configs()
    weights = {table.name: rows_for(table) for table in tables}
    torch.manual_seed(3)
    processor = PositionWeightedModuleCollection(dict.fromkeys(KEYS, 9))
    for parameter in processor.position_weights.values():
        torch.nn.init.normal_(parameter)
    return quant.FeatureProcessedEmbeddingBagCollection(
        tables, True, CPU, table_name_to_quantized_weights=weights, feature_processor=processor
    )


def packed_sequence():
    return make_sequence(sequence_configs(pages={"data_type": DataType.INT4}), need_indices=True)


KINDS = {
    "bags": (make_quantized, KEYS),
    "weighted": (lambda: make_quantized(weighted=True), KEYS),
    "split": (lambda: make_quantized(quant_state_dict_split_scale_bias=True), KEYS),
    "processed": (make_processed, KEYS),
    "sequence": (make_sequence, SEQUENCE_KEYS),
    "indices": (packed_sequence, SEQUENCE_KEYS),
}


@pytest.fixture(params=KINDS)
def case(request):
    """The original, the compiled module, and batches of permuted keys with others among them, and of no samples."""
    make, keys = KINDS[request.param]
    module = make()
    weighted = request.param == "weighted"
    batches = [make_kjt(keys, weighted=weighted), make_kjt([*keys[::-1], "other"], 5, weighted=weighted)]
    return module, trec.torch.compile(module), [*batches, make_kjt(keys, 0, weighted=weighted)]


def assert_equal(got, expected):
    (assert_same_dicts if isinstance(expected, dict) else assert_same)(got, expected)


def test_traced_and_scripted(case):
    module, compiled, batches = case
    traced, scripted = symbolic_trace(compiled), torch.jit.script(compiled)
    for batch in batches:
        expected = compiled(batch)
        assert_equal(traced(batch), expected)
        assert_equal(scripted(batch), expected)
    assert_equal(scripted(batches[0]), module(batches[0]))


def test_first_node_is_that_of_the_original(case):
    module, compiled, _ = case
    nodes = [node for node in symbolic_trace(compiled).graph.nodes if node.op == "call_function"]
    assert nodes[0].name == "_get_kjt_keys"


def save(scripted):
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    return buffer.getvalue()


def test_saved_and_loaded(case):
    _, compiled, batches = case
    loaded = torch.jit.load(io.BytesIO(save(torch.jit.script(compiled))))
    for batch in batches:
        assert_equal(loaded(batch), compiled(batch))


class Server(torch.nn.Module):
    """Tensors in and out, as a program is served."""

    def __init__(self, bags):
        super().__init__()
        self.bags = bags

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.bags(KeyedJaggedTensor(KEYS, values, lengths=lengths)).values()


def test_saved_for_another_process(tmp_path):
    compiled = trec.torch.compile(make_quantized())
    (tmp_path / "model.pt").write_bytes(save(torch.jit.script(symbolic_trace(Server(compiled)))))
    batch = make_kjt()
    torch.save([batch.values(), batch.lengths(), compiled(batch).values()], tmp_path / "batch.pt")
    code = """
        import torch
        import trec.torch
        values, lengths, expected = torch.load("batch.pt")
        assert torch.equal(torch.jit.load("model.pt")(values, lengths), expected)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=True)


def test_inside_a_model():
    """A leaf of the model's graph, and scripted with it."""
    torch.manual_seed(0)
    compiled = trec.torch.replace(quantize_inference_model(dlrm().eval()))
    traced = symbolic_trace(compiled)
    assert any(node.target == "sparse_arch.embedding_bag_collection" for node in traced.graph.nodes)
    scripted = torch.jit.script(traced)
    for batch in (1, 17):
        dense, sparse = torch.rand(batch, 13), make_kjt(["f0", "f1", "f2"], batch)
        with torch.inference_mode():
            assert torch.equal(scripted(dense, sparse), compiled(dense, sparse))


def test_rows_are_shared_with_the_module():
    compiled = trec.torch.compile(make_quantized())
    scripted = torch.jit.script(compiled)
    scripted(make_kjt())
    compiled.embedding_bags.ads.weight.zero_()
    compiled.embedding_bags.users.weight.view(torch.uint8).zero_()
    assert_same(scripted(make_kjt()), compiled(make_kjt()))
    assert not scripted(make_kjt())["user"].any()


def test_weights_by_position_are_shared_with_the_module():
    compiled = trec.torch.compile(make_processed())
    scripted = torch.jit.script(compiled)
    before = scripted(make_kjt()).values().clone()
    with torch.no_grad():
        compiled.feature_processor.position_weights["ad"].mul_(2)
    assert_same(scripted(make_kjt()), compiled(make_kjt()))
    assert not torch.equal(scripted(make_kjt()).values(), before)


def test_a_moved_program_is_bound_again():
    traced = symbolic_trace(trec.torch.compile(make_quantized()))
    expected = traced(make_kjt())
    for name, buffer in list(traced.named_buffers()):
        holder, _, name = name.rpartition(".")
        setattr(traced.get_submodule(holder), name, buffer.clone())
    assert_same(traced(make_kjt()), expected)
    traced.embedding_bags.ads.weight.zero_()
    assert not traced(make_kjt())["ad"].any()


def test_modules_go_with_their_programs():
    compiled = trec.torch.compile(make_quantized())
    scripted = torch.jit.script(compiled)
    scripted(make_kjt())
    library = compiled._library_tensor
    made = weakref.ref(graph._modules[library][1])
    assert made() is not None
    del scripted, compiled, library
    gc.collect()
    assert made() is None


def test_tracing_leaves_nothing_in_copies():
    compiled = trec.torch.compile(make_quantized())
    size = len(pickle.dumps(compiled))
    symbolic_trace(compiled)
    assert len(pickle.dumps(compiled)) == size
    assert_same(copy.deepcopy(compiled)(make_kjt()), compiled(make_kjt()))


def test_tables_of_different_dims():
    tables = sequence_configs(users={"embedding_dim": 16}, pages={"feature_names": ["page", "page"]})
    weights = {table.name: rows_for(table) for table in tables}
    compiled = trec.torch.CompiledEmbeddingCollection(tables, CPU, table_name_to_quantized_weights=weights)
    batch = make_kjt(SEQUENCE_KEYS)
    assert_same_dicts(torch.jit.script(compiled)(batch), compiled(batch))


def strided():
    return KeyedJaggedTensor(
        KEYS, torch.arange(5), lengths=torch.ones(5, dtype=torch.int64), stride_per_key_per_rank=[[1], [1], [1], [2]]
    )


def with_inverse_indices():
    inverse = KEYS, torch.zeros(4, 3, dtype=torch.int64)
    return KeyedJaggedTensor(KEYS, torch.arange(4), lengths=torch.ones(4, dtype=torch.int64), inverse_indices=inverse)


@pytest.mark.parametrize("make", [strided, with_inverse_indices])
@pytest.mark.parametrize("is_scripted", [False, True])
def test_batches_whose_keys_differ_are_refused(make, is_scripted):
    compiled = trec.torch.compile(make_quantized())
    program = torch.jit.script(compiled) if is_scripted else symbolic_trace(compiled)
    with pytest.raises(Exception, match="takes one number of samples for all keys, and no inverse_indices"):
        program(make())


def test_errors_keep_their_text():
    program = torch.jit.script(trec.torch.compile(make_quantized()))
    with pytest.raises(Exception, match="feature 'ad' is missing, the batch has keys"):
        program(make_kjt(KEYS[1:]))
    with pytest.raises(Exception, match="values: expected int32 or int64, got torch.float32"):
        batch = make_kjt()
        program(KeyedJaggedTensor(KEYS, batch.values().float(), lengths=batch.lengths()))
