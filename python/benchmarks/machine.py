"""What a result depends on besides the code: the machine, the versions, and which kernels FBGEMM runs."""

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Optional

from trec._fbgemm import ANY_ARCH, instruction_set, preload_library

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_PACKAGES = ("trec", "torch", "torchrec", "fbgemm_gpu-cpu", "fbgemm-gpu", "numpy")
# What changes how FBGEMM and torch run.
_SWITCHES = ("FBGEMM_", "THP_MEM_ALLOC_ENABLE", "OMP_NUM_THREADS", "LD_PRELOAD", "MALLOC_", "GLIBC_TUNABLES")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _bytes_of(size: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(size[:-1]) * units[size[-1]] if size[-1:] in units else int(size or 0)


def caches() -> dict[str, int]:
    """Bytes of each data cache of the first core, such as {"L1": 32768}."""
    result = {}
    for index in sorted(_CACHES.glob("index*")):
        if _read(index / "type") != "Instruction":
            result[f"L{_read(index / 'level')}"] = _bytes_of(_read(index / "size"))
    return result


def cache_bytes() -> int:
    """All that one core can keep in its caches; where the machine does not say, a common size."""
    return sum(caches().values()) or 32 << 20


def memory_bytes(field: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def transparent_huge_pages() -> str:
    """The system's setting, such as `always [madvise] never`."""
    return _read(_THP)


def _cpu_model() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _is_virtual() -> bool:
    return " hypervisor" in _read(Path("/proc/cpuinfo"))


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parents[2]
    try:
        result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def package_version(package: str) -> Optional[str]:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def fbgemm_state() -> dict[str, Any]:
    """`path` is "vector" or "scalar"; `state` whether the packages run as installed or with the preload."""
    preloaded = preload_library() in os.environ.get("LD_PRELOAD", "").split(":")
    scalar = instruction_set() == ANY_ARCH
    return {"path": "scalar" if scalar else "vector", "state": "repaired" if preloaded else "as installed"}


def revision() -> dict[str, Any]:
    """Of the checkout."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "uncommitted_changes": bool(commit and _git("status", "--porcelain", "--untracked-files=no")),
    }


def without_folders(text: str) -> str:
    """Where files lie on a machine is nobody else's business: of absolute paths, joined by colons, the names."""
    return ":".join(Path(part).name if part.startswith("/") else part for part in text.split(":"))


def command() -> list[str]:
    """The arguments of this program as a result tells them."""
    return [without_folders(argument) for argument in sys.argv]


def describe(threads: int, clock: str) -> dict[str, Any]:
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **revision(),
        "command": command(),
        "machine": {
            "cpu": _cpu_model(),
            "virtual": _is_virtual(),
            "cores": os.cpu_count(),
            "affinity": sorted(os.sched_getaffinity(0)),
            "caches": caches(),
            "memory": memory_bytes("MemTotal"),
            "transparent_huge_pages": transparent_huge_pages(),
            "kernel": platform.release(),
            "load_average": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            **{name: found for name in _PACKAGES if (found := package_version(name))},
        },
        "environment": {
            name: without_folders(value) for name, value in sorted(os.environ.items()) if name.startswith(_SWITCHES)
        },
        "fbgemm": fbgemm_state(),
        "threads": threads,
        "clock": clock,
    }
