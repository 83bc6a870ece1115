// RUN: trec-opt %s --trec-select-gpu-lowering=numerics=fast --verify-diagnostics

// expected-error @below {{expected numerics of fbgemm, cpu or relaxed, got 'fast'}}
module {}
