"""The cases, as data: shapes that serve large models, and what is looked up in them."""

import random
from dataclasses import dataclass, replace
from typing import Any

from trec.spec import BAGS, SEQUENCE, ModelSpec, TableSpec, row_bytes

_DLRM_ROWS = (
    40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10, 2209, 11938, 155, 4, 976,
    14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36,
)  # fmt: skip
_DLRM_LENGTHS = (3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1)
_MILLION = 1_000_000
FAMILIES = {
    "A": "64 tables of 1,000,000 rows, 2,048 samples, bags of 20",
    "B": "DLRM-DCNv2: 26 tables of 204 million rows, D=128, 214 lookups a sample in bags of 1 to 100",
    "C": "200 tables of 500,000 rows, D=8 to 256, INT8, INT4 and FP16, 512 samples, bags of 0 to 120",
    "D": "10 tables of 1,000,000 rows, D=64, INT8, bags of 10: what a call costs",
    "E": "16 tables of 1,000,000 rows, D=128, without pooling, 20 ids a sample",
    "F": "64 tables of 1 to 100 rows, INT8, 2,048 samples, bags of 20, and of 1 for what is no lookup",
    "G": "40 tables of 5,000 rows in bags of 5, one of 40 million in bags of 100, D=128, INT8, 2,048 samples",
}


@dataclass(frozen=True)
class Case:
    """`tables` are (rows, dim, dtype), with a feature each; `lengths` the ids of a bag of each, or their mean.

    Cases of one `model` share a compiled library. Where the case `is_fixed`, lengths are a promise that the library was
    compiled with. `is_called` ones are also timed as a user calls them: a torch
    module or the operator, and a wait for the GPU.
    """

    name: str
    model: str
    tables: tuple[tuple[int, int, str], ...]
    lengths: tuple[int, ...]
    batch: int
    sets: int
    is_jagged: bool = False
    is_fixed: bool = False
    is_pooled: bool = True
    is_weighted: bool = False
    is_called: bool = False
    pooling: str = "sum"
    distribution: str = "uniform"
    ids: str = "int32"
    output: str = "float16"
    rounds: int = 24

    @property
    def family(self) -> str:
        return self.name[0]

    def spec(self) -> ModelSpec:
        tables = [
            TableSpec(f"t{index}", rows, dim, dtype, [f"f{index}"], self.pooling)
            for index, (rows, dim, dtype) in enumerate(self.tables)
        ]
        kind = BAGS if self.is_pooled else SEQUENCE
        fixed = {f"f{index}": length for index, length in enumerate(self.lengths)} if self.is_fixed else {}
        return ModelSpec(
            tables, weighted=self.is_weighted, output_dtype=self.output, kind=kind, fixed_lengths=fixed
        )

    def strides(self) -> list[int]:
        return [row_bytes(dim, dtype, 16) for _, dim, dtype in self.tables]


def small(case: Case) -> Case:
    """The same shape for a CPU: to see that all of it runs, not to time it."""
    count = min(len(case.tables), 12)
    return replace(
        case, tables=tuple((min(rows, 1000), dim, dtype) for rows, dim, dtype in case.tables[:count]),
        lengths=case.lengths[:count], batch=min(case.batch, 32), sets=4, rounds=3,
    )  # fmt: skip


def _uniform(dtype: str, dim: int, suffix: str = "", **options: Any) -> list[Case]:
    name = f"A-{dtype}-D{dim}{suffix}"
    model = f"A-{dtype}-D{dim}" if options.keys() <= {"ids"} else name
    tables, lengths = ((_MILLION, dim, dtype),) * 64, (20,) * 64
    return [
        Case(f"{name}-{drawn}", model, tables, lengths, 2048, 8, distribution=drawn, **options)
        for drawn in ("uniform", "zipf")
    ]


def _dlrm(dtype: str, suffix: str = "", **options: Any) -> list[Case]:
    tables, model = tuple((rows, 128, dtype) for rows in _DLRM_ROWS), f"B-{dtype}{suffix}"
    return [
        Case(
            f"{model}-B{batch}", model, tables, _DLRM_LENGTHS, batch, sets, rounds=24 if batch > 512 else 60, **options
        )
        for batch, sets in ((1, 512), (16, 512), (64, 256), (512, 64), (2048, 16), (8192, 8))
    ]


def _mixed() -> list[Case]:
    draw = random.Random(20251)
    drawn = [
        (draw.choice([8, 16, 32, 64, 96, 128, 192, 256]), draw.choice(["int8", "int4", "fp16"]), draw.randint(1, 60))
        for _ in range(200)
    ]
    tables = tuple((500_000, dim, dtype) for dim, dtype, _ in drawn)
    first = Case("C", "C", tables, tuple(length for _, _, length in drawn), 512, 6, is_jagged=True)
    return [
        first, replace(first, name="C-int64", ids="int64"),
        replace(first, name="C-fp32", model="C-fp32", output="float32"),
        *(replace(first, name=f"C-B{batch}", batch=batch, sets=64, rounds=60) for batch in (1, 16)),
    ]  # fmt: skip


def _calls() -> list[Case]:
    tables, lengths = ((_MILLION, 64, "int8"),) * 10, (10,) * 10
    return [Case(f"D-B{batch}", "D", tables, lengths, batch, 256, rounds=60, is_called=True) for batch in (1, 16)]


def _sequences() -> list[Case]:
    def case(dtype: str, suffix: str = "", **options: Any) -> Case:
        tables, output = ((_MILLION, 128, dtype),) * 16, options.get("output", "float16")
        model = f"E-{dtype}" + ("-fp32" if output == "float32" else "")
        given = {"batch": 2048, "sets": 8, **options}
        return Case(f"E-{dtype}{suffix}", model, tables, (20,) * 16, is_pooled=False, **given)

    return [
        case("int8", is_called=True), case("int4"), case("int8", "-int64", ids="int64"),
        case("int8", "-fp32", output="float32"), case("int8", "-B16", batch=16, sets=64, rounds=60, is_called=True),
    ]  # fmt: skip


def _tiny() -> list[Case]:
    draw = random.Random(20252)
    rows = [draw.randint(1, 100) for _ in range(64)]

    def case(dim: int, length: int, suffix: str = "") -> Case:
        tables, model = tuple((count, dim, "int8") for count in rows), f"F-D{dim}"
        return Case(f"{model}{suffix}", model, tables, (length,) * 64, 2048, 8)

    return [case(128, 20), case(128, 1, "-L1"), case(32, 20), case(32, 1, "-L1")]


def _small_and_giant() -> list[Case]:
    tables = ((5000, 128, "int8"),) * 40 + ((40_000_000, 128, "int8"),)
    return [Case("G", "G", tables, (5,) * 40 + (100,), 2048, 8)]


CASES = [
    *(case for dtype in ("int8", "int4", "fp16") for dim in (32, 64, 128, 256) for case in _uniform(dtype, dim)),
    *_uniform("int2", 128),
    *_uniform("int8", 128, "-weighted", is_weighted=True),
    *_uniform("int8", 128, "-mean", pooling="mean"),
    *(case for dtype in ("int8", "int4", "fp16") for case in _uniform(dtype, 128, "-int64", ids="int64")),
    *(case for dtype in ("int8", "int4", "fp16") for case in _uniform(dtype, 128, "-fp32", output="float32")),
    *(case for dtype in ("int8", "int4") for case in _uniform(dtype, 128, "-fixed", is_fixed=True)),
    *_dlrm("int8"),
    *_dlrm("int4"),
    *_dlrm("int8", "-fixed", is_fixed=True),
    *_dlrm("int4", "-fixed", is_fixed=True),
    *_mixed(),
    *_calls(),
    *_sequences(),
    *_tiny(),
    *_small_and_giant(),
]


def find_cases(texts: list[str]) -> list[Case]:
    """Those with one of the texts in their name; a text that ends with $ must be the end of it. Without texts all."""

    def fits(name: str, text: str) -> bool:
        return name.endswith(text[:-1]) if text.endswith("$") else text in name

    return [case for case in CASES if not texts or any(fits(case.name, text) for text in texts)]
