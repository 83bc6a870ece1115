// RUN: trec-opt %s --trec-select-lowering=cpu=x86-64 --verify-diagnostics
// RUN: not trec-opt %s --trec-select-lowering=numerics=fast 2>&1 | FileCheck %s --check-prefix=NUMERICS

// NUMERICS: error: expected numerics of fbgemm or relaxed, got 'fast'

// expected-error @below {{expected a CPU level of x86-64-v2, x86-64-v3, x86-64-v4, armv8-a, sve-256 or sve-512, got 'x86-64'}}
module {}
