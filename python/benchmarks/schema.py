"""Reads case files: a JSON object, or a list of them, as in families/*.json.

Any value may be a list, and the case is multiplied out over it; only `tables`, `peers` and what is inside `cycle` are
lists already. Complaints name the file and the field, what was expected and what was found.
"""

import copy
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from benchmarks.case import (
    KINDS,
    PAGES,
    PEERS,
    ROWS,
    Case,
    Distribution,
    FixedLength,
    Length,
    Load,
    Model,
    NormalLength,
    Run,
    Table,
    UniformLength,
)
from benchmarks.fields import CaseError, Fields, choice, flag, integer, number, numbers, text
from trec.spec import BITS, OUTPUT_DTYPES

VERSION = 1
_DTYPES = tuple(name for name in BITS if name not in ("bf16", "fp8"))
_IDS = ("int32", "int64")
# Lists in these places are no axes.
_LISTS = ("tables", "peers", "cycle", "heavy_hitters")


def load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaseError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CaseError(f"{path}: not JSON: {error}") from error


def read_cases(documents: Any, place: str) -> list[Case]:
    """All cases of a parsed file."""
    if not isinstance(documents, list):
        return _read_document(documents, place)
    cases = []
    for index, document in enumerate(documents):
        cases += _read_document(document, f"{place}[{index}]")
    return cases


def _read_document(document: Any, place: str) -> list[Case]:
    if not isinstance(document, dict):
        raise CaseError(f"{place}: expected an object, got {json.dumps(document)}")
    return [_read_case(Fields(concrete, place)) for concrete in multiply_out(document, place)]


def multiply_out(document: dict[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """The document once for each choice of one element from every list that is an axis."""
    axes = list(_find_axes(document, ()))
    for path, values in axes:
        if not values:
            raise CaseError(f"{place}: {'.'.join(map(str, path))}: expected a value or some, got an empty list")
    for chosen in itertools.product(*(values for _, values in axes)):
        concrete = copy.deepcopy(document)
        for (path, _), value in zip(axes, chosen):
            owner = concrete
            for step in path[:-1]:
                owner = owner[step]
            owner[path[-1]] = value
        yield concrete


def _find_axes(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    if isinstance(value, dict):
        for name, field in value.items():
            if isinstance(field, list) and name not in _LISTS:
                yield (*path, name), field
            elif name == "tables" and isinstance(field, list):
                for index, group in enumerate(field):
                    yield from _find_axes(group, (*path, name, index))
            else:
                yield from _find_axes(field, (*path, name))


def _read_case(fields: Fields) -> Case:
    version = fields.get("trec_bench", integer(1))
    if version != VERSION:
        raise fields.wrong("trec_bench", f"version {VERSION}", version)
    fields.get("about", text, "")
    case = Case(
        family=fields.get("family", text),
        model=_read_model(fields.part("model")),
        load=_read_load(fields.part("load")),
        run=_read_run(fields.part("run", {})),
        label=fields.get("label", text, ""),
    )
    fields.finish()
    _check_together(case, fields)
    return case


def _read_model(fields: Fields) -> Model:
    tables: list[Table] = []
    for group in fields.parts("tables"):
        tables += _read_tables(group)
    kind = fields.get("kind", choice(*KINDS), "bags")
    if kind == "sequence":
        # As TorchRec puts them: by type, in the order in which types first come.
        types = list(dict.fromkeys(table.dtype for table in tables))
        tables.sort(key=lambda table: types.index(table.dtype))
    model = Model(
        tables=tuple(tables),
        kind=kind,
        pooling=fields.get("pooling", choice("sum", "mean"), "sum"),
        weighted=fields.get("weighted", flag, False),
        output=fields.get("output", choice(*OUTPUT_DTYPES), "float32"),
        row_alignment=fields.get("row_alignment", integer(1), 16),
        rows=fields.get("rows", choice(*ROWS), "random"),
    )
    fields.finish()
    return model


def _read_tables(fields: Fields) -> list[Table]:
    count = fields.get("count", integer(1), 1)
    rows = _cycle(fields, "rows", integer(1))
    dims = _cycle(fields, "dim", integer(1))
    dtypes = _cycle(fields, "dtype", choice(*_DTYPES))
    features = fields.get("features", integer(1), 1)
    fields.finish()
    tables = [Table(rows[i % len(rows)], dims[i % len(dims)], dtypes[i % len(dtypes)], features) for i in range(count)]
    for table in tables:
        # FBGEMM looks up whole bytes only.
        if table.dim * BITS[table.dtype] % 8:
            raise fields.wrong("dim", f"a dim whose {table.dtype} codes fill whole bytes", table.dim)
    return tables


def _cycle(fields: Fields, name: str, check: Any) -> tuple[Any, ...]:
    """One value for all tables, or `{"cycle": [...]}`, which gives table i the element i modulo its size."""
    value = fields.get(name, None)
    if not isinstance(value, dict):
        return (fields.get(name, check),)
    inner = fields.part(name)
    elements = inner.get("cycle", None)
    inner.finish()
    if not isinstance(elements, list) or not elements:
        raise inner.wrong("cycle", "a list that is not empty", elements)
    return tuple(inner.check("cycle", check, element) for element in elements)


def _read_load(fields: Fields) -> Load:
    load = Load(
        batch=fields.get("batch", integer(1)),
        length=_read_length(fields),
        ids=fields.get("ids", choice(*_IDS), "int64"),
        distribution=_read_distribution(fields),
    )
    fields.finish()
    return load


def _read_length(fields: Fields) -> Length:
    value = fields.get("length", None)
    if not isinstance(value, dict) or "cycle" in value:
        return FixedLength(_cycle(fields, "length", integer(0)))
    inner = fields.part("length")
    if "mean" in value:
        length: Length = NormalLength(inner.get("mean", number(0)), inner.get("sigma", number(0)))
    else:
        length = UniformLength(inner.get("min", integer(0)), inner.get("max", integer(0)))
        if length.low > length.high:
            raise inner.wrong("max", f"at least min, {length.low}", length.high)
    inner.finish()
    return length


def _read_distribution(fields: Fields) -> Distribution:
    if fields.get("distribution", None, "uniform") == "uniform":
        return Distribution()
    if not isinstance(fields.get("distribution", None), dict):
        expected = '"uniform" or {"zipf": exponent}'
        raise fields.wrong("distribution", expected, fields.get("distribution", None))
    inner = fields.part("distribution")
    distribution = Distribution(
        exponent=inner.get("zipf", number(0)),
        q=inner.get("q", number(0), 0.0),
        hitters=inner.get("heavy_hitters", numbers, ()),
    )
    inner.finish()
    if sum(distribution.hitters) > 1:
        raise inner.wrong("heavy_hitters", "probabilities that sum to at most 1", list(distribution.hitters))
    return distribution


def _read_run(fields: Fields) -> Run:
    peers: Optional[Any] = fields.get("peers", None, list(Run.peers))
    if not isinstance(peers, list) or not peers or not set(peers) <= set(PEERS):
        raise fields.wrong("peers", f"a list of some of {', '.join(PEERS)}", peers)
    run = Run(
        pages=fields.get("pages", choice(*PAGES), "small"),
        peers=tuple(name for name in PEERS if name in peers),
        seconds=fields.get("seconds", number(0), Run.seconds),
    )
    fields.finish()
    return run


def _check_together(case: Case, fields: Fields) -> None:
    """What single fields do not show."""
    model = case.model
    if model.kind == "sequence" and len({table.dim for table in model.tables}) > 1:
        raise fields.wrong("model", "tables of one dim, because the kind is sequence", "several")
    if model.kind != "bags" and model.weighted:
        raise fields.wrong("model.weighted", f"false, because the kind is {model.kind}", True)
    if model.output == "uint8" and (model.kind != "sequence" or {table.dtype for table in model.tables} != {"int8"}):
        raise fields.wrong("model.output", "uint8 of a sequence of int8 tables alone", model.output)
    if not case.load.length.longest:
        raise fields.wrong("load.length", "bags that are not all empty", 0)
    for table in model.tables:
        if model.row_bytes(table) < 4:
            raise fields.wrong("model.tables", "rows of at least 4 bytes", f"{model.row_bytes(table)} bytes")
        element = max(1, BITS[table.dtype] // 8)
        if not table.dtype.startswith("int") and model.row_bytes(table) % element:
            raise fields.wrong("model.row_alignment", f"a multiple of {element} for {table.dtype}", model.row_alignment)
