"""What a run leaves behind: JSON with everything, and tables in Markdown."""

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.fields import CaseError
from benchmarks.run import Result
from benchmarks.schema import load_json
from benchmarks.summary import summarize
from benchmarks.timing import LIMIT

VERSION = 1
_SCALAR = "FBGEMM runs its scalar path here: the ratios to it and to TorchRec are no claims about FBGEMM."


def as_document(about: dict[str, Any], results: list[Result]) -> dict[str, Any]:
    """One record for each case and peer; `cases` says what belongs to all records of a case."""
    # What is shown is what is written, and can be shown again.
    records = _rounded([record for result in results for record in result.records])
    machine, fbgemm = about["machine"], about["fbgemm"]
    return {
        "trec_bench_result": VERSION,
        "title": f"{machine['cpu']}, {about['threads']} thread(s), {about['date'][:10]}, {about['commit'][:12]}; "
        f"FBGEMM {fbgemm['state']}, {fbgemm['path']} path",
        **about,
        "ratios_are_claims": about["fbgemm"]["path"] == "vector",
        "cases": [
            {"name": result.case.name, "family": result.case.family, **result.about}
            for result in results
            if not result.skipped
        ],
        "skipped": [
            {"name": result.case.name, "family": result.case.family, "reason": result.skipped}
            for result in results
            if result.skipped
        ],
        "records": records,
        "summary": summarize(records),
    }


def joined(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Several runs on one machine as one."""
    lists = {name: [entry for each in documents for entry in each[name]] for name in ("cases", "skipped", "records")}
    claims = all(document["ratios_are_claims"] for document in documents)
    return {**documents[0], **lists, "ratios_are_claims": claims, "summary": summarize(lists["records"])}


def read_json(path: Path) -> dict[str, Any]:
    document = load_json(path)
    if not isinstance(document, dict) or document.get("trec_bench_result") != VERSION:
        raise CaseError(f"{path}: expected a result of --json, of version {VERSION}")
    return document


def _rounded(value: Any) -> Any:
    """Numbers have no more digits than times can be relied on."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _lines(document: dict[str, Any]) -> str:
    """A line for each field, and for each element of a list of objects."""
    fields = []
    for name, value in document.items():
        text = json.dumps(value, default=str)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(json.dumps(entry, default=str) for entry in value) + "\n ]"
        fields.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all: it is written again after each case."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(_lines(_rounded(document)), encoding="utf-8")
    os.replace(temporary, path)


def _with_quartiles(values: dict[str, float], digits: int, suffix: str = "") -> str:
    middle, low, high = (f"{values[name]:.{digits}f}" for name in ("median", "q1", "q3"))
    return f"{middle}{suffix} ({low}–{high})"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)] if rows else []


def _digits(nanoseconds: float) -> int:
    return 2 if nanoseconds < 10 else 1 if nanoseconds < 1000 else 0


def header_lines(document: dict[str, Any]) -> list[str]:
    machine, fbgemm = document["machine"], document["fbgemm"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    caches = ", ".join(f"{name} {size >> 10} KiB" for name, size in machine["caches"].items())
    lines = [
        f"{document['date']}, commit {document['commit'][:12]}"
        + (" with uncommitted changes" if document["uncommitted_changes"] else ""),
        f"{machine['cpu']}{' (virtual machine)' if machine['virtual'] else ''}, {machine['cores']} cores, {caches}; "
        f"THP {machine['transparent_huge_pages']}; load {machine['load_average']:.1f}",
        f"{versions}; FBGEMM on its {fbgemm['path']} path, {fbgemm['state']}; {document['threads']} thread(s), "
        f"{document['clock']} clock",
    ]
    return lines if document["ratios_are_claims"] else [*lines, f"**{_SCALAR}**"]


def _peer(record: dict[str, Any]) -> str:
    """With the share of bags that are added as exact sums, where there are any."""
    share = record.get("certified", {}).get("bags", 0)
    return f"{record['peer']} ({100 * share:.0f} % certified)" if share else record["peer"]


def case_lines(document: dict[str, Any], family: str) -> list[str]:
    """A row for each case and peer of a family: times, and how they compare."""
    members = [record for record in document["records"] if record["family"] == family]
    limits = {record["case"]: record for record in members if record["peer"] == LIMIT}
    rows = []
    for record in members:
        if record["peer"] == LIMIT:
            continue
        per_row, limit = record["ns_per_row"], limits[record["case"]]["ns_per_row"]["median"]
        against = [
            _with_quartiles(record["ratio"][name], 2, "x") if name in record["ratio"] else ""
            for name in ("fbgemm", "torchrec")
        ]
        cells = [
            record["case"], _peer(record), _with_quartiles(per_row, _digits(per_row["median"])),
            f"{record['us_per_call']['median']:.1f}", f"{record['gb_per_s']:.1f}", f"{limit:.{_digits(limit)}f}",
            f"{100 * record['share_of_limit']['median']:.0f} %", *against,
        ]  # fmt: skip
        rows.append(cells)
    head = ["case", "peer", "ns/row (quartiles)", "µs/call", "GB/s", "limit ns/row", "of limit", "to FBGEMM op"]
    return _table([*head, "to TorchRec"], rows)


def summary_lines(document: dict[str, Any]) -> list[str]:
    rows = [
        [
            entry["family"], entry["peer"], entry["baseline"], str(entry["cases"]), f"{entry['geomean']:.2f}x",
            f"{entry['worst']:.2f}x", entry["worst_case"], f"{entry['below_one']}",
            f"{100 * entry['share_of_limit']:.0f} %",
        ]
        for entry in document["summary"]
        if entry["peer"].startswith("trec")
    ]  # fmt: skip
    head = ["family", "peer", "against", "cases", "geomean", "worst", "worst case", "below 1.0x", "of limit"]
    below = sum(entry["below_one"] for entry in document["summary"] if entry["peer"].startswith("trec"))
    verdict = "No case below 1.0x." if not below else f"**{below} below 1.0x.**"
    if not document["ratios_are_claims"]:
        verdict = _SCALAR
    return [*_table(head, rows), "", verdict] if rows else []


def note_lines(document: dict[str, Any]) -> list[str]:
    """Where a case is not quite what it was asked to be, or was not run."""
    notes = []
    for case in document["cases"]:
        place = f"- {case['family']}: {case['name']}"
        if case["table_bytes"] > case["cache_bytes"] and not case["caches_left_between_reuses"]:
            notes.append(f"{place}: rows may still be in the caches when an index set comes again")
        if case["case"]["run"]["pages"] == "huge" and case["huge_page_bytes"] < case["table_bytes"] / 2:
            notes.append(f"{place}: {case['huge_page_bytes']} of {case['table_bytes']} bytes are on huge pages")
        notes += [f"{place}: without {peer}: {reason}" for peer, reason in case["absent_peers"].items()]
    notes += [f"- {entry['family']}: {entry['name']}: skipped: {entry['reason']}" for entry in document["skipped"]]
    return notes


def markdown(document: dict[str, Any]) -> str:
    lines = ["# Benchmark", "", *(f"- {line}" for line in header_lines(document)), "", "## Summary", ""]
    lines += summary_lines(document)
    for family in dict.fromkeys(record["family"] for record in document["records"]):
        lines += ["", f"## {family}", "", *case_lines(document, family)]
    notes = note_lines(document)
    if notes:
        lines += ["", "## Notes", "", *notes]
    return "\n".join(lines) + "\n"
