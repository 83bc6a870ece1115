"""Every reason to refuse a module is provoked, has its row in lib/README.md, and says module, table, reason and remedy.

To add a refusal: a constant in python/trec/refusals.py, its row in the table, and a case here; to drop one, all three.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pytest
import torch
from conftest import configs, make_float, make_processed, make_quantized
from fbgemm_gpu.split_embedding_configs import SparseType
from test_managed import collection_of, configs_of, quantized, searching
from test_torch_fuse import Branching, GivenList, GivenTensors, UsedTwice, WithoutRegroup
from test_torch_regroup import GROUPS, make_weighted, regroup
from torchrec.distributed.types import ShardedModule
from torchrec.modules.embedding_configs import DataType, EmbeddingConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection as FloatBags
from torchrec.modules.embedding_modules import EmbeddingCollection as FloatSequence
from torchrec.modules.feature_processor_ import FeatureProcessorsCollection, PositionWeightedModuleCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection as FloatProcessed
from torchrec.modules.hash_mc_modules import HashZchManagedCollisionModule
from torchrec.modules.mc_modules import ManagedCollisionCollection
from torchrec.quant.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.quant.embedding_modules import FeatureProcessedEmbeddingBagCollection as QuantProcessed

import trec
import trec.torch
from trec.refusals import REFUSALS

CPU, META = torch.device("cpu"), torch.device("meta")
ROOT = Path(__file__).parents[2]
TYPES = "fp32, fp16, int8, int4, int2, bf16, fp8"
OUTPUTS = "float32, float16, bfloat16, uint8"


def export(module, folder, **options):
    return trec.export(module, folder / "out", **options)


@dataclass
class Case:
    """`values` are what the constant's placeholders stand for; the module is below a holder where `path` says so."""

    make: Callable[[], Any]
    table: Optional[str] = None
    values: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    path: str = "sparse"
    call: Callable[..., Any] = export
    # Of what is no module below the holder.
    place: str = ""

    def error(self, refusal):
        if self.place:
            return refusal.at_place(self.place, **self.values)
        return refusal.at(self.path, self.table, **self.values)


class Holder(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.sparse = inner


class MyFloatBags(FloatBags):
    pass


class MyBags(EmbeddingBagCollection):
    pass


class Sharded(ShardedModule):
    def __init__(self):
        torch.nn.Module.__init__(self)

    create_context = input_dist = compute = output_dist = unsharded_module_type = None


Sharded.__abstractmethods__ = frozenset()


class InPython(FeatureProcessorsCollection):
    def forward(self, features):
        return features


def changed(module, change):
    change(module)
    return module


def bags(tables=None, device=CPU, **arguments):
    return EmbeddingBagCollection(configs() if tables is None else tables, False, device, **arguments)


def float_bags(kind=FloatBags, device=CPU, **arguments):
    tables = configs(users={"pooling": PoolingType.SUM})
    for table in tables:
        table.data_type = DataType.FP32
    return kind(tables=tables, device=device, **arguments)


def float_processed(inner, processor=None):
    return FloatProcessed(inner, processor or PositionWeightedModuleCollection({"ad": 3}))


def around_identity():
    def change(module):
        module._embedding_bag_collection = torch.nn.Identity()

    return changed(float_processed(float_bags(is_weighted=True)), change)


def without_features():
    return changed(make_float(), lambda module: module.embedding_bag_configs()[0].feature_names.clear())


def virtual_quantized():
    def change(module):
        module._key_to_tables = {(pooling, True): tables for (pooling, _), tables in module._key_to_tables.items()}

    return changed(make_quantized(), change)


def virtual_float():
    return changed(make_float(), lambda module: setattr(module.embedding_bag_configs()[0], "use_virtual_table", True))


def of_format_nfp8():
    module = make_quantized()
    tbe = module._emb_modules[0]
    name, rows, dim, _, location = tbe.embedding_specs[0]
    stored = tbe.split_embedding_weights_with_scale_bias(0)
    tbe.embedding_specs[0] = (name, rows, dim, SparseType.NFP8, location)
    tbe.split_embedding_weights_with_scale_bias = lambda split_scale_bias_mode: stored
    return module


def of_other_fp8():
    module = make_quantized()
    tbe = module._emb_modules[0]
    tbe.max_float8_D, tbe.fp8_exponent_bits, tbe.fp8_exponent_bias = 8, 5, 7
    return module


def misaligned():
    return bags(configs(ads={"data_type": DataType.FP32, "embedding_dim": 1})[:1], row_alignment=3)


def pruned_past_end():
    return changed(make_float(), lambda module: setattr(module, "__emb_name_to_num_rows_post_pruning", {"ads": 41}))


def with_modes():
    return changed(make_quantized(), lambda module: setattr(module._emb_modules[0], "bounds_check_mode_int", 5))


def sequence_table(kind):
    return EmbeddingConfig(name="t", num_embeddings=4, embedding_dim=4, feature_names=["f"], data_type=kind)


def sequence(kind=DataType.INT8, **arguments):
    return EmbeddingCollection([sequence_table(kind)], CPU, **arguments)


def float_sequence():
    return FloatSequence(tables=[sequence_table(DataType.FP32)])


def managed(change, name="t3"):
    module = quantized()
    change(module._managed_collision_collection._managed_collision_modules[name])
    return module


def on_meta(module):
    module._mch_sorted_raw_ids = module._mch_sorted_raw_ids.to(META)


def in_reverse():
    tables = configs_of()
    modules = {table.name: searching(table.num_embeddings) for table in reversed(tables)}
    return quantized(collection=ManagedCollisionCollection(modules, tables))


def with_shared_feature():
    return changed(quantized(), lambda module: module.embedding_bag_configs()[1].feature_names.append("a"))


def hash_zch():
    module = HashZchManagedCollisionModule(zch_size=10, device=CPU, total_num_buckets=1)
    return quantized(collection=collection_of(configs_of(), t1=module.eval()))


def hashing():
    module = searching(7, input_hash_func=lambda ids, size: ids)
    return quantized(collection=collection_of(configs_of(), t2=module))


def with_fatal_check():
    def change(module):
        for tbe in module._emb_modules:
            tbe.bounds_check_mode_int = 0

    return changed(make_weighted(), change)


def replace_on_gpu(model, _):
    return trec.torch.replace(model, device="cuda", gpu="sm_90")


def regrouping(make, place, options=None, **values):
    """`make` gives the collections and the regroup."""
    return Case(make, None, values, options or {}, call=export_regroup, place=place)


def export_regroup(given, folder, **options):
    modules, groups = given
    return export(modules, folder, regroup=groups, **options)


def fusing(kind, place, **values):
    def replace(model, _):
        return trec.torch.replace(model, fuse_regroup=True)

    return Case(lambda: kind([make_quantized(), make_weighted()]), None, values, call=replace, place=place)


def reason_of_tracer():
    """In the words of torch.fx, which differ between releases."""
    with pytest.raises(torch.fx.proxy.TraceError) as caught:
        torch.fx.symbolic_trace(Branching([torch.nn.Identity(), torch.nn.Identity()]))
    return f"TraceError: {caught.value}"


UNTRACEABLE = reason_of_tracer()
INT8 = {"dtype": "int8"}
MCH = {"type": "MCHManagedCollisionModule"}
CASES = {
    "NOT_A_MODULE": [Case(lambda: "no module", values={"type": "str"}, path="")],
    "NO_COLLECTION": [Case(lambda: torch.nn.Linear(1, 1), values={"type": "Linear"}, path="")],
    "NOTHING_QUANTIZED": [
        Case(
            lambda: Holder(make_float()), values={"type": "Holder"}, path="",
            call=lambda module, _: trec.torch.replace(module),
        )
    ],
    "NOT_A_COLLECTION": [
        Case(
            lambda: Holder(make_quantized()), values={"type": "Holder"}, path="",
            call=lambda module, _: trec.torch.compile(module),
        )
    ],
    "SEVERAL_COLLECTIONS": [
        Case(
            lambda: torch.nn.ModuleList([make_quantized(), make_quantized()]), values={"names": "'0', '1'"}, path="",
            call=lambda module, folder: trec.compile(module, folder / "model.so"),
        )
    ],
    "SHARDED": [Case(Sharded, values={"type": "Sharded"})],
    "SUBCLASS": [
        Case(lambda: MyBags(configs(), False, CPU), values={"type": "MyBags"}),
        Case(
            lambda: float_processed(float_bags(MyFloatBags, is_weighted=True)), values={"type": "MyFloatBags"},
            options=INT8,
        ),
    ],
    "UNKNOWN_INSIDE": [Case(around_identity, values={"type": "Identity"}, options=INT8)],
    "MANAGED_ON_GPU": [Case(quantized, call=replace_on_gpu)],
    "TBES_ELSEWHERE": [
        Case(lambda: bags(register_tbes=True), values={"device": "cuda:0"}, call=replace_on_gpu)
    ],
    "NO_TABLES": [Case(lambda: bags([]))],
    "NO_FEATURES": [Case(without_features, "ads", options=INT8)],
    "POOLING": [Case(lambda: bags(configs(ads={"pooling": PoolingType.NONE})[:1]), "ads", {"pooling": "NONE"})],
    "VIRTUAL_TABLE": [Case(virtual_quantized, "ads"), Case(virtual_float, "ads", options=INT8)],
    "NOT_INITIALIZED": [Case(lambda: bags(device=META), "ads")],
    "OTHER_DEVICE": [Case(lambda: float_bags(device=META), "ads", {"device": "meta"}, INT8)],
    "STORED_TYPE": [Case(of_format_nfp8, "ads", {"type": "nfp8", "types": TYPES})],
    "FP8_FORMAT": [Case(of_other_fp8, "ads", {"bits": 5, "bias": 7})],
    "FLOAT_TYPE": [Case(lambda: make_float().double(), "ads", {"type": "torch.float64"}, INT8)],
    "ALIGNMENT": [Case(misaligned, "ads", {"alignment": 3, "row_bytes": 6, "dtype": "fp32", "element": 4})],
    "PRUNED_PAST_END": [Case(pruned_past_end, "ads", {"rows": 41, "limit": 40}, INT8)],
    "BOUNDS_MODES": [Case(with_modes, values={"modes": [1, 5]})],
    "NO_DTYPE": [Case(make_float, values={"types": TYPES})],
    "DTYPE_MISSING": [Case(make_float, "users", {"types": TYPES}, {"dtype": {"ads": "int8", "pages": "int8"}})],
    "DTYPE_UNKNOWN": [Case(make_float, "ads", {"dtype": "int3", "types": TYPES}, {"dtype": "int3"})],
    "DTYPE_CONFLICT": [
        Case(make_quantized, "users", {"dtype": "int4", "requested": "int8"}, {"dtype": {"users": "int8"}})
    ],
    "OUTPUT_UNKNOWN": [
        Case(make_float, values={"dtype": "int8", "types": OUTPUTS}, options={**INT8, "output_dtype": "int8"})
    ],
    "OUTPUT_CONFLICT": [
        Case(
            make_quantized, values={"dtype": "float32", "requested": "float16"}, options={"output_dtype": "float16"}
        )
    ],
    "OUTPUT_OF_BAGS": [
        Case(lambda: bags(output_dtype=torch.qint8), values={"dtype": "torch.qint8"}),
        Case(lambda: bags(output_dtype=torch.quint4x2), values={"dtype": "torch.quint4x2"}),
        Case(make_float, values={"dtype": "uint8"}, options={**INT8, "output_dtype": "uint8"}),
    ],
    "OUTPUT_OF_ROWS": [Case(lambda: sequence(output_dtype=torch.quint4x2), values={"dtype": "torch.quint4x2"})],
    "STORED_ROWS": [
        Case(lambda: sequence(DataType.INT4, output_dtype=torch.qint8), "t", {"dtype": "int4"}),
        Case(float_sequence, "t", {"dtype": "fp16"}, {"dtype": "fp16", "output_dtype": "uint8"}),
    ],
    "FIXED_UNKNOWN": [
        Case(
            make_quantized, options={"fixed_lengths": {"ad": 3, "zz": 2}}, place="fixed_lengths",
            values={"feature": "zz", "features": "ad, last_ad, page, user"},
        )
    ],
    "FIXED_LENGTH": [
        Case(
            make_quantized, options={"fixed_lengths": {"ad": length}}, place="fixed_lengths",
            values={"feature": "ad", "length": length, "longest": 2**31 - 1},
        )
        for length in (-1, 2**31, 2.0, True, "3", None)
    ],
    "FIXED_PAST_WEIGHTS": [
        Case(
            make_processed, options={"fixed_lengths": {"ad": 21}}, values={"feature": "ad", "length": 21, "count": 20}
        )
    ],
    "PROCESSOR": [
        Case(lambda: float_processed(float_bags(is_weighted=True), InPython()), None, {"type": "InPython"}, INT8),
        Case(lambda: QuantProcessed(configs(), True, CPU, feature_processor=InPython()), None, {"type": "InPython"}),
    ],
    "MANAGED_ORDER": [Case(in_reverse, values={"modules": ["t3", "t2", "t1"], "tables": ["t1", "t2", "t3"]})],
    "MANAGED_SHARED": [Case(with_shared_feature, "t2", {"feature": "a", "other": "t1"})],
    "MANAGED_KIND": [Case(hash_zch, "t1", {"type": "HashZchManagedCollisionModule"})],
    "MANAGED_TRAINING": [Case(lambda: quantized().train(), "t1", MCH)],
    "MANAGED_HASH": [Case(hashing, "t2", MCH)],
    "MANAGED_DEVICE": [Case(lambda: managed(on_meta), "t3", {**MCH, "device": "meta"})],
    "MANAGED_PART": [
        Case(
            lambda: managed(lambda module: setattr(module, "_output_global_offset", 30)), "t3",
            {**MCH, "begin": 30, "end": 59, "rows": 30},
        )
    ],
    "NOT_A_REGROUP": [regrouping(lambda: ([make_quantized()], GROUPS), "regroup", type="list")],
    "NOTHING_TO_REGROUP": [regrouping(lambda: ([], regroup()), "regroup")],
    "NO_GROUPS": [regrouping(lambda: ([make_quantized()], regroup([], [])), "KTRegroupAsDict")],
    "GROUP_TWICE": [
        regrouping(lambda: ([make_quantized()], regroup([["ad"], ["ad"]], ["a", "a"])), "KTRegroupAsDict", group="a")
    ],
    "GROUP_EMPTY": [
        regrouping(lambda: ([make_quantized()], regroup([["ad"], []])), "KTRegroupAsDict", group="other")
    ],
    "REGROUP_OTHER": [regrouping(lambda: ([torch.nn.Linear(1, 1)], regroup()), "module '0'", type="Linear")],
    "REGROUP_ROWS": [regrouping(lambda: ([make_quantized(), sequence()], regroup()), "module '1'")],
    "REGROUP_MANAGED": [regrouping(lambda: ([quantized()], regroup()), "module '0'")],
    "REGROUP_BATCHES": [
        regrouping(
            lambda: ([make_quantized(), make_weighted()], regroup()), "batches", {"batches": [0, 2]},
            count=2, batches=[0, 2],
        )
    ],
    "BATCHES_ALONE": [Case(make_quantized, options={"batches": [0]}, place="batches")],
    "KEY_TWICE": [
        regrouping(
            lambda: ([make_weighted(), make_weighted()], regroup([["shop"]], ["a"])),
            "KTRegroupAsDict, group 'a', key 'shop'", modules="'0' and '1'",
        )
    ],
    "KEY_MISSING": [
        regrouping(
            lambda: ([make_quantized()], regroup([["ad"], ["zz"]])), "KTRegroupAsDict, group 'other', key 'zz'",
            keys="ad, last_ad, page, user",
        )
    ],
    "REGROUP_UNUSED": [
        regrouping(lambda: ([make_quantized(), make_weighted()], regroup([["ad"]], ["a"])), "module '1'")
    ],
    "REGROUP_BOUNDS": [
        regrouping(
            lambda: ([make_quantized(), with_fatal_check()], regroup()), "module '1'", value="fatal", first="warning"
        )
    ],
    "REGROUP_OUTPUTS": [
        regrouping(
            lambda: ([make_quantized(), make_weighted(output_dtype=torch.float16)], regroup()), "module '1'",
            value="float16", first="float32",
        )
    ],
    "REGROUP_CAST": [
        regrouping(
            lambda: ([make_quantized(), make_weighted()], regroup(emb_dtype=DataType.BF16)), "module '0'",
            dtype="float32", wanted="bfloat16",
        )
    ],
    "FUSE_UNTRACEABLE": [fusing(Branching, "fuse_regroup", type="Branching", error=UNTRACEABLE)],
    "FUSE_NOTHING": [fusing(WithoutRegroup, "fuse_regroup", type="WithoutRegroup")],
    "FUSE_HIDDEN": [fusing(GivenList, "module 'regroup'")],
    "FUSE_OTHER": [fusing(GivenTensors, "module 'regroup'", node="second")],
    "FUSE_SHARED": [fusing(UsedTwice, "module 'regroup'", module="sparse.plain")],
}  # fmt: skip


def rows_of_table():
    text = (ROOT / "lib" / "README.md").read_text(encoding="utf-8")
    lines = text.partition("| refused | reason | remedy |")[2].partition("\n\n")[0].splitlines()
    return lines[2:]


def test_the_table_is_what_the_code_can_say():
    assert rows_of_table() == [refusal.row() for refusal in REFUSALS.values()]


def test_every_refusal_is_provoked():
    assert list(CASES) == list(REFUSALS)


def test_nothing_is_refused_elsewhere():
    for path in (ROOT / "python" / "trec").rglob("*.py"):
        if path.name not in ("refusals.py", "errors.py"):
            assert not re.search(r"\b(ExportError|Refusal)\(", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in CASES.items() for case in cases])
def test_refused(name, case, tmp_path):
    module = case.make()
    with pytest.raises(trec.ExportError) as caught:
        case.call(Holder(module) if case.path and not case.place else module, tmp_path, **case.options)
    assert str(caught.value) == str(case.error(REFUSALS[name]))
    place = case.place or (f"module '{case.path}'" if case.path else "module")
    assert str(caught.value).startswith(f"{place}, table '{case.table}': " if case.table else f"{place}: ")
    assert caught.value.table == case.table
    assert not list(tmp_path.iterdir())
