#!/usr/bin/env bash
# From a clone to numbers: sets up, exports a real TorchRec model, compiles it, runs it from Python and from C, and
# compares every bit and the latency with TorchRec.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
printf '\n==> TorchRec model to .so, checked bit by bit\n'
exec .venv/bin/python python/demo.py "$@"
