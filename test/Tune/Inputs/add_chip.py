"""add_chip.py CACHE.json CHIP FIELD=VALUE: the cache with its GPU entries for another chip too, with another value."""

import json
import re
import sys

path, chip, change = sys.argv[1:]
field, value = change.split("=")
with open(path) as file:
    cache = json.load(file)
for entry in list(cache["gpu_entries"]):
    lowering = re.sub(rf"\b{field} = \d+", f"{field} = {value}", entry["lowering"])
    cache["gpu_entries"].append({**entry, "chip": chip, "lowering": lowering})
json.dump(cache, sys.stdout)
