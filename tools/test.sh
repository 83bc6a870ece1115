#!/usr/bin/env bash
# Sets up and runs all tests: GoogleTest (through ctest), lit, pytest. Ends with the number of tests that passed.
#
#   tools/test.sh                   everything
#   tools/test.sh --without-torch   without the tests against TorchRec and FBGEMM
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh "$@"
start=$SECONDS
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

printf '\n==> [1/3] GoogleTest\n'
ctest --test-dir build --output-on-failure --progress -j2 | tee "$logs/ctest"
printf '\n==> [2/3] lit\n'
/usr/lib/llvm-22/bin/lit -s build/test | tee "$logs/lit"
printf '\n==> [3/3] pytest\n'
if [ "${1:-}" = --without-torch ]; then
  echo "0 passed: all of these tests compare with TorchRec, and torch is left out" | tee "$logs/pytest"
else
  .venv/bin/python -m pytest -q -rs test/python test/Integration/CUDA | tee "$logs/pytest"
fi

count() { sed -n -E "$2" "$logs/$1" | tail -1; }
from_ctest=$(count ctest 's/.* tests failed out of ([0-9]+).*/\1/p')
from_lit=$(count lit 's/^ *Passed *: *([0-9]+).*/\1/p')
from_pytest=$(count pytest 's/^([^0-9]*)([0-9]+) passed.*/\2/p')
printf '\nGoogleTest %s, lit %s, pytest %s\n' "$from_ctest" "$from_lit" "$from_pytest"
printf '===== %s passed in %ss =====\n' $((from_ctest + from_lit + from_pytest)) $((SECONDS - start))
