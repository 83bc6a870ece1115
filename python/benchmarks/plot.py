"""A plot of a run: time against the gather limit, and how many times faster than the baseline, case by case."""

from pathlib import Path
from typing import Any

from benchmarks.timing import LIMIT
from trec.errors import ToolError

_COLORS = {
    "fbgemm": "tab:orange", "fbgemm+check": "tab:brown", "trec": "tab:blue", "trec_certified": "tab:green",
    "trec_map": "tab:olive", "trec_huge": "tab:purple", "trec_module": "tab:cyan", "torchrec": "tab:red",
    "aten": "gray",
}  # fmt: skip
_RATIOS = (
    ("trec", "fbgemm"), ("trec_certified", "fbgemm"), ("trec_huge", "trec_map"), ("trec_module", "torchrec"),
)  # fmt: skip


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ToolError("plots need matplotlib: pip install -r python/requirements-common.txt") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot


def write_plot(path: Path, document: dict[str, Any]) -> None:
    """SVG, PNG or whatever else the suffix says."""
    pyplot = _pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(15, 6.5), layout="constrained")
    _draw_times(left, document["records"])
    _draw_ratios(right, document["records"])
    figure.suptitle(document["title"])
    try:
        figure.savefig(path)
    except ValueError as error:
        raise ToolError(f"'{path}': {error}") from error
    finally:
        pyplot.close(figure)


def _place(record: dict[str, Any]) -> tuple[str, str]:
    return record["family"], record["case"]


def _draw_times(axes: Any, records: list[dict[str, Any]]) -> None:
    limits = {_place(record): record["ns_per_row"]["median"] for record in records if record["peer"] == LIMIT}
    for peer, color in _COLORS.items():
        mine = [record for record in records if record["peer"] == peer]
        if not mine:
            continue
        middle = [record["ns_per_row"]["median"] for record in mine]
        spread = [
            [m - record["ns_per_row"]["q1"] for m, record in zip(middle, mine)],
            [record["ns_per_row"]["q3"] - m for m, record in zip(middle, mine)],
        ]
        axes.errorbar(
            [limits[_place(record)] for record in mine], middle, yerr=spread, fmt="o", ms=4, lw=0.8, color=color,
            alpha=0.7, label=peer,
        )  # fmt: skip
    ends = [min(limits.values(), default=1), max(limits.values(), default=1)]
    axes.plot(ends, ends, color="black", lw=1, label="gather limit")
    axes.set(xscale="log", yscale="log", xlabel="gather limit, ns/row", ylabel="measured, ns/row (median, quartiles)")
    _plain_numbers(axes.xaxis, axes.yaxis)
    axes.legend()


def _plain_numbers(*axes: Any) -> None:
    """On a logarithmic axis 20 instead of 2 × 10¹."""
    from matplotlib.ticker import FuncFormatter

    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))


def _draw_ratios(axes: Any, records: list[dict[str, Any]]) -> None:
    """Ratios of trec, sorted within each family."""
    shown = [
        (record["family"], peer, baseline, record["ratio"][baseline])
        for peer, baseline in _RATIOS
        for record in records
        if record["peer"] == peer and baseline in record["ratio"]
    ]
    shown.sort(key=lambda entry: (entry[0], entry[1], entry[3]["median"]))
    for peer, baseline in _RATIOS:
        mine = [(place, entry[3]) for place, entry in enumerate(shown) if entry[1] == peer]
        if mine:
            middle = [values["median"] for _, values in mine]
            spread = [[v["median"] - v["q1"] for _, v in mine], [v["q3"] - v["median"] for _, v in mine]]
            axes.errorbar(
                [place for place, _ in mine], middle, yerr=spread, fmt="o", ms=4, lw=0.8, color=_COLORS[peer],
                label=f"{peer} to {baseline}",
            )  # fmt: skip
    axes.axhline(1, color="black", lw=1)
    families = list(dict.fromkeys(entry[0] for entry in shown))
    places = [[i for i, entry in enumerate(shown) if entry[0] == family] for family in families]
    axes.set_xticks([sum(p) / len(p) for p in places], families, rotation=40, ha="right")
    for members in places[1:]:
        axes.axvline(members[0] - 0.5, color="lightgray", lw=0.8)
    axes.set(yscale="log", ylabel="times as fast (median of rounds, quartiles)")
    _plain_numbers(axes.yaxis)
    if shown:
        axes.legend()
