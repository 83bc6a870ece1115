"""The ctypes mirror against the C header, as gcc lays it out."""

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

from trec import abi

INCLUDE = Path(__file__).resolve().parents[2] / "include"
INCLUDES = '#include <stdio.h>\n#include "trec/Runtime/DeviceABI.h"\n#include "trec/Runtime/ModelABI.h"\n'
STRUCTS = {
    "trec_error": abi.Error,
    "trec_table_data": abi.TableData,
    "trec_create_options": abi.CreateOptions,
    "trec_forward_args": abi.ForwardArgs,
    "trec_batch": abi.Batch,
    "trec_counters": abi.Counters,
    "trec_weights_info": abi.WeightsInfo,
    "trec_table_info": abi.TableInfo,
    "trec_api": abi.Api,
}


def run_c(tmp_path, body):
    source = tmp_path / "layout.c"
    source.write_text(f"{INCLUDES}int main(void) {{\n{body}\nreturn 0; }}\n")
    subprocess.run(
        ["gcc", "-std=c11", "-Wall", "-Werror", "-I", INCLUDE, source, "-o", tmp_path / "layout"], check=True
    )
    return subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("name", STRUCTS)
def test_layout(tmp_path, name):
    mirror = STRUCTS[name]
    fields = [field[0] for field in mirror._fields_]
    lines = [f'printf("%zu\\n", sizeof({name}));']
    lines += [f'printf("%zu %zu\\n", offsetof({name}, {f}), sizeof((({name} *)0)->{f}));' for f in fields]
    expected = [ctypes.sizeof(mirror)]
    for field in fields:
        expected += [getattr(mirror, field).offset, getattr(mirror, field).size]
    assert [int(number) for number in run_c(tmp_path, "\n".join(lines))] == expected


@pytest.mark.parametrize("name", STRUCTS)
def test_every_field_of_the_header_is_mirrored(name):
    text = re.sub(r"/\*.*?\*/", "", (INCLUDE / "trec/Runtime/ModelABI.h").read_text(), flags=re.S)
    body = re.search(rf"typedef struct {name} {{(.*?)}} {name};", text, re.S).group(1)
    members = [re.search(r"\(\*(\w+)\)|(\w+)(?:\[\d+\])?$", line.split(") (")[0].strip()) for line in _members(body)]
    assert [member.group(1) or member.group(2) for member in members] == [field[0] for field in STRUCTS[name]._fields_]


def _members(body):
    return [" ".join(line.split()).replace("(const", ") (const", 1) if "(*" in line else " ".join(line.split())
            for line in body.split(";") if line.strip()]  # fmt: skip


@pytest.mark.parametrize("mirror, packer", [(abi.ForwardArgs, abi.FORWARD_ARGS), (abi.Batch, abi.BATCH)])
def test_packed_arguments_are_the_struct(mirror, packer):
    numbers = list(range(1, len(mirror._fields_) + 1))
    packed = mirror.from_buffer_copy(packer.pack(*numbers))
    assert [getattr(packed, field[0]) for field in mirror._fields_] == numbers


CONSTANTS = {
    "TREC_ABI_VERSION": abi.ABI_VERSION,
    "TREC_INVALID_ARGUMENT": abi.INVALID_ARGUMENT,
    "TREC_INVALID_INPUT": abi.INVALID_INPUT,
    "TREC_OUT_OF_BOUNDS": abi.OUT_OF_BOUNDS,
    "TREC_WEIGHTS_MISMATCH": abi.WEIGHTS_MISMATCH,
    "TREC_IO_ERROR": abi.IO_ERROR,
    "TREC_OUT_OF_MEMORY": abi.OUT_OF_MEMORY,
    "TREC_UNSUPPORTED_CPU": abi.UNSUPPORTED_CPU,
    "TREC_VERSION_MISMATCH": abi.VERSION_MISMATCH,
    "TREC_UNSUPPORTED_GPU": abi.UNSUPPORTED_GPU,
    "TREC_GPU_ERROR": abi.GPU_ERROR,
    "TREC_DEVICE_CPU": abi.DEVICE_CPU,
    "TREC_DEVICE_CUDA": abi.DEVICE_CUDA,
    "TREC_GPU_SCAN_BLOCKS": abi.GPU_SCAN_BLOCKS,
    "TREC_PLACE_AUTO": abi.PLACES["auto"],
    "TREC_PLACE_DEVICE": abi.PLACES["device"],
    "TREC_PLACE_HOST": abi.PLACES["host"],
    "TREC_PLACE_CALLERS": abi.PLACES["callers"],
    "TREC_PAGES_MAP": abi.PAGES["map"],
    "TREC_PAGES_HUGE": abi.PAGES["huge"],
    "TREC_PAGES_AUTO": abi.PAGES["auto"],
    "TREC_INT32": abi.INT32,
    "TREC_INT64": abi.INT64,
    "TREC_FLOAT32": abi.FLOAT32,
    "TREC_FLOAT16": abi.FLOAT16,
    "TREC_BFLOAT16": abi.BFLOAT16,
    "TREC_UINT8": abi.UINT8,
    "TREC_BOUNDS_AS_COMPILED": abi.BOUNDS[None],
    "TREC_BOUNDS_FATAL": abi.BOUNDS["fatal"],
    "TREC_BOUNDS_WARNING": abi.BOUNDS["warning"],
    "TREC_BOUNDS_IGNORE": abi.BOUNDS["ignore"],
    "TREC_BOUNDS_NONE": abi.BOUNDS["none"],
}


def test_constants(tmp_path):
    printed = run_c(tmp_path, "\n".join(f'printf("%d\\n", (int){name});' for name in CONSTANTS))
    assert [int(number) for number in printed] == list(CONSTANTS.values())
