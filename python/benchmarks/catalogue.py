"""Where cases come from: the project's families, and files of the user's."""

from pathlib import Path

from benchmarks.case import Case
from benchmarks.fields import CaseError
from benchmarks.schema import load_json, read_cases
from benchmarks.tbe_spec import SpecTypes, is_shapes, is_tbe_spec, read_shapes, read_tbe_spec

FAMILIES = Path(__file__).resolve().parent / "families"
# A selection from the others, not a family of its own.
QUICK = "quick"


def family_names() -> list[str]:
    return sorted(path.stem for path in FAMILIES.glob("*.json") if path.stem != QUICK)


def find_cases(path: Path, types: SpecTypes) -> list[Case]:
    """The cases of a file, whichever format it is in."""
    document = load_json(path)
    if is_tbe_spec(document):
        return read_tbe_spec(document, path.name, types)
    if is_shapes(document):
        return read_shapes(document, path.name, types)
    return read_cases(document, path.name)


def distinct(cases: list[Case]) -> list[Case]:
    """Each case once; two that differ must differ in their names, for results go by these."""
    by_name: dict[tuple[str, str], Case] = {}
    for case in cases:
        if by_name.setdefault((case.family, case.name), case) != case:
            raise CaseError(f"two cases are called '{case.family}: {case.name}', give one of them a label")
    return list(by_name.values())
