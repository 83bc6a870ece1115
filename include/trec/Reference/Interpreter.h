//===- Interpreter.h - The executable meaning of trec IR --------*- C++ -*-===//
//
// Runs `@forward` op by op, in scalar code that is written to be read. What it
// computes is what every compiled model has to compute, to the bit:
//
//   TableMap tables;
//   tables["ads"] = {bytes, rows};
//   Batch batch{2, {"ad_id"}, {3, 1, 4}, {2, 1}, {}};
//   Expected<Outputs> outputs = interpret(module, batch, tables);
//
// Ops of both layers may be mixed. Nothing here depends on how models are
// compiled.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_REFERENCE_INTERPRETER_H
#define TREC_REFERENCE_INTERPRETER_H

#include "trec/IR/TrecDialect.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace mlir::trec {

/// A KeyedJaggedTensor: the ids of key k, sample b follow those of all bags
/// before it; bag [k, b] has lengths[k * batchSize + b] of them.
struct Batch {
  int64_t batchSize = 0;
  /// In any order; keys that the model does not have are passed over.
  std::vector<std::string> keys;
  std::vector<int64_t> values;
  std::vector<int64_t> lengths;
  /// One per id, or none.
  std::vector<float> weights;
};

/// The rows of a table without gaps, or the elements of a `trec.parameter`.
struct TableData {
  llvm::ArrayRef<uint8_t> bytes;
  int64_t rows = 0;
};

/// By the symbol of the table or parameter.
using TableMap = llvm::StringMap<TableData>;

/// An id outside its table.
struct BadId {
  std::string feature;
  std::string table;
  int64_t sample;
  int64_t position; ///< Within its bag.
  int64_t id;
  int64_t rows;
};

/// One entry of a dict of JaggedTensors.
struct JaggedOutput {
  std::string key;
  std::vector<uint8_t> bytes;
  std::vector<int64_t> lengths;
};

/// One entry of a dict of tensors: rows in sample order.
struct TensorOutput {
  std::string key;
  std::vector<uint8_t> bytes;
};

/// What `@forward` returned, and what it counted.
struct Outputs {
  /// Rows of a KeyedTensor in sample order, elements of the output's type.
  std::vector<uint8_t> bytes;
  /// The entries of a dict of JaggedTensors, in order of its keys.
  std::vector<JaggedOutput> jagged;
  /// The entries of a dict of tensors, in order of its keys.
  std::vector<TensorOutput> tensors;
  /// Bad ids in the order in which the ops met them.
  std::vector<BadId> badIds;
};

/// Runs `@forward` on a batch for each of its arguments, all of one size.
/// Errors: a batch or a table that is not what the module declares, a bad id
/// under `fatal` or `none`, an op without a meaning.
llvm::Expected<Outputs> interpret(ModuleOp module,
                                  llvm::ArrayRef<Batch> batches,
                                  const TableMap &tables);

} // namespace mlir::trec

#endif // TREC_REFERENCE_INTERPRETER_H
