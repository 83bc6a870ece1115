"""The cases, as data: shapes that serve large models, and what is looked up in them."""

import random
from dataclasses import dataclass

from trec.spec import BAGS, SEQUENCE, ModelSpec, TableSpec, row_bytes

_DLRM_ROWS = (
    40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10, 2209, 11938, 155, 4, 976,
    14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36,
)  # fmt: skip
_DLRM_LENGTHS = (3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1)
_MILLION = 1_000_000


@dataclass(frozen=True)
class Case:
    """`tables` are (rows, dim, dtype), with a feature each; `lengths` the ids of a bag of each, or their mean."""

    name: str
    model: str
    tables: tuple[tuple[int, int, str], ...]
    lengths: tuple[int, ...]
    batch: int
    sets: int
    is_jagged: bool = False
    is_pooled: bool = True
    is_weighted: bool = False
    pooling: str = "sum"
    distribution: str = "uniform"
    rounds: int = 24

    def spec(self) -> ModelSpec:
        tables = [
            TableSpec(f"t{index}", rows, dim, dtype, [f"f{index}"], self.pooling)
            for index, (rows, dim, dtype) in enumerate(self.tables)
        ]
        kind = BAGS if self.is_pooled else SEQUENCE
        return ModelSpec(tables, weighted=self.is_weighted, output_dtype="float16", kind=kind)

    def strides(self) -> list[int]:
        return [row_bytes(dim, dtype, 16) for _, dim, dtype in self.tables]


def _uniform(dtype: str, dim: int, **options: object) -> list[Case]:
    suffix = "".join(f"-{name}" for name in options.pop("suffix", ()))  # type: ignore[attr-defined]
    model = f"A-{dtype}-D{dim}{suffix}"
    tables, lengths = ((_MILLION, dim, dtype),) * 64, (20,) * 64
    return [
        Case(f"{model}-{name}", model, tables, lengths, 2048, 8, distribution=name, **options)  # type: ignore[arg-type]
        for name in ("uniform", "zipf")
    ]


def _mixed() -> Case:
    draw = random.Random(20251)
    drawn = [
        (draw.choice([8, 16, 32, 64, 96, 128, 192, 256]), draw.choice(["int8", "int4", "fp16"]), draw.randint(1, 60))
        for _ in range(200)
    ]
    tables = tuple((500_000, dim, dtype) for dim, dtype, _ in drawn)
    return Case("C", "C", tables, tuple(length for _, _, length in drawn), 512, 6, is_jagged=True)


CASES = [
    *(case for dtype in ("int8", "int4", "fp16") for dim in (32, 64, 128, 256) for case in _uniform(dtype, dim)),
    *_uniform("int2", 128),
    *_uniform("int8", 128, is_weighted=True, suffix=("weighted",)),
    *_uniform("int8", 128, pooling="mean", suffix=("mean",)),
    *(
        Case(
            f"B-{dtype}-B{batch}", f"B-{dtype}", tuple((rows, 128, dtype) for rows in _DLRM_ROWS), _DLRM_LENGTHS, batch,
            sets, rounds=24 if batch > 512 else 60,
        )
        for dtype in ("int8", "int4")
        for batch, sets in ((1, 512), (64, 256), (512, 64), (2048, 16), (8192, 8))
    ),
    _mixed(),
    *(Case(f"D-B{batch}", "D", ((_MILLION, 64, "int8"),) * 10, (10,) * 10, batch, 256, rounds=60) for batch in (1, 16)),
    *(
        Case(f"E-{dtype}", f"E-{dtype}", ((_MILLION, 128, dtype),) * 16, (20,) * 16, 2048, 8, is_pooled=False)
        for dtype in ("int8", "int4")
    ),
]  # fmt: skip
