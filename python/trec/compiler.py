"""`trec.compile`: finds the tools and runs them."""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from trec import refusals
from trec.cuda import native_chip
from trec.errors import CompileError, InputError, ToolError

PathLike = Union[str, "os.PathLike[str]"]


def find_tool(name: str) -> str:
    """The tool built in the checkout that this package is installed from, else the one on PATH."""
    built = Path(__file__).resolve().parents[2] / "build" / "bin" / name
    if os.access(built, os.X_OK):
        return str(built)
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"cannot find '{name}': it is neither at '{built}' nor on PATH, build trec or extend PATH")
    return found


def run_tool(name: str, *arguments: PathLike) -> str:
    """Runs a tool and returns what it printed; its complaint becomes the exception's text."""
    command = [find_tool(name), *map(os.fspath, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if result.returncode:
        complaint = result.stderr.strip() or f"{name} ended with status {result.returncode} and no message"
        raise CompileError(complaint)
    return result.stdout


def _options(cpu: Optional[str], gpu: Optional[str], weights: str, extra: dict[str, Any]) -> list[str]:
    if weights not in ("external", "embed"):
        raise InputError(f"weights: expected 'external' or 'embed', got {weights!r}")
    options = [f"--cpu={cpu}", f"--weights={weights}"]
    if gpu is not None:
        options.append(f"--gpu={native_chip() if gpu == 'native' else gpu}")
    for name, value in extra.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            options.append(flag)
        elif value is not None and value is not False:
            options.append(f"{flag}={value}")
    return options


def _temporary_directory() -> Path:
    """Lives as long as the process: the path of the `.so` in it is handed to the caller."""
    directory = tempfile.mkdtemp(prefix="trec-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _compile_module(module: Any, output: Path, options: list[str], export: dict[str, Any]) -> None:
    """Exports beside the output, so that the weights need no second copy, and leaves no IR behind."""
    from trec.exporter import export as export_module

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".trec-") as directory:
        exported = export_module(module, directory, **export)
        if len(exported) != 1:
            names = ", ".join(f"'{path.relative_to(directory)}'" for path in exported)
            raise refusals.SEVERAL_COLLECTIONS.at("", names=names)
        run_tool("trec-compile", exported[0], "-o", output, *options)
        if "--weights=external" in options:
            os.replace(exported[0] / "model.safetensors", output.with_suffix(".safetensors"))


def compile(
    module_or_dir: Any,
    output: Optional[PathLike] = None,
    *,
    cpu: str = "native",
    gpu: Optional[str] = None,
    weights: str = "external",
    dtype: Any = None,
    output_dtype: Optional[str] = None,
    bounds_check: Optional[str] = None,
    dynamic_rows: bool = False,
    regroup: Any = None,
    batches: Optional[Sequence[int]] = None,
    fixed_lengths: Optional[Mapping[str, int]] = None,
    **tool_options: Any,
) -> Path:
    """Compiles a module, an exported directory or an `.mlir` file; returns the path of the `.so`.

    A module's weights are written beside the `.so`. With `gpu`, such as "sm_90" or "sm_80,sm_90", or "native" for the
    chip of this machine, it has code for GPUs beside that for CPUs. `dtype`, `output_dtype`, `bounds_check`,
    `dynamic_rows`, `regroup`, `batches` and `fixed_lengths` are those of `trec.export`. Further keywords are options of
    `trec-compile` (`report="r.json"` is `--report=r.json`). With `tune=True`, or `tune=` a benchmark case or a recorded
    batch, lowerings are measured on this machine, with `tune_device="cuda"` on its GPU; what was gained is in the
    cache, `<stem>.tune.json` beside the `.so` or the file of `tune_cache=`, which later compiles take by `tune_cache=`
    alone.
    """
    options = _options(cpu, gpu, weights, tool_options)
    export = {
        "dtype": dtype, "output_dtype": output_dtype, "bounds_check": bounds_check, "dynamic_rows": dynamic_rows,
        "regroup": regroup, "batches": batches, "fixed_lengths": fixed_lengths,
    }  # fmt: skip
    path = Path(output) if output is not None else _temporary_directory() / "model.so"
    if not _is_path(module_or_dir):
        _compile_module(module_or_dir, path, options, export)
        return path
    given = [name for name, value in export.items() if value not in (None, False)]
    if given:
        raise InputError(f"{given[0]} applies to modules, '{module_or_dir}' has been exported already")
    path.parent.mkdir(parents=True, exist_ok=True)
    run_tool("trec-compile", module_or_dir, "-o", path, *options)
    _place_weights(Path(module_or_dir), path, output is None and weights == "external")
    return path


def _place_weights(source: Path, so: Path, wanted: bool) -> None:
    """A `.so` in a temporary directory of ours is found by no one but with its weights beside it."""
    weights = (source if source.is_dir() else source.parent) / "model.safetensors"
    if wanted and weights.exists():
        so.with_suffix(".safetensors").symlink_to(weights.resolve())
