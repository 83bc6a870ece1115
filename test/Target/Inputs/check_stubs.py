"""Holds the stubs of both architectures to each other, and those for AArch64 to its real libraries.

    check_stubs.py FOLDER_OF_MAPS LLVM_NM
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REAL = Path("/usr/aarch64-linux-gnu/lib")


def read_map(path: Path) -> dict[str, str]:
    """The version of each function."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    versions = {}
    for version, body in re.findall(r"(GLIBC_[0-9.]+) \{(.*?)\}", text, flags=re.DOTALL):
        for name in re.findall(r"([a-z_][a-z_0-9]*)\s*;", body):
            versions[name] = version
    return versions


def main() -> None:
    folder, nm = Path(sys.argv[1]), sys.argv[2]
    for library in ("libc", "libm"):
        x86, aarch64 = read_map(folder / f"{library}.map"), read_map(folder / f"{library}_aarch64.map")
        # Only AArch64 tells its features by a function.
        if x86.keys() | ({"getauxval"} if library == "libc" else set()) != aarch64.keys():
            sys.exit(f"{library}: {sorted(x86.keys() ^ aarch64.keys())} are in one map alone")
        real = subprocess.run([nm, "--dynamic", "--defined-only", REAL / f"{library}.so.6"],
                              capture_output=True, text=True, check=True).stdout  # fmt: skip
        defined = set(re.findall(r" [TWi] (\S+)", real))
        missing = [name for name, version in aarch64.items() if f"{name}@@{version}" not in defined]
        if missing:
            sys.exit(f"{library}: {missing} are not there with these versions")
        print(f"{library}: {len(x86)} functions of both architectures")


if __name__ == "__main__":
    main()
