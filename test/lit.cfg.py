"""lit configuration: which files are tests and which tools they may call."""

import glob
import os
import shutil

import lit.formats
from lit.llvm import llvm_config

config.name = "trec"
config.test_format = lit.formats.ShTest(not llvm_config.use_lit_shell)
config.suffixes = [".mlir", ".test", ".td"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.trec_obj_root, "test")

config.substitutions.append(("%trec_src", config.trec_src_root))
config.substitutions.append(("%python", config.python_executable))
config.substitutions.append(("%cc", config.host_cc))

llvm_config.use_default_substitutions()
# Scripts of tests call tools by name.
tools_dir = os.path.join(config.trec_obj_root, "bin")
config.substitutions.append(("%trec_bin", tools_dir))
llvm_config.with_environment("PATH", [tools_dir, config.llvm_tools_dir], append_path=True)
llvm_config.add_tool_substitutions(
    ["trec-opt", "trec-compile", "trec-import", "trec-run", "llvm-readelf", "llvm-nm"],
    [tools_dir, config.llvm_tools_dir],
)

# Tests that execute code of a level are skipped, visibly, where the machine lacks it.
for level in config.cpu_levels.split():
    config.available_features.add(level)

# Code for AArch64 is executed under an emulator, by a host that is compiled for it.
emulator = shutil.which("qemu-aarch64")
if emulator and os.path.exists("/usr/aarch64-linux-gnu/lib/libc.so.6"):
    config.available_features.add("aarch64-emulator")
    config.substitutions.append(("%qemu", f"{emulator} -L /usr/aarch64-linux-gnu"))
    flags = f"--target=aarch64-linux-gnu -B{config.llvm_tools_dir} -fuse-ld=lld"
    config.substitutions.append(("%aarch64-cc", f"{config.clang} {flags}"))
else:
    lit_config.warning("no code for AArch64 is executed: qemu-user and libc6-dev-arm64-cross are not installed")

# Built where there is a torch to link.
if os.path.exists(os.path.join(tools_dir, "trec-import-torch")):
    config.available_features.add("libtorch")

# Where trec-compile looks for it; without one there is no code for GPUs but PTX.
cuda_folders = [os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin"),
                *glob.glob(os.path.join(config.trec_src_root, ".venv/lib/python*/site-packages/nvidia/cu*/bin"))]
if shutil.which("ptxas", path=os.pathsep.join([*cuda_folders, os.environ["PATH"]])):
    config.available_features.add("ptxas")

# The one version that the code is formatted by: others differ.
clang_format = shutil.which("clang-format-22")
if clang_format:
    config.available_features.add("clang-format")
    config.substitutions.append(("%clang-format", clang_format))
