"""What a run on a GPU leaves behind: JSON with everything, tables in Markdown, and records as the CPU's plot has them."""

from typing import Any, Optional

from benchmarks.cuda.cases import FAMILIES
from benchmarks.cuda.modules import FLOOR
from benchmarks.summary import quartiles, ratio, summarize
from benchmarks.timing import LIMIT

VERSION = 1
_PEERS = ("trec", "fbgemm", "fbgemm+check")


def case_entry(name: str, measured: dict[str, Any]) -> dict[str, Any]:
    """The samples of a case as quartiles, and trec's ratios, round by round."""
    entry = {"name": name, "family": name[0], **{key: measured[key] for key in ("compared", "absent") if key in measured}}
    for way in ("events", "graphs", "clock"):
        times = measured.get(way)
        if times:
            entry[way] = {peer: quartiles(samples) for peer, samples in times.items()}
    entry["ratio"] = {
        way: {peer: ratio(measured[way][peer], measured[way]["trec"]) for peer in _PEERS[1:]}
        for way in ("events", "graphs") if way in measured
    }  # fmt: skip
    if "limit" in measured:
        entry["limit"] = {**measured["limit"], "us": quartiles(measured["limit"]["us"])}
    return entry


def records_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """A record for each peer, of the times between events: what is plotted and summed up."""
    if "events" not in entry or "limit" not in entry:
        return []
    limit, rows = entry["limit"], entry["limit"]["rows"]

    def record(peer: str, us: dict[str, float], against: dict[str, Any]) -> dict[str, Any]:
        per_row = {name: value * 1000 / rows for name, value in us.items()}
        share = {name: limit["us"]["median"] / value for name, value in us.items()}
        return {
            "case": entry["name"], "family": entry["family"], "peer": peer, "ns_per_row": per_row, "us_per_call": us,
            "gb_per_s": limit["stored"] / us["median"] / 1e3, "share_of_limit": share, "ratio": against,
        }  # fmt: skip

    ratios = {"fbgemm": entry["ratio"]["events"]["fbgemm"]}
    return [
        record(LIMIT, limit["us"], {}),
        *(record(peer, entry["events"][peer], ratios if peer == "trec" else {}) for peer in _PEERS),
    ]


def as_document(about: dict[str, Any], entries: list[dict[str, Any]], failed: list[dict[str, str]]) -> dict[str, Any]:
    records = [record for entry in entries for record in records_of(entry)]
    return {
        "trec_gpu_bench_result": VERSION,
        "title": f"{about['device']}, {about['date'][:10]}, {about['compiled'].get('commit', '')[:12]}",
        **about,
        "cases": entries,
        "failed": failed,
        "records": records,
        "summary": summarize(records),
    }


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)] if rows else []


def _us(times: Optional[dict[str, float]]) -> str:
    if times is None:
        return ""
    return f"{times['median']:.{1 if times['median'] < 1000 else 0}f}"


def _times(values: Optional[dict[str, float]]) -> str:
    return "" if values is None else f"{values['median']:.2f}x"


def _device_rows(document: dict[str, Any]) -> list[list[str]]:
    rows = []
    for entry in document["cases"]:
        if "events" not in entry:
            continue
        events, graphs = entry["events"], entry.get("graphs", {})
        limit, ratios = entry.get("limit"), entry["ratio"]
        share = f"{100 * limit['us']['median'] / events['trec']['median']:.0f} %" if limit else ""
        speed = f"{limit['stored'] / events['trec']['median'] / 1e3:.0f}" if limit else ""
        rows.append(
            [
                entry["name"], *(_us(events[peer]) for peer in _PEERS), _times(ratios["events"]["fbgemm"]),
                _times(ratios["events"]["fbgemm+check"]), _us(limit["us"]) if limit else "", share, speed,
                _us(graphs.get("trec")), _us(graphs.get("fbgemm")), _times(ratios.get("graphs", {}).get("fbgemm")),
            ]  # fmt: skip
        )
    return rows


_DEVICE_HEAD = [
    "case", "trec µs", "FBGEMM µs", "with its check", "ratio", "to its check", "gather limit µs", "of limit", "GB/s",
    "trec in a graph", "FBGEMM", "ratio",
]  # fmt: skip


def _clock_lines(document: dict[str, Any]) -> list[str]:
    """What a call and the wait for it take; a column for each case."""
    timed = [entry for entry in document["cases"] if "clock" in entry]
    names = list(dict.fromkeys(name for entry in timed for name in entry["clock"]))
    rows = []
    for name in names:
        times = [entry["clock"].get(name) for entry in timed]
        rows.append([name, *map(_us, times)])
    above = [
        f"{entry['clock']['trec module']['median'] - entry['clock'][FLOOR]['median']:+.1f}"
        if "trec module" in entry["clock"] else ""
        for entry in timed
    ]  # fmt: skip
    if any(above):
        rows.append(["trec module above the floor", *above])
    return _table(["call and wait, µs", *(entry["name"] for entry in timed)], rows)


def _notes(document: dict[str, Any]) -> list[str]:
    notes = [
        f"- {entry['name']}: without {peer}: {reason}"
        for entry in document["cases"] for peer, reason in entry.get("absent", {}).items()
    ]  # fmt: skip
    return notes + [f"- {entry['name']}: {entry['reason']}" for entry in document["failed"]]


def _summary_rows(document: dict[str, Any]) -> list[list[str]]:
    return [
        [
            f"{entry['family']}: {FAMILIES[entry['family']]}", str(entry["cases"]), f"{entry['geomean']:.2f}x",
            f"{entry['worst']:.2f}x", entry["worst_case"], str(entry["below_one"]),
            f"{100 * entry['share_of_limit']:.0f} %",
        ]  # fmt: skip
        for entry in document["summary"]
    ]


def markdown(document: dict[str, Any]) -> str:
    compiled, versions = document["compiled"], document["versions"]
    lines = [
        "# Benchmark on a GPU", "",
        f"- {document['date']}, {document['device']}",
        f"- compiled for {compiled.get('gpu', 'unknown chips')} at commit {compiled.get('commit', 'unknown')[:12]}"
        + (" with uncommitted changes" if compiled.get("uncommitted_changes") else ""),
        "- " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        "- medians; a ratio is FBGEMM's time by trec's, the median of the rounds; trec always checks its ids",
        "", "## Summary", "",
        *_table(["cases", "number", "geomean", "worst", "worst case", "below 1.0x", "of limit"], _summary_rows(document)),
        "", "## On the device", "", *_table(_DEVICE_HEAD, _device_rows(document)),
    ]  # fmt: skip
    clock, notes = _clock_lines(document), _notes(document)
    lines += ["", "## By the host's clock", "", *clock] if clock else []
    lines += ["", "## Notes", "", *notes] if notes else []
    return "\n".join(lines) + "\n"
