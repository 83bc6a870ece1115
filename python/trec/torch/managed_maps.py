"""The maps of managed collision modules, by which TorchRec sends raw ids to the rows of small tables.

At inference a MCHManagedCollisionModule looks an id up in a sorted list; an id that is not there goes to the last row.
That is a map of the kind `sorted`. What other modules do, or this one in training, is known to Python alone.
"""

from typing import Any

import torch
from torchrec.modules.mc_modules import MCHManagedCollisionModule

from trec import refusals
from trec.spec import SORTED, RemapSpec, TableSpec
from trec.torch.kinds import configs_of
from trec.torch.maps import Map


def modules_of(module: Any) -> dict[str, Any]:
    """The managed collision module of each table."""
    return dict(module._managed_collision_collection._managed_collision_modules.items())


def check_managed(module: Any, path: str) -> None:
    """Refuses collections in which TorchRec itself maps ids of one table by the module of another."""
    configs = configs_of(module)
    tables = [config.name for config in configs]
    if list(modules_of(module)) != tables:
        raise refusals.MANAGED_ORDER.at(path, modules=list(modules_of(module)), tables=tables)
    owner: dict[str, str] = {}
    for config in configs:
        for feature in config.feature_names:
            if feature in owner:
                raise refusals.MANAGED_SHARED.at(path, config.name, feature=feature, other=owner[feature])
            owner[feature] = config.name


def _check_module(managed: Any, path: str, table: TableSpec) -> None:
    """Refuses a module whose map is not that of the whole table, or changes."""
    place: dict[str, Any] = {"path": path, "table": table.name, "type": type(managed).__name__}
    if type(managed) is not MCHManagedCollisionModule:
        raise refusals.MANAGED_KIND.at(**place)
    if managed.training:
        raise refusals.MANAGED_TRAINING.at(**place)
    if managed._input_hash_func is not None:
        raise refusals.MANAGED_HASH.at(**place)
    device = managed._mch_sorted_raw_ids.device
    if device.type != "cpu":
        raise refusals.MANAGED_DEVICE.at(**place, device=device)
    slots, begin = managed._mch_sorted_raw_ids.numel(), managed._output_global_offset
    if begin or slots != table.num_embeddings:
        raise refusals.MANAGED_PART.at(**place, begin=begin, end=begin + slots - 1, rows=table.num_embeddings)


def managed_map(module: Any, path: str, table: TableSpec) -> Map:
    managed = modules_of(module)[table.name]
    _check_module(managed, path, table)
    entries = torch.stack([managed._mch_sorted_raw_ids, managed._mch_remapped_ids_mapping], dim=1)
    return Map(RemapSpec(f"remap.{table.name}", SORTED, entries.shape[0]), entries)
