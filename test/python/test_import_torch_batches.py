"""trec-import-torch: batches of tables whose attributes are not what FBGEMM makes."""

from typing import Optional

import pytest
import torch
from archives import TABLE_BATCH, assert_refused, run, save_traced
from conftest import make_quantized
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor


class FakeBatch(torch.nn.Module):
    """Attributes of a table batch without its code, so that they can be of any type."""

    def forward(
        self, indices: torch.Tensor, offsets: torch.Tensor, per_sample_weights: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        return indices


FakeBatch.__name__ = TABLE_BATCH
FakeBatch.__module__ = "fbgemm_gpu.split_table_batched_embeddings_ops_inference"

BATCH_ATTRIBUTES = (
    "embedding_specs", "feature_table_map", "weights_physical_offsets", "weights_host", "weights_dev", "host_size",
    "pooling_mode", "output_dtype", "bounds_check_mode_int", "row_alignment", "scale_bias_size_in_bytes",
    "index_remappings_array", "index_remapping_hash_table", "index_remapping_hash_table_cpu",
    "index_remappings_array_offsets", "index_remapping_hash_table_offsets", "original_rows_per_table",
)  # fmt: skip


def save_fakes(path, changes):
    """A collection whose first table batch has other attributes."""
    module = make_quantized(register_tbes=True)
    for index, real in enumerate(module.tbes):
        fake = FakeBatch()
        for name in BATCH_ATTRIBUTES:
            setattr(fake, name, getattr(real, name))
        fake.pooling_mode = int(real.pooling_mode)
        if index == 0:
            for name, make in changes.items():
                setattr(fake, name, make(real))
        module.tbes[index] = fake
        module._emb_modules[index] = fake
    return save_traced(module, path)


def fp8_specs(batch):
    return [(*spec[:3], type(spec[3]).FP8, spec[4]) for spec in batch.embedding_specs]


def remapped(what, expected, rows=(9, 5), array=14, places=(0, 9, 14)):
    """An array of so many entries, for tables of so many ids; the first has two features."""
    return {what: ({
        "original_rows_per_table": lambda b: torch.tensor([rows[0], *rows]),
        "index_remappings_array": lambda b: array if isinstance(array, torch.Tensor) else torch.zeros(array).int(),
        "index_remappings_array_offsets": lambda b: torch.tensor(places),
    }, expected)}  # fmt: skip


def hashed(what, expected, table):
    return {what: ({
        "original_rows_per_table": lambda b: torch.tensor([9, 9, 5]),
        "index_remapping_hash_table": lambda b: table,
        "index_remapping_hash_table_offsets": lambda b: torch.tensor([0, 9, 14]),
    }, expected)}  # fmt: skip


REMAPPINGS = {
    **remapped("too few rows", "expected maps of 2 tables, one after the other in 13 entries, got other", array=13),
    **remapped("falling", "expected maps of 2 tables, one after the other in 14", places=(0, 15, 14)),
    **remapped("a table", "expected maps of 2 tables, one after the other in 14", places=(0, 14)),
    **remapped("ids", "expected a row for each of the 8 ids of table 0, got 9", rows=(8, 5)),
    **remapped("wide", "remapping of ids: expected integers of 32 bits, got larger", array=torch.full((14,), 2**31)),
    **remapped("fractions", "remapping of ids: expected a tensor of integers, got Float", array=torch.zeros(14)),
    **remapped("pairs", "expected ids that are remapped by a vector of rows", array=torch.zeros(14, 2).int()),
    **hashed("rows", "expected ids that are remapped by pairs of an id and a row", torch.zeros(14).int()),
    "features": ({"index_remappings_array": lambda b: torch.zeros(4).int(),
                  "original_rows_per_table": lambda b: torch.tensor([4])},
                 "expected numbers of ids before pruning of 3 features, got 1"),
    "object": ({"index_remapping_hash_table_cpu": lambda b: 3,
                "original_rows_per_table": lambda b: torch.tensor([4, 4, 4])},
               "expected ids that are remapped by FBGEMM's PrunedMapCPU, got something else"),
}  # fmt: skip

BATCH_CHANGES = {
    "type": ({"embedding_specs": lambda b: [(*s[:3], type(s[3]).NFP8, s[4]) for s in b.embedding_specs]},
             'tables[0].dtype: expected one of "fp32", "fp16"'),
    "fp8": ({"embedding_specs": fp8_specs, "fp8_exponent_bits": lambda b: 5, "fp8_exponent_bias": lambda b: 7},
            "expected fp8 of 4 bits of exponent with bias 7, got 5 bits with bias 7"),
    "fp8 alone": ({"embedding_specs": fp8_specs}, "expected attribute 'fp8_exponent_bias' to be an integer"),
    "rows": ({"embedding_specs": lambda b: [(s[0], 10**6, *s[2:]) for s in b.embedding_specs]},
             "table 'ads': expected 32000000 bytes for 1000000 rows, got"),
    "name": ({"embedding_specs": lambda b: [("same", *s[1:]) for s in b.embedding_specs]},
             '"same" is also the name of'),
    "output": ({"output_dtype": lambda b: 3}, "expected output of fp32, fp16, bf16 or int8, for others are undefined"),
    "stored": ({"output_dtype": lambda b: 2}, "expected the same for all tables, got uint8 and float32"),
    "outputs": ({"output_dtype": lambda b: 1}, "expected the same for all tables, got float16 and float32"),
    "mode": ({"bounds_check_mode_int": lambda b: 5}, "expected a bounds check of FATAL, WARNING, IGNORE or NONE"),
    "modes": ({"bounds_check_mode_int": lambda b: 0}, "expected the same for all tables, got fatal and warning"),
    "pooling": ({"pooling_mode": lambda b: 3}, "expected pooling by sum, by mean or none, got code 3"),
    "none": ({"pooling_mode": lambda b: 2}, "expected pooled lookups in a KeyedTensor, got one with pooling NONE"),
    "alignment": ({"row_alignment": lambda b: 1.5}, "expected attribute 'row_alignment' to be an integer"),
    "map": ({"feature_table_map": lambda b: [0, 0, 7]}, "expected features of 2 tables, got one of table 7"),
    "maps": ({"feature_table_map": lambda b: "0"}, "expected attribute 'feature_table_map' to be a list of integers"),
    "header": ({"scale_bias_size_in_bytes": lambda b: 8}, "expected rows with 4 bytes of scale and bias, got 8"),
    "offset": ({"weights_physical_offsets": lambda b: [0, 10**6]}, "expected bytes of weights with a table at 1000000"),
    "offsets": ({"weights_physical_offsets": lambda b: [0]}, "expected embedding_specs for 1 tables"),
    "specs": ({"embedding_specs": lambda b: [s[:3] for s in b.embedding_specs]},
              "expected embedding_specs of name, rows, dim, type and location"),
    **REMAPPINGS,
    "weights": ({"weights_host": lambda b: b.weights_host.repeat(2)[::2]}, "expected a contiguous tensor"),
    "floats": ({"weights_host": lambda b: b.weights_host.float()}, "expected bytes of weights"),
    "no tensor": ({"weights_host": lambda b: 3}, "expected attribute 'weights_host' to be a tensor"),
}  # fmt: skip


def test_fake_batches_are_as_good_as_real_ones(tmp_path):
    path = save_fakes(tmp_path / "model.pt", {})
    assert run(path, "-o", tmp_path / "imported").returncode == 0


@pytest.mark.parametrize("what", BATCH_CHANGES)
def test_table_batches(tmp_path, what):
    changes, expected = BATCH_CHANGES[what]
    assert_refused(save_fakes(tmp_path / "model.pt", changes), expected)
