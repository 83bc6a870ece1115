//===- trec-import.cpp - From a JSON spec to a model directory ------------===//
//
// The command line of lib/Import.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/ImportModel.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;

static const char overview[] = R"(imports a model from a JSON spec

Writes MODEL_DIR/model.mlir and MODEL_DIR/model.safetensors, what trec-compile
reads. The weights that the spec names are a safetensors file of its tables, or a
module's state dict, as safetensors or as torch.save writes it. Example:

  trec-import spec.json -o model && trec-compile model -o model.so
)";

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  cl::OptionCategory category("trec-import options");
  cl::opt<std::string> spec(cl::Positional, cl::Required, cl::cat(category),
                            cl::desc("SPEC.json"));
  cl::opt<std::string> output("o", cl::Required, cl::cat(category),
                              cl::value_desc("MODEL_DIR"),
                              cl::desc("directory to write, made if missing"));
  cl::opt<bool> noWeights("no-weights", cl::cat(category),
                          cl::desc("write model.mlir alone"));
  cl::HideUnrelatedOptions(category);
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "trec " TREC_VERSION "\n"; });
  // With a stream for its errors the parser returns instead of exiting with 1.
  if (!cl::ParseCommandLineOptions(argc, argv, overview, &errs()))
    return 2;

  Error error = mlir::trec::importModel({spec, output, !noWeights});
  if (!error)
    return 0;
  WithColor::error(errs(), "trec-import") << toString(std::move(error)) << '\n';
  return 1;
}
