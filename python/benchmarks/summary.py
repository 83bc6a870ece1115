"""From samples to numbers: quartiles, ratios by round, geometric means by family."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# What each peer is compared with: its like. The C interface also takes the place of a whole module.
BASELINES = {
    "trec": ("fbgemm", "torchrec"),
    "trec_certified": ("fbgemm", "torchrec", "trec"),
    "trec_huge": ("trec_map",),
    "trec_module": ("torchrec",),
    "aten": ("fbgemm",),
}


def quartiles(samples: Sequence[float]) -> dict[str, float]:
    low, middle, high = np.percentile(np.asarray(samples, np.float64), [25, 50, 75])
    return {"median": float(middle), "q1": float(low), "q3": float(high), "min": min(samples)}


def ratio(baseline: Sequence[float], peer: Sequence[float]) -> dict[str, float]:
    """How many times faster the peer is: quartiles of the ratios within each round.

    What slows the machine down for a while is in both samples of a round, and cancels out.
    """
    return quartiles([slow / fast for slow, fast in zip(baseline, peer)])


def geomean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def summarize(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each family, peer and baseline: the geometric mean over its cases, and the worst of them."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in records:
        for baseline in record.get("ratio", {}):
            groups.setdefault((record["family"], record["peer"], baseline), []).append(record)
    result = []
    for (family, peer, baseline), members in groups.items():
        ratios = [record["ratio"][baseline]["median"] for record in members]
        worst = members[int(np.argmin(ratios))]
        result.append(
            {
                "family": family,
                "peer": peer,
                "baseline": baseline,
                "cases": len(members),
                "geomean": geomean(ratios),
                "worst": min(ratios),
                "worst_case": worst["case"],
                "below_one": sum(value < 1 for value in ratios),
                "share_of_limit": geomean([record["share_of_limit"]["median"] for record in members]),
            }
        )
    return result
