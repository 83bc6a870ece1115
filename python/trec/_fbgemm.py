"""Whether FBGEMM runs its vector kernels in this process, or quietly its scalar reference loops.

Some builds bind to a copy of cpuinfo that nobody fills in and then take the machine for one without any vector
instructions. Results are the same, but a comparison of speed would be off by a factor of fifty, and one of bits would
not test the kernels that people run.
"""

import ctypes
import os
from importlib.util import find_spec
from typing import Optional

from trec.errors import TrecError

_SYMBOL = "_ZN6fbgemm20fbgemmInstructionSetEv"
# What FBGEMM says of a machine without vector instructions.
ANY_ARCH = 0


def loaded_library() -> Optional[str]:
    """Path of the fbgemm.so in this process."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            path = line.split(maxsplit=5)[-1].strip()
            if os.path.basename(path) in ("fbgemm.so", "libfbgemm.so"):
                return path
    return None


def preload_library() -> str:
    """What LD_PRELOAD must name for FBGEMM to see the copy of cpuinfo that is filled in."""
    found = find_spec("torch")
    directory = os.path.dirname(found.origin) if found and found.origin else "<site-packages>/torch"
    return os.path.join(directory, "lib", "libc10.so")


def remedy() -> str:
    return f"start python with LD_PRELOAD={preload_library()}"


def instruction_set(path: Optional[str] = None) -> int:
    """The set of instructions that FBGEMM in this process, or the library at `path`, runs on."""
    library = path or loaded_library()
    if library is None:
        raise TrecError("fbgemm.so is not loaded, expected it after 'import torchrec'")
    function = ctypes.CDLL(library)[_SYMBOL]
    function.restype = ctypes.c_int
    return function()


def require_vector_kernels(path: Optional[str] = None) -> None:
    """Raises where FBGEMM, or the library at `path`, would run its scalar loops."""
    if instruction_set(path) == ANY_ARCH:
        library = path or loaded_library()
        raise TrecError(f"'{library}' takes this machine for one without vector instructions; {remedy()}")
