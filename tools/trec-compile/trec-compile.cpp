//===- trec-compile.cpp - The ahead-of-time compiler ----------------------===//
//
// Reads a model as `trec.export` or `trec-import` wrote it and compiles it to a
// shared library with its header and manifest.
//
//===----------------------------------------------------------------------===//

#include "CudaFolders.h"
#include "trec/IR/TrecDialect.h"
#include "trec/Target/CompileModel.h"
#include "trec/Tune/TuneModel.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/SourceMgr.h"

#include <mutex>

using namespace mlir;
using namespace mlir::trec;
namespace cl = llvm::cl;

static cl::OptionCategory category("trec-compile options");

static cl::opt<std::string> input(cl::Positional, cl::Required,
                                  cl::desc("<model folder or .mlir file>"),
                                  cl::cat(category));
static cl::opt<std::string>
    output("o", cl::value_desc("file"), cl::cat(category),
           cl::desc("File to write; a shared library x.so comes with x.h and "
                    "x.manifest.json. Default: model.so beside the model"));
static cl::list<std::string>
    cpus("cpu", cl::CommaSeparated, cl::value_desc("name,…"), cl::cat(category),
         cl::desc("CPUs to generate code for: native (default), x86-64-v2, "
                  "x86-64-v3, x86-64-v4, or a name that LLVM knows; for "
                  "aarch64-linux-gnu armv8-a (default), sve-256, sve-512, or "
                  "such a name. Several: one library, the best chosen when it "
                  "is loaded"));
static cl::opt<std::string>
    target("target", cl::value_desc("triple"), cl::cat(category),
           cl::desc("What to compile for: x86_64-linux-gnu or "
                    "aarch64-linux-gnu. Default: this machine"));
static cl::list<std::string>
    gpus("gpu", cl::CommaSeparated, cl::value_desc("chip,…"), cl::cat(category),
         cl::desc("GPUs to generate code for too: sm_80, sm_90, … (sm_90a is "
                  "taken as sm_90). Default: none. One library has the code of "
                  "all, and that of the last in a "
                  "form that later chips run"));
static cl::opt<EmitKind> emit(
    "emit", cl::desc("Kind of file to write:"), cl::cat(category),
    cl::init(EmitKind::sharedLibrary),
    cl::values(
        clEnumValN(EmitKind::mlir, "mlir", "IR after the last stage"),
        clEnumValN(EmitKind::llvm, "llvm", "optimized LLVM IR of the kernels"),
        clEnumValN(EmitKind::assembly, "asm", "assembly of the kernels"),
        clEnumValN(EmitKind::ptx, "ptx", "PTX of the kernels for GPUs"),
        clEnumValN(EmitKind::object, "obj",
                   "relocatable object, without the runtime"),
        clEnumValN(EmitKind::sharedLibrary, "so", "shared library (default)")));
/// The stages of CPUs, and those of GPUs that differ.
enum class StopAfter {
  import,
  fuse,
  group,
  kernels,
  llvm,
  gpuGroup,
  gpuKernels,
  nvvm
};
/// libLLVM has a -stop-after of its own, for passes of code generation, which
/// this one replaces: hence made in `main` and not before it.
static cl::opt<StopAfter> &getStopAfter() {
  static bool removed = [] {
    cl::getRegisteredOptions().lookup("stop-after")->removeArgument();
    return true;
  }();
  (void)removed;
  static cl::opt<StopAfter> stopAfter(
      "stop-after", cl::desc("Write the IR after a stage and stop:"),
      cl::cat(category),
      cl::values(clEnumValN(StopAfter::import, "import", "checked input"),
                 clEnumValN(StopAfter::fuse, "fuse", "one op per lookup"),
                 clEnumValN(StopAfter::group, "group",
                            "groups of tables with their lowering"),
                 clEnumValN(StopAfter::kernels, "kernels",
                            "kernels in vector, scf and memref"),
                 clEnumValN(StopAfter::llvm, "llvm", "the LLVM dialect"),
                 clEnumValN(StopAfter::gpuGroup, "gpu-group",
                            "groups of tables with their lowering for GPUs"),
                 clEnumValN(StopAfter::gpuKernels, "gpu-kernels",
                            "a gpu.module in scf, vector and llvm"),
                 clEnumValN(StopAfter::nvvm, "nvvm", "the NVVM dialect")));
  return stopAfter;
}
enum class WeightsPlace { external, embed };
static cl::opt<WeightsPlace> weights(
    "weights", cl::desc("Where the weights are at run time:"),
    cl::cat(category), cl::init(WeightsPlace::external),
    cl::values(clEnumValN(WeightsPlace::external, "external",
                          "in the safetensors file (default)"),
               clEnumValN(WeightsPlace::embed, "embed",
                          "inside the shared library, for small models")));
enum class NumericsOption { fbgemm, cpu, relaxed };
static cl::opt<NumericsOption> numerics(
    "numerics", cl::desc("Whose numbers the kernels compute:"),
    cl::cat(category), cl::init(NumericsOption::fbgemm),
    cl::values(clEnumValN(NumericsOption::fbgemm, "fbgemm",
                          "FBGEMM's on the same kind of device, bit for bit "
                          "(default)"),
               clEnumValN(NumericsOption::cpu, "cpu",
                          "FBGEMM's on a CPU; for CPU code the same"),
               clEnumValN(NumericsOption::relaxed, "relaxed",
                          "sums in whatever order is fastest, within a "
                          "rounding error per row: on CPUs of INT8, INT4 and "
                          "INT2 rows, on GPUs of all")));
static cl::opt<std::string>
    symbol("symbol", cl::value_desc("name"), cl::init("trec_model_query"),
           cl::cat(category), cl::desc("Name of the one exported function"));
static cl::opt<std::string>
    dumpFolder("dump-ir-to", cl::value_desc("folder"), cl::cat(category),
               cl::desc("Write the IR after each pass that changed it"));
static cl::opt<std::string>
    report("report", cl::value_desc("file.json"), cl::cat(category),
           cl::desc("Write how each table is looked up and why, what a lookup "
                    "reads, and its predicted and measured time"));
static cl::opt<std::string>
    tune("tune", cl::ValueOptional, cl::value_desc("load"), cl::cat(category),
         cl::desc("Measure on this machine which lowerings are fastest and "
                  "compile with them. The load is a benchmark case (.json) or "
                  "a recorded batch as trec-run --inputs takes it "
                  "(.safetensors); default: 256 bags of 20 ids, on a GPU 8192 "
                  "too"));
static cl::opt<std::string>
    tuneDevice("tune-device", cl::value_desc("cpu|cuda[:N]"), cl::init("cpu"),
               cl::cat(category),
               cl::desc("What to measure on: the CPU (default), or a GPU of "
                        "this machine whose chip --gpu names"));
static cl::opt<std::string> tuneCache(
    "tune-cache", cl::value_desc("file.json"), cl::cat(category),
    cl::desc("Measured lowerings to compile with; the same file gives the same "
             "bytes. With --tune the file that is written, x.tune.json by "
             "default"));

static constexpr char kOverview[] =
    "trec ahead-of-time compiler\n\n"
    "  Compiles a model of quantized embedding tables to a shared library.\n\n"
    "  Example: trec-compile model --cpu=x86-64-v3 -o model.so\n"
    "           trec-compile model --gpu=sm_80,sm_90 -o model.so\n"
    "           trec-compile model -o model.so --tune --report=model.json\n"
    "           trec-compile model --gpu=sm_90 -o model.so --tune "
    "--tune-device=cuda\n";

/// The model's files: `model.mlir` of a folder, or the file and what is beside
/// it.
static std::string getModelFile() {
  SmallString<128> path(StringRef{input});
  if (llvm::sys::fs::is_directory(path))
    llvm::sys::path::append(path, "model.mlir");
  return path.str().str();
}

static std::string getSibling(StringRef file, StringRef extension) {
  SmallString<128> path(file);
  llvm::sys::path::replace_extension(path, extension);
  return path.str().str();
}

/// Draws one line that is overwritten as the work goes on.
static void showProgress(StringRef what, size_t done, size_t total) {
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  llvm::errs() << "\r\x1b[K" << what;
  if (total > 1)
    llvm::errs() << ' ' << done << '/' << total;
}

static void setStopAfter(CompileOptions &options) {
  if (!getStopAfter().getNumOccurrences())
    return;
  switch (StopAfter stage = getStopAfter()) {
  case StopAfter::gpuGroup:
    options.stopAfterGPU = GPUStage::group;
    return;
  case StopAfter::gpuKernels:
    options.stopAfterGPU = GPUStage::kernels;
    return;
  case StopAfter::nvvm:
    options.stopAfterGPU = GPUStage::nvvm;
    return;
  default:
    options.stopAfter = getCPUStages()[size_t(stage)];
  }
}

static CompileOptions getOptions(StringRef modelFile, const char *program) {
  CompileOptions options;
  options.output = output.empty() ? getSibling(modelFile, "so") : output;
  options.target = target;
  options.cpus.assign(cpus.begin(), cpus.end());
  options.emit = emit;
  options.gpus.assign(gpus.begin(), gpus.end());
  options.ptxasFolders = listCudaFolders(program);
  if (numerics == NumericsOption::relaxed) {
    options.numerics = Numerics::relaxed;
    options.gpuNumerics = GPUNumerics::relaxed;
  }
  if (numerics == NumericsOption::cpu)
    options.gpuNumerics = GPUNumerics::cpu;
  setStopAfter(options);
  options.symbol = symbol;
  if (weights == WeightsPlace::embed)
    options.embeddedWeights = getSibling(modelFile, "safetensors");
  options.dumpFolder = dumpFolder;
  options.report = report;
  options.tuneCache = tuneCache;
  if (tune.getNumOccurrences() && tuneCache.empty())
    options.tuneCache = getSibling(options.output, "tune.json");
  if (llvm::sys::Process::StandardErrIsDisplayed())
    options.onProgress = showProgress;
  return options;
}

/// The GPU of --tune-device as CUDA counts them, -1 for the CPU; nothing where
/// it names neither.
static std::optional<int> readTuneDevice() {
  StringRef text = tuneDevice;
  if (text == "cpu")
    return -1;
  unsigned index = 0;
  if (!text.consume_front("cuda") ||
      (!text.empty() && (!text.consume_front(":") ||
                         text.getAsInteger(10, index) || index > INT_MAX)))
    return std::nullopt;
  return int(index);
}

/// Null where the options of tuning go together, else why not.
static const char *findMisuse() {
  std::optional<int> device = readTuneDevice();
  if (!device)
    return "expected --tune-device=cpu, --tune-device=cuda or "
           "--tune-device=cuda:N";
  if (tuneDevice.getNumOccurrences() && !tune.getNumOccurrences())
    return "expected --tune with --tune-device";
  if (*device >= 0 && gpus.empty())
    return "expected --gpu with --tune-device=cuda";
  return nullptr;
}

static LogicalResult tuneFor(ModuleOp module, const CompileOptions &options) {
  int device = *readTuneDevice();
  if (device >= 0)
    return tuneModelOnGPU(module, {device, tune, options}, llvm::outs());
  TuneOptions tuning{options.target, options.cpus, tune, options.tuneCache,
                     options.onProgress};
  return tuneModel(module, tuning, llvm::outs());
}

/// Measures, where that is asked for, before it compiles with what was found.
static LogicalResult tuneAndCompile(ModuleOp module,
                                    const CompileOptions &options) {
  if (tune.getNumOccurrences() && failed(tuneFor(module, options)))
    return failure();
  return compileModel(module, options);
}

static LogicalResult compile(StringRef modelFile,
                             const CompileOptions &options) {
  DialectRegistry registry;
  registry.insert<TrecDialect>();
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  registerGPUConversions(registry);
  MLIRContext context(registry);
  // A model may be megabytes; the line that is wrong says enough.
  context.printOpOnDiagnostic(false);
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler handler(sources, &context);
  OwningOpRef<ModuleOp> module =
      parseSourceFile<ModuleOp>(modelFile, sources, &context);
  LogicalResult result = module ? tuneAndCompile(*module, options) : failure();
  if (options.onProgress)
    llvm::errs() << "\r\x1b[K";
  return result;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  getStopAfter();
  cl::HideUnrelatedOptions(category);
  std::string errors;
  llvm::raw_string_ostream errorStream(errors);
  if (!cl::ParseCommandLineOptions(argc, argv, kOverview, &errorStream)) {
    llvm::errs() << errors;
    return 2;
  }
  if (const char *misuse = findMisuse()) {
    llvm::errs() << "trec-compile: " << misuse << '\n';
    return 2;
  }
  std::string modelFile = getModelFile();
  CompileOptions options = getOptions(modelFile, argv[0]);
  if (llvm::Error error = checkOptions(options)) {
    llvm::errs() << "trec-compile: " << llvm::toString(std::move(error))
                 << '\n';
    return 2;
  }
  return failed(compile(modelFile, options)) ? 1 : 0;
}
