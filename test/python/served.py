"""The archive, the batch and the outputs of test/Integration/CPU/without-python.test, which runs no Python itself.

`python test/python/served.py` writes them anew; test_served.py holds what is stored to what TorchRec gives.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch
from archives import save_traced
from conftest import make_processed, make_sequence
from torchrec.modules.feature_processor_ import PositionWeightedModuleCollection
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor, KeyedTensor

STORED = Path(__file__).resolve().parents[1] / "Integration/CPU/Inputs"
KEYS = ["ad", "last_ad", "page", "shared", "user"]
LENGTHS = [2, 0, 1, 1, 1, 3, 0, 2, 1, 3, 0, 1, 2, 2, 2]
IDS = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 3, 2, 38, 4, -1, 26, 4, 3, 3, 8]


class Model(torch.nn.Module):
    """Bags that are weighted by position, and rows of a sequence."""

    def __init__(self):
        super().__init__()
        processor = PositionWeightedModuleCollection({"user": 4, "page": 3, "last_ad": 5, "ad": 6})
        with torch.no_grad():
            for parameter in processor.parameters():
                parameter.copy_(torch.from_numpy(np.linspace(-1.5, 2.5, parameter.numel(), dtype=np.float32)))
        self.bags = make_processed(processor, register_tbes=True)
        self.sequence = make_sequence(register_tbes=True)

    def forward(self, batch: KeyedJaggedTensor) -> tuple[KeyedTensor, dict[str, JaggedTensor]]:
        return self.bags(batch), self.sequence(batch)


def make_batch():
    return KeyedJaggedTensor(KEYS, torch.tensor(IDS), lengths=torch.tensor(LENGTHS, dtype=torch.int32))


def write_archive(path):
    """Small, for it is stored: compressed, and without what only stack traces need."""
    with zipfile.ZipFile(save_traced(Model(), path)) as old:
        records = {name: old.read(name) for name in old.namelist() if not name.endswith(".debug_pkl")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name, data in records.items():
            new.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def _array(kind, name, values, form="{}"):
    rows = [", ".join(form.format(value) for value in values[i : i + 8]) for i in range(0, len(values), 8)]
    return f"static const {kind} {name}[] = {{\n    " + ",\n    ".join(rows) + "};\n"


def _bits(tensor):
    return tensor.contiguous().view(torch.int32).numpy().view(np.uint32).reshape(-1).tolist()


def header():
    model = Model()
    with torch.no_grad():
        pooled, jagged = model(make_batch())
    features = {
        "bags": list(dict.fromkeys(model.bags._feature_names)),
        "sequence": list(dict.fromkeys(model.sequence._feature_names)),
    }
    parts = [
        "/* clang-format off */",
        f"/* Written by test/python/served.py: a batch of the keys {', '.join(KEYS)}, and TorchRec's outputs. */",
        f"enum {{ NUM_SAMPLES = {len(LENGTHS) // len(KEYS)}, NUM_KEYS = {len(KEYS)}, NUM_OUTPUTS = {len(jagged)} }};",
        _array("int64_t", "ids", IDS),
        _array("int32_t", "lengths", LENGTHS),
        "/* The key of each feature of a model. */",
        *(_array("int32_t", f"{name}_slots", [KEYS.index(key) for key in keys]) for name, keys in features.items()),
        "/* Bits of float32. */",
        _array("uint32_t", "bags_expected", _bits(pooled.values()), "0x{:08x}"),
        "/* The rows of all outputs of the sequence, one after the other, and the elements that each output has. */",
        _array("int64_t", "sequence_elements", [rows.values().numel() for rows in jagged.values()]),
        _array(
            "uint32_t", "sequence_expected", [bits for rows in jagged.values() for bits in _bits(rows.values())],
            "0x{:08x}",
        ),
    ]  # fmt: skip
    return "\n".join(parts)


if __name__ == "__main__":
    (STORED / "served.h").write_text(header())
    write_archive(STORED / "served.pt")
