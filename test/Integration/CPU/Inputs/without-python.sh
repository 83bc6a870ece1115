#!/bin/sh
# From a TorchScript archive to the outputs of a C program. The caller sees to it that no Python is on PATH.
#
#     without-python.sh FOLDER_OF_TOOLS C_COMPILER FOLDER_TO_WRITE
set -eu
tools=$1 compiler=$2 work=$3 inputs=${0%/*}

for name in python python3; do
  if command -v "$name"; then
    echo "$name is on PATH" >&2
    exit 1
  fi
done
for tool in trec-import-torch trec-compile; do
  case $(LD_TRACE_LOADED_OBJECTS=1 "$tools/$tool") in
  *libpython*)
    echo "$tool loads libpython" >&2
    exit 1
    ;;
  esac
done

"$tools/trec-import-torch" "$inputs/served.pt" -o "$work/model"
for name in bags sequence; do
  "$tools/trec-compile" "$work/model/$name" -o "$work/$name.so" --symbol="${name}_query"
done
"$compiler" -std=c11 -Wall -Wextra -Werror -I "$work" -I "$inputs" "$inputs/served.c" \
  "$work/bags.so" "$work/sequence.so" -o "$work/served"
"$work/served" "$work/model/bags/model.safetensors" "$work/model/sequence/model.safetensors"
