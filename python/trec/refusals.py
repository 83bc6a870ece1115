"""Every reason for which `trec.export`, `trec.compile` and `trec.torch` refuse a module, with the remedy.

Everything that trec cannot compile is refused before a byte is written, with the module's qualified name and the table
where there is one. No ExportError is made elsewhere: the table in lib/README.md has one row for each of these, and a
test provokes every row.
"""

import re
from dataclasses import dataclass
from typing import Any, Optional

from trec.errors import ExportError


@dataclass(frozen=True)
class Refusal:
    """`reason` and `remedy` are format strings."""

    case: str
    reason: str
    remedy: str

    def at(self, path: str, table: Optional[str] = None, **values: Any) -> ExportError:
        """The error for the module with this qualified name, empty for the root."""
        place = f"module '{path}'" if path else "module"
        error = self.at_place(f"{place}{f', table {table!r}' if table else ''}", **values)
        error.table = table
        return error

    def at_place(self, place: str, **values: Any) -> ExportError:
        """For what is no module: an argument, or a group of a regroup."""
        return ExportError(f"{place}: " + f"{self.reason}; {self.remedy}".format(**values))

    def row(self) -> str:
        """As it stands in the table."""
        shown = re.sub(r"\{\w+\}", "…", f"| {self.case} | {self.reason} | {self.remedy} |")
        return shown.replace("……", "…")


_OTHER_CLASS = "compile a plain collection"
_ON_CPU = "load its weights on the CPU first"
_IN_PYTHON = "use trec.torch.compile or replace, which run it in Python"
_FLOAT_INSTEAD = "leave {option} out or pass the float module"

# What is given.
NOT_A_MODULE = Refusal("no module", "expected a torch.nn.Module, got {type}", "pass the model itself")
NO_COLLECTION = Refusal("no collection inside", "{type} holds no embedding collection", "pass a model with one")
NOTHING_QUANTIZED = Refusal(
    "`replace` of a float model without `dtype=`", "{type} holds no quantized collection", "quantize it or pass dtype="
)
NOT_A_COLLECTION = Refusal(
    "`trec.torch.compile` of a model", "expected an embedding collection, got {type}", "use trec.torch.replace"
)
SEVERAL_COLLECTIONS = Refusal(
    "`trec.compile` of a model with several collections",
    "it holds several collections, {names}",
    "compile them one by one",
)
SHARDED = Refusal("sharded module", "{type} is sharded", "compile the unsharded module")
SUBCLASS = Refusal("subclass of a collection", "{type} is a subclass whose forward may differ", _OTHER_CLASS)
UNKNOWN_INSIDE = Refusal("feature processor around another module", "{type} is not known", _OTHER_CLASS)

MANAGED_ON_GPU = Refusal(
    "managed collision on a GPU", "its ids are mapped on the CPU", "compile it with device='cpu', or use trec.export"
)
TBES_ELSEWHERE = Refusal(
    "registered TBEs on the CPU for a GPU",
    "its TBEs are children, and are not on {device}",
    "move the module there first, or leave register_tbes out",
)

# Tables and rows.
NO_TABLES = Refusal("no tables", "it has no tables", "give it one")
NO_FEATURES = Refusal("table without features", "it has no features", "name at least one or drop the table")
POOLING = Refusal(
    "pooling NONE", "pooling {pooling} gives one row per id", "use an EmbeddingCollection, or SUM or MEAN"
)
VIRTUAL_TABLE = Refusal("virtual table", "virtual tables hold no rows in memory", "set use_virtual_table=False")
NOT_INITIALIZED = Refusal("weights not there yet", "its weights are not on the CPU", _ON_CPU)
OTHER_DEVICE = Refusal("weights on another device", "its weights are on device '{device}'", _ON_CPU)
STORED_TYPE = Refusal("other row format", "weights of type {type}", "quantize to one of {types}")
FP8_FORMAT = Refusal(
    "other fp8 format", "fp8 of {bits} bits of exponent with bias {bias}", "use 4 bits with bias 7"
)
FLOAT_TYPE = Refusal("other float type", "weights of type {type}", "convert them to float32 or float16")
ALIGNMENT = Refusal(
    "`row_alignment` that splits an element",
    "row_alignment {alignment} makes rows of {row_bytes} bytes, which FBGEMM misreads for {dtype}",
    "use a multiple of {element}",
)
PRUNED_PAST_END = Refusal(
    "pruned to more rows than there are", "it is to be pruned to {rows} rows", "expected 0 to {limit}"
)
BOUNDS_MODES = Refusal(
    "bounds check modes that differ or are unknown", "bounds check modes {modes}", "pass bounds_check="
)

# What is asked for.
NO_DTYPE = Refusal(
    "float collection without `dtype=`",
    "a float collection has no row format",
    "pass dtype=, one of {types} or a dict by table",
)
DTYPE_MISSING = Refusal("`dtype=` without this table", "dtype names no type for it", "expected one of {types}")
DTYPE_UNKNOWN = Refusal("`dtype=` of another name", "dtype '{dtype}'", "expected one of {types}")
DTYPE_CONFLICT = Refusal(
    "`dtype=` against a quantized table",
    "it is quantized to {dtype} already, dtype is '{requested}'",
    _FLOAT_INSTEAD.format(option="dtype"),
)
OUTPUT_UNKNOWN = Refusal("`output_dtype=` of another name", "output_dtype '{dtype}'", "expected one of {types}")
OUTPUT_CONFLICT = Refusal(
    "`output_dtype=` against a quantized module",
    "its outputs are {dtype} already, output_dtype is '{requested}'",
    _FLOAT_INSTEAD.format(option="output_dtype"),
)
OUTPUT_OF_BAGS = Refusal(
    "int8 or int4 output of bags",
    "output type {dtype}, for which FBGEMM's bags are undefined",
    "use float32, float16 or bfloat16",
)
OUTPUT_OF_ROWS = Refusal(
    "int4 output of rows",
    "output type {dtype}, for which FBGEMM's rows are undefined",
    "use float32, float16, bfloat16, or uint8 for stored rows of int8",
)
STORED_ROWS = Refusal(
    "int8 output of rows that are not INT8",
    "outputs of uint8 are stored rows of int8, its own are of {dtype}",
    "use float32, float16 or bfloat16",
)

FIXED_UNKNOWN = Refusal(
    "`fixed_lengths=` of a feature that there is not",
    "no collection has the feature '{feature}'",
    "name some of {features}",
)
FIXED_LENGTH = Refusal(
    "`fixed_lengths=` of another kind",
    "feature '{feature}' has the length {length}",
    "expected an integer of 0 to {longest}",
)
FIXED_PAST_WEIGHTS = Refusal(
    "`fixed_lengths=` above the weights by position",
    "feature '{feature}' has {count} position weights, its fixed length is {length}",
    "expected at most as many ids as weights",
)

# Feature processors and managed collision.
PROCESSOR = Refusal(
    "`trec.export` of a feature processor in Python",
    "its feature processor {type} runs in Python",
    "use trec.torch.compile or replace, or position weights of every feature",
)
MANAGED_ORDER = Refusal(
    "managed collision modules in another order",
    "its managed collision modules are of {modules}, its tables are {tables}",
    "give the modules in the order of the tables",
)
MANAGED_SHARED = Refusal(
    "managed collision of a feature in two tables",
    "feature '{feature}' is that of table '{other}' too, whose ids it would get",
    "give each table features of its own",
)
MANAGED_KIND = Refusal(
    "`trec.export` of another managed collision module",
    "its ids go through {type}, which is known to Python alone",
    _IN_PYTHON,
)
MANAGED_TRAINING = Refusal(
    "`trec.export` of managed collision in training",
    "its {type} is in training and takes new ids in",
    "call eval() on the model first",
)
MANAGED_HASH = Refusal(
    "`trec.export` of managed collision with a hash function",
    "its {type} hashes ids by a function in Python",
    _IN_PYTHON,
)
MANAGED_DEVICE = Refusal(
    "`trec.export` of managed collision on another device",
    "its {type} is on device '{device}'",
    "load its state on the CPU first",
)
MANAGED_PART = Refusal(
    "`trec.export` of a part of managed collision",
    "its {type} maps ids to rows {begin} to {end} of {rows}",
    "export the unsharded, unpruned table",
)

# Regroup.
NOT_A_REGROUP = Refusal("`regroup=` of another kind", "expected a KTRegroupAsDict, got {type}", "pass the model's own")
NOTHING_TO_REGROUP = Refusal(
    "regroup of no collections", "expected at least one collection to regroup, got none", "pass a list of them"
)
NO_GROUPS = Refusal("regroup without groups", "it has no groups", "give it one")
GROUP_TWICE = Refusal(
    "regroup with two groups of one name", "two groups are named '{group}', and one would be lost", "rename one"
)
GROUP_EMPTY = Refusal("regroup with an empty group", "group '{group}' has no keys", "drop it or give it one")
REGROUP_OTHER = Refusal(
    "regroup of another module", "{type} is no embedding collection", "pass the collections alone"
)
REGROUP_ROWS = Refusal(
    "regroup without pooling",
    "without pooling there is no KeyedTensor to regroup",
    "use an EmbeddingBagCollection, or leave it out",
)
REGROUP_MANAGED = Refusal(
    "regroup of managed collision",
    "with the KeyedTensor it returns the remapped features",
    "use trec.torch.replace, and KTRegroupAsDict behind it",
)
REGROUP_BATCHES = Refusal(
    "`batches=` that does not number the arguments",
    "expected for each of the {count} collections the argument that it reads, got {batches}",
    "number them from 0 and without gaps",
)
BATCHES_ALONE = Refusal("`batches=` without `regroup=`", "expected with regroup alone", "leave it out")
KEY_TWICE = Refusal(
    "regroup of a key that several outputs have",
    "several outputs of modules {modules} have this key",
    "rename the features",
)
KEY_MISSING = Refusal("regroup of a missing key", "no collection has this key", "use one of {keys}")
REGROUP_UNUSED = Refusal(
    "regroup that uses nothing of a collection", "none of its keys is in a group", "leave the collection out"
)
REGROUP_BOUNDS = Refusal(
    "regroup of different bounds checks",
    "its bounds check is {value}, that of module '0' is {first}",
    "pass bounds_check=",
)
REGROUP_OUTPUTS = Refusal(
    "regroup of different output types",
    "its output type is {value}, that of module '0' is {first}",
    "give all one output type, as TorchRec needs, or set emb_dtype",
)
REGROUP_CAST = Refusal(
    "regroup with a cast other than float32 to float16",
    "KTRegroupAsDict casts its output from {dtype} to {wanted}",
    "leave emb_dtype out, or set it to the output type",
)
FUSE_UNTRACEABLE = Refusal(
    "`fuse_regroup` of a model that cannot be traced",
    "{type} cannot be traced by torch.fx ({error})",
    "leave out fuse_regroup, or use trec.torch.compile([...], regroup=...) where the model calls its collections",
)
FUSE_NOTHING = Refusal("`fuse_regroup` of a model without one", "{type} calls no KTRegroupAsDict", "leave it out")
FUSE_HIDDEN = Refusal(
    "`fuse_regroup` of tensors that are not listed",
    "its KeyedTensors are no list that can be seen",
    "pass it a list of outputs",
)
FUSE_OTHER = Refusal(
    "`fuse_regroup` of other tensors",
    "'{node}' is no output of a collection",
    "regroup outputs of collections alone",
)
FUSE_SHARED = Refusal(
    "`fuse_regroup` of an output that others use",
    "the output of module '{module}' is also used by others, or it is called again",
    "leave out fuse_regroup",
)

REFUSALS: dict[str, Refusal] = {name: value for name, value in list(globals().items()) if isinstance(value, Refusal)}
