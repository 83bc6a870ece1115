#!/usr/bin/env bash
# Installs what trec builds with and is tested against, and builds it: Debian packages, the Python environment in .venv,
# everything compiled in build. Safe to run again; what is there already is left alone.
#
#   tools/setup.sh                   everything
#   tools/setup.sh --without-torch   no torch, TorchRec and FBGEMM: the compiler, without the tests against them
set -euo pipefail
cd "$(dirname "$0")/.."

torch=ON
case "${1:-}" in
  "") ;;
  --without-torch) torch=OFF ;;
  *) echo "usage: tools/setup.sh [--without-torch]" >&2; exit 2 ;;
esac

packages=(
  build-essential cmake ninja-build ccache git python3 python3-dev python3-venv
  llvm-22-dev libmlir-22-dev mlir-22-tools llvm-22-tools  # the compiler's libraries; lit and FileCheck
  lld-22 liblld-22-dev libzstd-dev                        # the linker, for the build and inside trec-compile
  libjsmn-dev libgtest-dev libgmock-dev clang-format-22
  clang-22 libc6-dev-arm64-cross                          # the runtime of models for AArch64
  libgcc-12-dev-arm64-cross qemu-user                     # and what runs them in tests
)

step() { printf '\n==> [%s/4] %s\n' "$1" "$2"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} = 0 ]; then echo "all there"; return; fi
  echo "installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_python() {
  [ -x .venv/bin/python ] || python3 -m venv .venv
  local requirements=python/requirements.txt
  if [ $torch = OFF ]; then
    requirements=.venv/requirements-without-torch.txt
    grep -v -E 'torch|tensordict' python/requirements-common.txt > $requirements
  fi
  .venv/bin/pip install --disable-pip-version-check --quiet --progress-bar off -r $requirements
  if [ $torch = ON ]; then
    .venv/bin/pip install --disable-pip-version-check --quiet --no-deps -r python/requirements-no-deps.txt
  fi
  .venv/bin/pip install --disable-pip-version-check --quiet --editable python
  # The assembler of code for GPUs: without the rest of a toolkit.
  if [ ! -x "$(command -v ptxas || echo "${CUDA_HOME:-/usr/local/cuda}/bin/ptxas")" ]; then
    .venv/bin/pip install --disable-pip-version-check --quiet --no-deps 'nvidia-cuda-nvcc>=13.0,<13.1'
  fi
  .venv/bin/python -c 'import trec; print("trec", trec.__version__, "in", ".venv")'
}

step 1 "Debian packages"
install_packages
step 2 "Python packages in .venv"
install_python
step 3 "configure build"
cmake -G Ninja -B build -S . -DTREC_ENABLE_TORCH=$torch -DPython3_EXECUTABLE="$PWD/.venv/bin/python" >build.log 2>&1 \
  || { cat build.log; rm build.log; exit 1; }
rm build.log
step 4 "build"
ninja -C build
