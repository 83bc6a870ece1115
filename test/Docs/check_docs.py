"""Checks of the documentation in .td files and READMEs.

    check_docs.py descriptions  each op, type, attribute and pass says what it is, and each op shows itself
    check_docs.py constraints   each numbered constraint has a negative test that is named by it
    check_docs.py examples      each mlir block goes through trec-opt --verify-roundtrip
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

# The files that declare everything; each includes the others of its kind.
ROOTS = ("include/trec/IR/TrecOps.td", "include/trec/Transforms/Passes.td", "include/trec/Conversion/Passes.td")
READMES = ("README.md", "lib/README.md", "test/README.md", "tools/README.md", "python/README.md",
           "python/benchmarks/README.md")
# TableGen's classes, the sigil of a name in IR, and the field that holds the name.
KINDS = (("Op", "trec.", "opName"), ("TypeDef", "!trec.", "mnemonic"), ("AttrDef", "#trec.", "mnemonic"),
         ("PassBase", "", "argument"))


@dataclass
class Definition:
    """One op, type, attribute or pass."""

    name: str
    summary: str
    description: str

    def constraints(self) -> list[int]:
        return [int(number) for number in re.findall(r"^\s*\* C(\d+):", self.description, re.MULTILINE)]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read_records(source: Path, td: str) -> dict:
    includes = run("llvm-config", "--includedir").stdout.strip()
    result = run("llvm-tblgen", "--dump-json", "-I", str(source / "include"), "-I", includes, str(source / td))
    if result.returncode:
        sys.exit(result.stderr)
    return json.loads(result.stdout)


def read_definitions(source: Path) -> list[Definition]:
    found: dict[str, Definition] = {}
    for td in ROOTS:
        records = read_records(source, td)
        for cls, sigil, field in KINDS:
            for key in records["!instanceof"].get(cls, ()):
                record = records[key]
                # Upstream's own definitions are included too.
                if cls != "PassBase" and not key.startswith("Trec_"):
                    continue
                name = sigil + record[field]
                found[name] = Definition(name, record["summary"] or "", record["description"] or "")
    return list(found.values())


def check_descriptions(source: Path, tests: Path) -> list[str]:
    problems = []
    for definition in read_definitions(source):
        summary = definition.summary
        if not summary or "\n" in summary or summary.endswith("."):
            problems.append(f"{definition.name}: expected a summary of one line without a full stop, got {summary!r}")
        if len(definition.description.split()) < 10:
            problems.append(f"{definition.name}: expected a description, got {definition.description.strip()!r}")
        if definition.name.startswith("trec.") and f"{definition.name} " not in "".join(blocks(definition.description)):
            problems.append(f"{definition.name}: expected an example that shows the op")
        numbers = definition.constraints()
        if numbers != list(range(1, len(numbers) + 1)):
            problems.append(f"{definition.name}: expected constraints C1, C2 and so on, got {numbers}")
    return problems


def read_labels(tests: Path) -> dict[str, list[str]]:
    """The labels of negative tests, such as `// trec.pool C1:`, with where they are."""
    labels: dict[str, list[str]] = {}
    for path in sorted([*tests.rglob("*.mlir"), *tests.rglob("*Test.cpp")]):
        text = path.read_text()
        # The tests of a pass may leave its name to their file.
        of_file = "trec-" + path.stem.removesuffix("-invalid") + " "
        parts = re.split(r"^(?=// -----|TEST)", text, flags=re.MULTILINE)
        for part in parts:
            if "expected-error" not in part and "EXPECT" not in part:
                continue
            for name, number in re.findall(r"^\s*// (?:([!#]?[\w.-]+) )?C(\d+):", part, re.MULTILINE):
                labels.setdefault(f"{name + ' ' if name else of_file}C{number}", []).append(str(path))
    return labels


def check_constraints(source: Path, tests: Path) -> list[str]:
    labels = read_labels(tests)
    wanted = [f"{definition.name} C{number}" for definition in read_definitions(source)
              for number in definition.constraints()]
    problems = [f"{label}: expected a negative test labelled '// {label}: …', got none"
                for label in wanted if label not in labels]
    for label, paths in labels.items():
        if label not in wanted:
            problems.append(f"{paths[0]}: expected a label of a constraint in a .td file, got {label}")
    return problems


def blocks(text: str) -> list[str]:
    return [textwrap.dedent(block) for block in re.findall(r"^[ ]*```mlir\n(.*?)^[ ]*```", text, re.DOTALL | re.MULTILINE)]


def check_examples(source: Path, tests: Path) -> list[str]:
    files = [*sorted((source / "include").rglob("*.td")), *(source / name for name in READMES)]
    problems, count = [], 0
    for path in files:
        for block in blocks(path.read_text()) if path.exists() else ():
            count += 1
            with tempfile.NamedTemporaryFile("w", suffix=".mlir") as file:
                file.write(block)
                file.flush()
                result = run("trec-opt", file.name, "--verify-roundtrip")
            if result.returncode:
                problems.append(f"{path}:\n{block}{result.stderr}")
    print(f"{count} examples")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    checks = {"descriptions": check_descriptions, "constraints": check_constraints, "examples": check_examples}
    parser.add_argument("check", choices=checks)
    parser.add_argument("source", type=Path, help="root of the project")
    parser.add_argument("--tests", type=Path, help="root of the tests, default: test")
    arguments = parser.parse_args()
    problems = checks[arguments.check](arguments.source, arguments.tests or arguments.source / "test")
    print("\n".join(problems) or f"{arguments.check}: all fine")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
