"""Reads the maps from ids to rows that FBGEMM's lookup modules carry for pruned tables.

What FBGEMM calls index remapping is set on a module of lookups for all of its tables: as one array, as one hash table,
or on the CPU as an object that only answers questions. Each table gets a map of its own.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple, Optional

import torch

from trec.spec import ARRAY, HASH_TABLE, RemapSpec
from trec.weights_file import Parameter

# As FBGEMM fills its own: half of the slots, in steps of 32.
_SLOTS_PER_ROW, _SLOT_STEP = 2, 32


class Map(NamedTuple):
    """A map and its entries: the module's own memory where that holds them as they are compiled."""

    spec: RemapSpec
    entries: torch.Tensor

    def parameter(self) -> Parameter:
        return Parameter(self.spec.name, self.entries.numpy())


def _make(table: str, kind: str, entries: torch.Tensor, num_ids: Optional[int] = None) -> Map:
    entries = entries.to(torch.int32).contiguous()
    return Map(RemapSpec(f"remap.{table}", kind, entries.shape[0], num_ids), entries)


def hash_table_of(rows: torch.Tensor, slots: int) -> torch.Tensor:
    """`int32[slots, 2]` filled by FBGEMM from `rows`, which has the row of each id, -1 for none."""
    table = torch.full((slots, 2), -1, dtype=torch.int32)
    ids = torch.arange(rows.numel(), dtype=torch.int32)
    offsets = torch.tensor([0, rows.numel()], dtype=torch.int32)
    torch.ops.fbgemm.pruned_hashmap_insert(ids, rows.to(torch.int32), offsets, table, torch.tensor([0, slots]))
    return table


def _num_ids(tbe: Any) -> list[int]:
    """By table the ids before pruning; FBGEMM keeps them by feature."""
    by_table = dict(zip(tbe.feature_table_map, tbe.original_rows_per_table.tolist()))
    return [by_table.get(table, specification[1]) for table, specification in enumerate(tbe.embedding_specs)]


def _of_object(tbe: Any, names: list[str]) -> Iterator[Optional[Map]]:
    """It gives its contents away by answering for every id."""
    counts = _num_ids(tbe)
    offsets = torch.tensor([0, *accumulate(counts)], dtype=torch.int32)
    ids = torch.cat([torch.arange(count, dtype=torch.int32) for count in counts])
    answers = torch.split(tbe.index_remapping_hash_table_cpu.lookup(ids, offsets), counts)
    for name, rows, specification in zip(names, answers, tbe.embedding_specs):
        if torch.equal(rows, torch.arange(specification[1], dtype=torch.int32)):
            # A table that had none among others that had.
            yield None
            continue
        stored = int((rows >= 0).sum())
        slots = -(-(_SLOTS_PER_ROW * max(stored, 1)) // _SLOT_STEP) * _SLOT_STEP
        yield _make(name, HASH_TABLE, hash_table_of(rows, slots), rows.numel())


def _of_hash_table(tbe: Any, names: list[str]) -> Iterator[Optional[Map]]:
    places = tbe.index_remapping_hash_table_offsets.tolist()
    for name, count, begin, end in zip(names, _num_ids(tbe), places, places[1:]):
        slots = tbe.index_remapping_hash_table[begin:end]
        yield _make(name, HASH_TABLE, slots, count) if len(slots) else None


def _of_array(tbe: Any, names: list[str]) -> Iterator[Optional[Map]]:
    places = tbe.index_remappings_array_offsets.tolist()
    for name, count, begin, end in zip(names, _num_ids(tbe), places, places[1:]):
        rows = tbe.index_remappings_array[begin:end]
        # A table has no map, or one of which every id is pruned.
        yield _make(name, ARRAY, rows) if len(rows) or not count else None


def maps_of(tbe: Any, names: list[str]) -> list[Optional[Map]]:
    """The map of each table of a lookup module, None where its ids are rows; in the order in which FBGEMM looks."""
    if tbe.index_remapping_hash_table_cpu is not None:
        return list(_of_object(tbe, names))
    if tbe.index_remapping_hash_table.numel():
        return list(_of_hash_table(tbe, names))
    if tbe.index_remappings_array.numel():
        return list(_of_array(tbe, names))
    return [None] * len(names)
