"""Writes an import-level model of any number of tables to standard output.

    make_model.py 6                  six tables of six configurations
    make_model.py 1000 --weighted    a thousand, twenty configurations, with per-sample weights

Table i has the configuration i modulo their number, so that the same arguments give the same model.
"""

from __future__ import annotations

import argparse

# Type, dim and pooling; the first six are what a small model mixes.
CONFIGURATIONS = (
    ("int8", 128, "sum"), ("int4", 64, "sum"), ("int2", 32, "mean"), ("fp16", 16, "sum"), ("fp32", 8, "mean"),
    ("int8", 100, "mean"), ("int8", 64, "sum"), ("int8", 32, "sum"), ("int8", 256, "sum"), ("int8", 16, "mean"),
    ("int4", 128, "sum"), ("int4", 32, "mean"), ("int4", 256, "sum"), ("int4", 96, "sum"), ("int2", 128, "sum"),
    ("fp16", 64, "sum"), ("fp16", 128, "mean"), ("fp32", 64, "sum"), ("fp32", 128, "sum"), ("int8", 512, "sum"))


def write_lookup(index: int, weighted: bool) -> list[str]:
    dtype, dim, pooling = CONFIGURATIONS[index % len(CONFIGURATIONS)]
    layout = "#float" if dtype.startswith("fp") else "#quantized"
    row, values = f"!trec.jagged<!trec.row<{dim}, {dtype}, {layout}>>", f"!trec.jagged<!trec.dequantized<{dim}>>"
    name = f"table_{index}"
    lines = [f'%ids{index} = trec.feature %kjt "feature_{index}" : !kjt',
             f"%checked{index} = trec.check_bounds warning %ids{index} in @{name}",
             f"%rows{index} = trec.lookup @{name}[%checked{index}] : {row}",
             f"%values{index} = trec.dequantize %rows{index} : {row}"]
    pooled = f"%values{index}"
    if weighted:
        lines += [f'%weights{index} = trec.sample_weights %kjt "feature_{index}" : !kjt',
                  f"%weighted{index} = trec.weight %values{index} by %weights{index} : {values}"]
        pooled = f"%weighted{index}"
    return [*lines, f"%pooled{index} = trec.pool {pooling} {pooled} : {values}"]


def write_model(count: int, weighted: bool) -> str:
    used = [CONFIGURATIONS[index % len(CONFIGURATIONS)] for index in range(count)]
    keys = ", ".join(f'"feature_{index}"' for index in range(count))
    dims = ", ".join(str(dim) for _, dim, _ in used)
    lines = ["#quantized = #trec.row_layout<header = f16, align = 16>", "#float = #trec.row_layout<header = none, align = 16>",
             f"!kjt = !trec.kjt<[{keys}]{', weighted' if weighted else ''}>",
             f"!keyed = !trec.keyed_tensor<[{keys}], [{dims}], f32>", "module @model attributes {trec.contract = 1 : i32} {"]
    for index, (dtype, dim, _) in enumerate(used):
        layout = "#float" if dtype.startswith("fp") else "#quantized"
        lines.append(f"  trec.table @table_{index} : !trec.table<{1000 + index}x{dim}, {dtype}, {layout}>")
    lines.append("  func.func @forward(%kjt: !kjt) -> !keyed {")
    for index in range(count):
        lines += [f"    {line}" for line in write_lookup(index, weighted)]
    operands = ", ".join(f"%pooled{index}" for index in range(count))
    types = ", ".join(f"tensor<?x{dim}xf32>" for _, dim, _ in used)
    lines += [f"    %out = trec.keyed_tensor {operands} : ({types}) -> !keyed", "    return %out : !keyed", "  }", "}"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=int)
    parser.add_argument("--weighted", action="store_true")
    arguments = parser.parse_args()
    print(write_model(arguments.tables, arguments.weighted))


if __name__ == "__main__":
    main()
