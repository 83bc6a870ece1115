//===- Passes.td - Passes from trec to trec -----------------------*- tablegen -*-===//
//
// In the order in which `trec-cpu-pipeline` and `trec-gpu-pipeline` run them.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TRANSFORMS_PASSES_TD
#define TREC_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerifyImportContractPass : Pass<"trec-verify-import-contract", "::mlir::ModuleOp"> {
  let summary = "refuse modules that the compiler does not compile";
  let description = [{
    The border with the importers: what this pass accepts, the compiler compiles;
    what it refuses, it says why. It changes nothing.

    Constraints:
    * C1: the module has `trec.contract`, of the version that this compiler reads.
    * C2: the module holds tables, parameters and one function, `@forward`.
    * C3: `@forward` has one block, and takes one `!trec.kjt` and returns one
      `!trec.keyed_tensor` or one `!trec.jagged_dict`, or takes at most 16
      `!trec.kjt` and returns one `!trec.tensor_dict`.
    * C4: its ops are those that the compiler lowers.
    * C5: the result of each op of a lookup is used once, by the next op of it.
    * C6: a lookup reads ids that were checked against its own table, or against
      the map by which they were remapped.
    * C7: ids are checked as they come from the batch.
    * C8: rows are weighted once, by the sample weights of the key of their ids or
      by the positions of their ids.
    * C9: all checks have one policy.
    * C10: the sample weights of a weighted batch weight some lookup.
    * C11: each table and each parameter is used.
    * C12: names hold no NUL.
    * C13: rows that are not pooled have no weights.
    * C14: every key of a `trec.keyed_tensor` that is regrouped is in a group.
    * C15: every batch has a feature that is looked up.
    * C16: stored rows are given out of tables of INT8 alone.
    * C17: all features of one key of a batch have one length, or none has one.
  }];
}

def FuseDequantizePass : Pass<"trec-fuse-dequantize", "::mlir::ModuleOp"> {
  let summary = "fuse check, lookup, dequantize, weight, pool and cast";
  let description = [{
    Turns each chain of import-layer ops that ends in `trec.pool` into one
    `trec.embedding_bag`, and each that ends in `trec.materialize` or
    `trec.stored_bytes` into one `trec.embedding`, so that no row is stored between
    them. A chain whose intermediate results have other uses is left as it is.
  }];
  let statistics = [
    Statistic<"numBags", "num-bags", "Number of trec.embedding_bag ops made">,
    Statistic<"numEmbeddings", "num-embeddings", "Number of trec.embedding ops made">,
    Statistic<"numCasts", "num-casts", "Number of trec.cast_output ops fused">
  ];
  let dependentDialects = ["::mlir::trec::TrecDialect"];
}

def FusePositionWeightsPass : Pass<"trec-fuse-position-weights", "::mlir::ModuleOp"> {
  let summary = "fuse weights by position into the lookup";
  let description = [{
    Turns the weights of a `trec.embedding_bag` that a `trec.position_weights` of
    the same ids makes into an attribute, so that no weight per id is stored.
  }];
  let statistics = [
    Statistic<"numFused", "num-fused", "Number of trec.position_weights ops fused">
  ];
  let dependentDialects = ["::mlir::trec::TrecDialect"];
}

def GroupTablesPass : Pass<"trec-group-tables", "::mlir::ModuleOp"> {
  let summary = "group the lookups of one configuration";
  let description = [{
    Replaces the `trec.embedding_bag` ops behind a `trec.keyed_tensor` by one
    `trec.embedding_bag_group` per configuration (type of row, pooling, weighting,
    policy, output element), each writing its columns of one `trec.empty`, and the
    `trec.embedding` ops behind a `trec.jagged_dict` by `trec.embedding_group` ops
    likewise. A thousand tables become tens of groups. Groups and their bags keep
    the order of the outputs.

    A `trec.regroup` is resolved: lookups write into the tensor of each group that
    their key is in, and no KeyedTensor is left. Where a key is in several groups,
    the lookups after the first are repeats.
  }];
  let statistics = [
    Statistic<"numGroups", "num-groups", "Number of groups made">,
    Statistic<"numBags", "num-bags", "Number of lookups grouped">
  ];
  let dependentDialects = ["::mlir::trec::TrecDialect"];
}

def SelectLoweringPass : Pass<"trec-select-lowering", "::mlir::ModuleOp"> {
  let summary = "choose how each group will be run";
  let description = [{
    Writes a `#trec.lowering_config` on each group of lookups that has none, for
    the CPU level that `cpu` names. A group that has one keeps it: tests and
    tuners override the choice so. With `numerics=relaxed` rows of integer codes
    are added by the arithmetic that is otherwise for certified bags alone.
    With `tune-cache` a schedule that was measured takes the place of the cost
    model's, and a warning names what was not measured.

    Constraints:
    * C1: the file of `tune-cache` is one that `trec-compile --tune` writes, of
      the version that this compiler reads.
    * C2: a measured schedule has vectors and permutations that the level has.
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", "\"x86-64-v3\"",
           "CPU level to choose for: x86-64-v2, x86-64-v3, x86-64-v4, armv8-a, sve-256 or sve-512">,
    Option<"numerics", "numerics", "std::string", "\"fbgemm\"",
           "whose numbers to compute: fbgemm or relaxed">,
    Option<"tuneCache", "tune-cache", "std::string", "\"\"",
           "file of measured lowerings, as `trec-compile --tune` writes it">
  ];
  let statistics = [
    Statistic<"numSelected", "num-selected", "Number of groups given a lowering">,
    Statistic<"numKept", "num-kept", "Number of groups that had one">,
    Statistic<"numTuned", "num-tuned", "Number of groups given a measured schedule">
  ];
  let dependentDialects = ["::mlir::trec::TrecDialect"];
}

def SelectGPULoweringPass : Pass<"trec-select-gpu-lowering", "::mlir::ModuleOp"> {
  let summary = "choose how each group will be run on a GPU";
  let description = [{
    Writes a `#trec.gpu_lowering_config` on each group of lookups that has none. A
    group that has one keeps it: tests and tuners override the choice so.

    The choice depends on the units of a row alone (see the attribute). Lanes are
    as many as leave the fewest of them idle, and of those the most, for then
    loads are widest. A lane sums at most 16 columns, and rows are in flight such
    that a lane holds at most 16 words of them: what a model of many
    configurations can have in 64 registers, with which a multiprocessor holds
    enough warps to wait for memory. Where a model has one group that pools codes
    as they are, fewer words leave registers for more blocks. Rows of up to 192
    bytes that are pooled to 16 bits leave the first level of the cache first.

    With `tune-cache` a schedule that was measured takes the place of the cost
    model's. The chips of a library are launched alike, so that they have one
    schedule: that of the latest of `chips` that has an entry. A warning names
    what was not measured, and chips whose own entry is another.

    Constraints:
    * C1: the file of `tune-cache` is one that `trec-compile --tune` writes, of
      the version that this compiler reads.
    * C2: a measured schedule has stages only of rows that are pooled in one
      pass, and no more than shared memory holds. Where numerics are not relaxed,
      parts of a bag that it has are not taken over.
  }];
  let options = [
    Option<"numerics", "numerics", "std::string", "\"fbgemm\"",
           "whose bits to compute: fbgemm, FBGEMM's on GPUs, cpu, those of its CPU kernels, or relaxed, "
           "FBGEMM's elements on GPUs, summed in any order">,
    ListOption<"chips", "chips", "std::string",
           "chips of the library, the latest last, whose measured schedules are looked for">,
    Option<"tuneCache", "tune-cache", "std::string", "\"\"",
           "file of measured schedules, as `trec-compile --tune` writes it">
  ];
  let statistics = [
    Statistic<"numSelected", "num-selected", "Number of groups given a lowering">,
    Statistic<"numKept", "num-kept", "Number of groups that had one">,
    Statistic<"numTuned", "num-tuned", "Number of groups given a measured schedule">
  ];
  let dependentDialects = ["::mlir::trec::TrecDialect"];
}

def EmitKernelEntriesPass : Pass<"trec-emit-kernel-entries", "::mlir::ModuleOp"> {
  let summary = "give kernels their C entries and write the descriptors";
  let description = [{
    For each kernel of a `trec.dispatch` an entry with the C signature of
    `trec_kernel` (include/trec/Runtime/KernelABI.h), and for the whole model the
    constant arrays `trec_features`, `trec_tables`, `trec_parameters`,
    `trec_bags`, `trec_outputs`, `trec_strings` and `trec_kernels`. The function and the tables are then erased: nothing of
    the trec dialect is left.
  }];
  let options = [
    Option<"suffix", "suffix", "std::string", "\"\"",
           "appended to the names of kernels and of trec_kernels, so that the "
           "code of several CPU levels can be linked together">
  ];
  let statistics = [
    Statistic<"numEntries", "num-entries", "Number of kernel entries emitted">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::func::FuncDialect"];
}

#endif // TREC_TRANSFORMS_PASSES_TD
