// RUN: trec-opt %s --trec-select-gpu-lowering=numerics=relaxed --verify-diagnostics

// expected-error @below {{expected numerics of fbgemm or cpu, got 'relaxed'}}
module {}
