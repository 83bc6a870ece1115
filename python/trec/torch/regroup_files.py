"""From the files of a regrouped model to its module.

Lookups write into the groups, so that nothing is left of the collections that the model was made of but what each
lookup reads. Tables that read one batch in one way are a collection again.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from trec.library import device_row_bytes
from trec.spec import BAGS, RegroupSpec
from trec.torch.build import POSITION_WEIGHTS, Target, build, parts_of_files, spec_of_metadata
from trec.torch.classes import class_for
from trec.torch.place import Place
from trec.torch.regrouped import RegroupParts


def _own_table(name: str) -> str:
    """Without the number that tells tables of one name apart; TorchRec has no dots in names."""
    return name.rpartition(".")[2]


@dataclass
class _Collection:
    batch: int
    weighting: str
    # What the metadata say of its lookups, one for each feature of a table.
    keys: list[dict[str, Any]] = field(default_factory=list)
    # By feature the model's parameter.
    position_weights: dict[str, str] = field(default_factory=dict)

    def takes(self, keys: list[dict[str, Any]]) -> bool:
        """Whether a table that is looked up so may be one of its own."""
        taken = {_own_table(key["table"]) for key in self.keys}
        return all(
            (key["batch"], key["weighting"]) == (self.batch, self.weighting)
            and _own_table(key["table"]) not in taken
            and self.position_weights.get(key["feature"], key.get("position_weights")) == key.get("position_weights")
            for key in keys
        )

    def add(self, keys: list[dict[str, Any]]) -> None:
        self.keys += keys
        for key in keys:
            if "position_weights" in key:
                self.position_weights[key["feature"]] = key["position_weights"]

    def names(self) -> dict[str, str]:
        """By the model's name of a table or parameter its own."""
        result = {key["table"]: _own_table(key["table"]) for key in self.keys}
        result |= {name: POSITION_WEIGHTS + feature for feature, name in self.position_weights.items()}
        return result | {key["remap"]: key["remap"] for key in self.keys if "remap" in key}

    def metadata(self, model: dict[str, Any], names: dict[tuple[str, str], str]) -> dict[str, Any]:
        """As those of a compiled collection; `names` has the keys of its outputs."""
        own, features = self.names(), {key["feature"] for key in self.keys}
        return {
            "kind": BAGS,
            "name": model["name"],
            "features": [name for name in model["batches"][self.batch]["features"] if name in features],
            "weighted": self.weighting == "sample",
            "bounds_check": model["bounds_check"],
            "output": {
                "dtype": model["output"]["dtype"],
                "keys": [
                    {**key, "table": own[key["table"]], "key": names[key["table"], key["feature"]]} for key in self.keys
                ],
            },
            **{
                kind: [{**item, "name": own[item["name"]]} for item in model[kind] if item["name"] in own]
                for kind in ("tables", "parameters")
            },
        }


def _collections_of(metadata: dict[str, Any]) -> list[_Collection]:
    """A table belongs to one of them with all of its features."""
    by_table: dict[str, dict[str, dict[str, Any]]] = {table["name"]: {} for table in metadata["tables"]}
    for key in metadata["output"]["keys"]:
        by_table[key["table"]].setdefault(key["feature"], key)
    result: list[_Collection] = []
    for found in by_table.values():
        keys = list(found.values())
        fitting = next((item for item in result if item.takes(keys)), None)
        if fitting is None:
            fitting = _Collection(keys[0]["batch"], keys[0]["weighting"])
            result.append(fitting)
        fitting.add(keys)
    return result


def _names_of_keys(collections: list[_Collection]) -> dict[tuple[str, str], str]:
    """By table and feature, unlike in all collections."""
    places = [(key["table"], key["feature"]) for item in collections for key in item.keys]
    features = [feature for _, feature in places]
    return {
        (table, feature): feature if features.count(feature) == 1 else f"{feature}@{table}" for table, feature in places
    }


def _numerics_of(metadata: dict[str, Any]) -> str:
    """The option that the model was compiled with."""
    on_gpu = metadata.get("gpu", {}).get("numerics")
    return "cpu" if on_gpu == "cpu" else str(metadata["numerics"])


def place_of(own: dict[str, str], arrays: dict[str, Any], metadata: dict[str, Any], place: Place) -> Place:
    """That of a collection's tables. The model's are placed together, by the names that they have there."""
    if place.gpu is None:
        return place
    widths = {table["name"]: device_row_bytes(table["row_bytes"]) for table in metadata["tables"]}
    sizes = {name: len(arrays[name]) * width for name, width in widths.items() if name in arrays}
    on_host = place.placement.on_host(sizes)
    tables = {own[name]: "host" if name in on_host else "device" for name in sizes if name in own}
    return replace(place, placement=replace(place.placement, tables=tables, device_bytes=None))


def regrouped_of_files(so: bytes, metadata: dict[str, Any], arrays: dict[str, Any], target: Target) -> RegroupParts:
    """The collections are compiled for `target`; they hold the rows, and run batches whose keys differ in size."""
    collections = _collections_of(metadata)
    keys = _names_of_keys(collections)
    target = replace(target, numerics=_numerics_of(metadata))
    specs, children, names = [], [], {}
    for index, item in enumerate(collections):
        own = item.names()
        described = item.metadata(metadata, keys)
        given = {own[name]: array for name, array in arrays.items() if name in own}
        spec = spec_of_metadata(described, given)
        place = place_of(own, arrays, metadata, target.place)
        parts = parts_of_files(build(spec, target), described, given, place)
        specs.append(spec)
        children.append(class_for(parts).of_parts(parts))
        names |= {name: (index, child) for name, child in own.items()}
    groups: dict[str, list[str]] = {group["key"]: [] for group in metadata["output"]["groups"]}
    ordered = list(groups.values())
    for key in metadata["output"]["keys"]:
        ordered[key["group"]].append(keys[key["table"], key["feature"]])
    batches = [item.batch for item in collections]
    spec = RegroupSpec(
        specs, batches, groups, metadata["name"], metadata["output"]["dtype"], metadata["bounds_check"]
    )
    return RegroupParts(so, spec, children, batches, names)
