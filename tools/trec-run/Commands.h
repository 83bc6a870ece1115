//===- Commands.h - What trec-run does --------------------------*- C++ -*-===//

#ifndef TREC_TOOLS_TREC_RUN_COMMANDS_H
#define TREC_TOOLS_TREC_RUN_COMMANDS_H

#include "trec/Run/Model.h"

#include "llvm/Support/raw_ostream.h"

namespace mlir::trec {

/// The values of the options, copied out of the command line.
struct RunOptions : LoadOptions {
  std::string inputs;
  std::string outputs;
  uint64_t seed = 0;
  /// --bench: where the loads are; empty: described by what follows.
  std::string caseFile;
  /// Empty: the command's own.
  std::vector<int64_t> batchSizes;
  int64_t bagLength = 20;
  bool json = false;
};

/// --info: prints what the library says of itself; where weights are chosen, or
/// what is done with them, also what the runtime finds out about them.
llvm::Error printInfo(const ModelLibrary &library, const RunOptions &options,
                      raw_ostream &os);

/// --inputs and --outputs: runs one batch from file to file.
llvm::Error runFile(const ModelLibrary &library, const RunOptions &options);

/// --check: compares random batches with the interpreter, bit by bit, or of
/// relaxed numerics within their bound.
llvm::Error checkModel(const ModelLibrary &library, const RunOptions &options,
                       raw_ostream &os);

/// --bench: times random batches, those of a case file where one is given.
llvm::Error benchModel(const ModelLibrary &library, const RunOptions &options,
                       raw_ostream &os);

} // namespace mlir::trec

#endif // TREC_TOOLS_TREC_RUN_COMMANDS_H
