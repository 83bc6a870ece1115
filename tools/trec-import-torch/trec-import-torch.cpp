//===- trec-import-torch.cpp - From TorchScript to model directories ------===//
//
// The command line of the reader and the writer beside it.
//
//===----------------------------------------------------------------------===//

#include "WriteCollections.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;
using namespace mlir::trec;

static const char overview[] = R"(imports models from a TorchScript archive

FILE.pt is what torch.jit.save writes of a quantized EmbeddingBagCollection that
torchrec.fx.symbolic_trace has traced, alone or inside a model. Nothing in it is
run, and FBGEMM is not needed. A collection that is the archive's own module goes
to MODEL_DIR, one inside to MODEL_DIR/<its qualified name>; each directory gets
model.mlir and model.safetensors, and is printed. Example:

  trec-import-torch model.pt -o model && trec-compile model -o model.so
)";

/// Names that were made up must not be taken for the model's own.
static void warnOfNames(ArrayRef<Collection> collections) {
  for (const Collection &collection : collections)
    for (const StoredTable &table : collection.tables)
      if (!table.isNamed)
        WithColor::warning(errs(), "trec-import-torch")
            << "the archive has no name for the table of feature '"
            << table.features.front() << "'; named it '" << table.name << "'\n";
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  cl::OptionCategory category("trec-import-torch options");
  cl::opt<std::string> archive(cl::Positional, cl::Required, cl::cat(category),
                               cl::desc("FILE.pt"));
  cl::opt<std::string> output("o", cl::Required, cl::cat(category),
                              cl::value_desc("MODEL_DIR"),
                              cl::desc("directory to write, made if missing"));
  cl::HideUnrelatedOptions(category);
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "trec " TREC_VERSION "\n"; });
  // With a stream for its errors the parser returns instead of exiting with 1.
  if (!cl::ParseCommandLineOptions(argc, argv, overview, &errs()))
    return 2;

  ReadResult read = readCollections(archive);
  Expected<std::vector<std::string>> written =
      read.error.empty() ? writeCollections(archive, read.collections, output)
                         : createStringError(read.error);
  if (!written) {
    WithColor::error(errs(), "trec-import-torch")
        << toString(written.takeError()) << '\n';
    return 1;
  }
  warnOfNames(read.collections);
  for (const std::string &directory : *written)
    outs() << directory << '\n';
  return 0;
}
