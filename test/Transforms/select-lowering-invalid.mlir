// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64 --verify-diagnostics

// expected-error @below {{expected a CPU level of x86-64-v2, x86-64-v3 or x86-64-v4, got 'x86-64'}}
module {}
