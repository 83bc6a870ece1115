//===- trec-run.cpp - Runs, checks and times a compiled model -------------===//
//
// The command line; what each command does is in a file of its own.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;
using namespace mlir::trec;

static const char overview[] = R"(runs, checks and times a compiled model

Give one of --info, --inputs with --outputs, --check and --bench. Examples:

  trec-run model.so --check
  trec-run model.so --inputs=batch.safetensors --outputs=pooled.safetensors
  trec-run model.so --bench --batch=1,512 --threads=2 --json
  trec-run model.so --info --pages=huge
  trec-run model.so --bench --device=cuda
  trec-run model.so --bench --case=python/benchmarks/families/batch.json

A case file is one of python/benchmarks. Its load and run are used; the tables
are those of the model, and no peers are run.
)";

namespace {

/// libLLVM registers options for tools of its own; ours take their names.
struct FreedNames {
  FreedNames() {
    for (StringRef name : {"threads"})
      if (cl::Option *other = cl::getRegisteredOptions().lookup(name))
        other->removeArgument();
  }
};

/// TREC_PAGES_*, as a type.
enum class HeldAs : int32_t {
  map = TREC_PAGES_MAP,
  huge = TREC_PAGES_HUGE,
  choice = TREC_PAGES_AUTO
};

/// TREC_EXACTNESS_*, as a type.
enum class Exactness : int32_t {
  automatic = TREC_EXACTNESS_AUTO,
  check = TREC_EXACTNESS_CHECK,
  off = TREC_EXACTNESS_OFF
};

struct Options : FreedNames {
  cl::OptionCategory commands{"Commands"};
  cl::OptionCategory settings{"Settings"};

  cl::opt<std::string> library{cl::Positional, cl::Required, cl::desc("OUT.so"),
                               cl::cat(commands)};
  cl::opt<bool> info{"info", cl::cat(commands),
                     cl::desc("print what the model says of itself")};
  cl::opt<std::string> inputs{
      "inputs", cl::cat(commands), cl::value_desc("F.safetensors"),
      cl::desc("run a batch: values, lengths or offsets, weights")};
  cl::opt<std::string> outputs{"outputs", cl::cat(commands),
                               cl::value_desc("F.safetensors"),
                               cl::desc("where to write one tensor per key")};
  cl::opt<bool> check{"check", cl::cat(commands),
                      cl::desc("compare random batches with the interpreter")};
  cl::opt<bool> bench{"bench", cl::cat(commands),
                      cl::desc("time random batches")};

  cl::opt<std::string> symbol{
      "symbol", cl::cat(settings), cl::value_desc("NAME"),
      cl::init("trec_model_query"), cl::desc("name of the exported function")};
  cl::opt<std::string> weights{
      "weights", cl::cat(settings), cl::value_desc("F.safetensors"),
      cl::desc("weights, instead of embedded ones or OUT.safetensors")};
  cl::opt<HeldAs> pages{
      "pages", cl::cat(settings), cl::init(HeldAs::map),
      cl::desc("how a weights file is held; --info says what came of it"),
      cl::values(clEnumValN(HeldAs::map, "map", "mapped and shared (default)"),
                 clEnumValN(HeldAs::huge, "huge", "copied to huge pages"),
                 clEnumValN(HeldAs::choice, "auto",
                            "copied where it is large and there is memory"))};
  cl::opt<std::string> caseFile{
      "case", cl::cat(settings), cl::value_desc("F.json"),
      cl::desc("--bench: the batches to time, instead of --batch and "
               "--bag-length")};
  cl::list<int64_t> batch{"batch", cl::cat(settings), cl::CommaSeparated,
                          cl::value_desc("N,..."),
                          cl::desc("batch sizes to check or time")};
  cl::opt<int64_t> bagLength{"bag-length", cl::cat(settings), cl::init(20),
                             cl::desc("ids per bag; --check: at most")};
  cl::opt<uint64_t> seed{"seed", cl::cat(settings), cl::init(1),
                         cl::desc("of random batches and weights")};
  cl::opt<int> threads{"threads", cl::cat(settings), cl::init(1),
                       cl::desc("threads that one call may use")};
  cl::opt<Exactness> exactness{
      "exactness", cl::cat(settings), cl::init(Exactness::automatic),
      cl::desc("look for tables whose sums are exact, which have the same bits "
               "by faster arithmetic:"),
      cl::values(clEnumValN(Exactness::automatic, "auto",
                            "in files of at most 64 MiB"),
                 clEnumValN(Exactness::check, "check", "always"),
                 clEnumValN(Exactness::off, "off", "never"))};
  cl::opt<std::string> device{"device", cl::cat(settings), cl::init("cpu"),
                              cl::value_desc("cpu|cuda[:N]"),
                              cl::desc("where to run; of a GPU see also:")};
  cl::opt<uint64_t> deviceBytes{
      "device-bytes", cl::cat(settings), cl::init(0), cl::value_desc("N"),
      cl::desc("memory of the GPU to take at most: the largest tables stay on "
               "the host")};
  cl::list<std::string> hostTables{
      "host-tables", cl::cat(settings), cl::CommaSeparated,
      cl::value_desc("NAME,..."), cl::desc("tables that stay on the host")};
  cl::opt<int32_t> l2FetchBytes{
      "l2-fetch-bytes", cl::cat(settings), cl::init(0),
      cl::value_desc("32|64|128"),
      cl::desc("what the GPU fetches into its cache at once")};
  cl::opt<uint64_t> l2PersistBytes{
      "l2-persist-bytes", cl::cat(settings), cl::init(0), cl::value_desc("N"),
      cl::desc("what of the GPU's cache is set aside for tables")};
  cl::opt<bool> json{"json", cl::cat(settings),
                     cl::desc("print the times as JSON")};

  const char *findMisuse() const;
  Error run() const;
  /// Nothing where --device names none.
  std::optional<DeviceOptions> readDevice() const;
};

} // namespace

/// Null where the options go together, else why not.
const char *Options::findMisuse() const {
  bool run = !inputs.empty() || !outputs.empty();
  if (info + check + bench + run != 1)
    return "expected one of --info, --inputs with --outputs, --check and "
           "--bench";
  if (inputs.empty() != outputs.empty())
    return "expected --inputs and --outputs together";
  if (!caseFile.empty() &&
      (!bench || !batch.empty() || bagLength.getNumOccurrences() ||
       pages.getNumOccurrences()))
    return "expected --case with --bench, and without --batch, --bag-length "
           "and --pages";
  std::optional<DeviceOptions> placed = readDevice();
  if (!placed)
    return "expected --device=cpu, --device=cuda or --device=cuda:N";
  if (placed->index < 0 && placed->isAsked())
    return "expected --device-bytes, --host-tables, --l2-fetch-bytes and "
           "--l2-persist-bytes with --device=cuda";
  if (any_of(batch, [](int64_t size) { return size < 0; }) || bagLength < 0 ||
      threads < 1)
    return "expected --batch and --bag-length of at least 0 and --threads of "
           "at least 1";
  return nullptr;
}

std::optional<DeviceOptions> Options::readDevice() const {
  DeviceOptions result{-1,
                       deviceBytes,
                       {hostTables.begin(), hostTables.end()},
                       l2FetchBytes,
                       l2PersistBytes};
  StringRef text = device;
  if (text == "cpu")
    return result;
  if (!text.consume_front("cuda"))
    return std::nullopt;
  unsigned index = 0;
  if (!text.empty() && (!text.consume_front(":") ||
                        text.getAsInteger(10, index) || index > INT_MAX))
    return std::nullopt;
  result.index = int(index);
  return result;
}

Error Options::run() const {
  Expected<ModelLibrary> model = ModelLibrary::open(library, symbol);
  if (!model)
    return model.takeError();
  RunOptions options{{weights, int32_t(pages.getValue()), threads,
                      int32_t(exactness.getValue()), *readDevice()},
                     inputs,
                     outputs,
                     seed,
                     caseFile,
                     {batch.begin(), batch.end()},
                     bagLength,
                     json};
  if (info)
    return printInfo(*model, options, outs());
  if (check)
    return checkModel(*model, options, outs());
  if (bench)
    return benchModel(*model, options, outs());
  return runFile(*model, options);
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  Options options;
  cl::HideUnrelatedOptions({&options.commands, &options.settings});
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "trec " TREC_VERSION "\n"; });
  // With a stream for its errors the parser returns instead of exiting with 1.
  if (!cl::ParseCommandLineOptions(argc, argv, overview, &errs()))
    return 2;
  if (const char *misuse = options.findMisuse()) {
    WithColor::error(errs(), "trec-run") << misuse << '\n';
    return 2;
  }
  Error error = options.run();
  if (!error)
    return 0;
  WithColor::error(errs(), "trec-run") << toString(std::move(error)) << '\n';
  return 1;
}
