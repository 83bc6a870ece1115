//===- trec-import-torch.cpp - From TorchScript to model directories ------===//
//
// The command line of the reader and the writer beside it.
//
//===----------------------------------------------------------------------===//

#include "RunApart.h"
#include "WriteCollections.h"

#include "trec/Import/ZipFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;
using namespace mlir::trec;

static const char overview[] = R"(imports models from a TorchScript archive

FILE.pt is what torch.jit.save writes of a quantized collection of TorchRec that
torchrec.fx.symbolic_trace has traced, alone or inside a model: an
EmbeddingBagCollection, with weights by position or without, or an
EmbeddingCollection. Nothing in it is run, and neither FBGEMM nor Python is
needed. A collection that is the archive's own module goes
to MODEL_DIR, one inside to MODEL_DIR/<its qualified name>; each directory gets
model.mlir and model.safetensors, and is printed. Example:

  trec-import-torch model.pt -o model && trec-compile model -o model.so
)";

/// One line of text, whatever an archive has in its names.
static std::string toLine(StringRef message) {
  std::string line;
  for (char c : json::fixUTF8(message))
    line += isPrint(c) || (c & 0x80) ? std::string(1, c)
                                     : "\\x" + utohexstr(uint8_t(c), false, 2);
  return line;
}

/// Names that were made up must not be taken for the model's own.
static void warnOfNames(ArrayRef<Collection> collections) {
  for (const Collection &collection : collections)
    for (const StoredTable &table : collection.tables)
      if (!table.isNamed)
        WithColor::warning(errs(), "trec-import-torch")
            << toLine("the archive has no name for the table of feature '" +
                      table.features.front() + "'; named it '" + table.name +
                      "'")
            << '\n';
}

static int fail(const Twine &message) {
  WithColor::error(errs(), "trec-import-torch")
      << toLine(message.str()) << '\n';
  return 1;
}

static Error importArchive(StringRef archive, StringRef output) {
  // LibTorch does not look at checksums.
  if (Error error = checkZipFile(archive))
    return error;
  ReadResult read = readCollections(archive.str());
  if (!read.error.empty())
    return createStringError(read.error);
  auto written = writeCollections(archive, read.collections, output);
  if (!written)
    return written.takeError();
  warnOfNames(read.collections);
  for (const std::string &directory : *written)
    outs() << directory << '\n';
  return Error::success();
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

  Expected<int> status = runApart([&] {
    Error error = importArchive(archive, output);
    return error ? fail(toString(std::move(error))) : 0;
  });
  if (!status)
    return fail(archive + ": cannot be loaded: LibTorch was ended by " +
                toString(status.takeError()));
  return *status;
}
