"""The maps of managed collision modules, by which TorchRec sends raw ids to the rows of small tables.

At inference a MCHManagedCollisionModule looks an id up in a sorted list; an id that is not there goes to the last row.
That is a map of the kind `sorted`. What other modules do, or this one in training, is known to Python alone.
"""

from typing import Any, Optional

import torch
from torchrec.modules.mc_modules import MCHManagedCollisionModule

from trec.spec import SORTED, RemapSpec, TableSpec
from trec.torch.kinds import configs_of, refusal
from trec.torch.maps import Map

_IN_PYTHON = "use trec.torch.compile or replace, which run it in Python"


def modules_of(module: Any) -> dict[str, Any]:
    """The managed collision module of each table."""
    return dict(module._managed_collision_collection._managed_collision_modules.items())


def check_managed(module: Any, path: str) -> None:
    """Refuses collections in which TorchRec itself maps ids of one table by the module of another."""
    configs = configs_of(module)
    tables = [config.name for config in configs]
    if list(modules_of(module)) != tables:
        reason = f"its managed collision modules are of {list(modules_of(module))}, its tables are {tables}"
        raise refusal(path, None, reason, "give the modules in the order of the tables")
    owner: dict[str, str] = {}
    for config in configs:
        for feature in config.feature_names:
            if feature in owner:
                reason = f"feature '{feature}' is that of table '{owner[feature]}' too, whose ids it would get"
                raise refusal(path, config.name, reason, "give each table features of its own")
            owner[feature] = config.name


def _reason_to_refuse(managed: Any, table: TableSpec) -> Optional[tuple[str, str]]:
    kind = type(managed).__name__
    if type(managed) is not MCHManagedCollisionModule:
        return f"its ids go through {kind}, which is known to Python alone", _IN_PYTHON
    if managed.training:
        return f"its {kind} is in training and takes new ids in", "call eval() on the model first"
    if managed._input_hash_func is not None:
        return f"its {kind} hashes ids by a function in Python", _IN_PYTHON
    if managed._mch_sorted_raw_ids.device.type != "cpu":
        return f"its {kind} is on device '{managed._mch_sorted_raw_ids.device}'", "load its state on the CPU first"
    slots = managed._mch_sorted_raw_ids.numel()
    if managed._output_global_offset or slots != table.num_embeddings:
        begin = managed._output_global_offset
        reason = f"its {kind} maps ids to rows {begin} to {begin + slots - 1} of {table.num_embeddings}"
        return reason, "export the unsharded, unpruned table"
    return None


def managed_map(module: Any, path: str, table: TableSpec) -> Map:
    managed = modules_of(module)[table.name]
    reason = _reason_to_refuse(managed, table)
    if reason:
        raise refusal(path, table.name, *reason)
    entries = torch.stack([managed._mch_sorted_raw_ids, managed._mch_remapped_ids_mapping], dim=1)
    return Map(RemapSpec(f"remap.{table.name}", SORTED, entries.shape[0]), entries)
