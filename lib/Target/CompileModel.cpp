//===- CompileModel.cpp - An imported model to files ----------------------===//

#include "trec/Target/CompileModel.h"

#include "CompileGPU.h"
#include "Report.h"
#include "trec/Target/EmitHeader.h"
#include "trec/Target/ExportedSymbol.h"
#include "trec/Target/KernelTable.h"
#include "trec/Target/LinkSharedLibrary.h"

#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <atomic>

using namespace mlir;
using namespace mlir::trec;

/// Beyond this the code that is linked together no longer reaches its data with
/// 32-bit displacements.
static constexpr uint64_t kMaxEmbeddedBytes = uint64_t(1) << 30;

/// The file beside the output with another extension.
static std::string getCompanion(const CompileOptions &options,
                                StringRef extension) {
  SmallString<128> path(options.output);
  llvm::sys::path::replace_extension(path, extension);
  return path.str().str();
}

/// What is written is of GPUs alone.
static bool isOfGPUs(const CompileOptions &options) {
  return options.stopAfterGPU ||
         (!options.stopAfter && options.emit == EmitKind::ptx);
}

static bool isBinary(const CompileOptions &options) {
  return !options.stopAfter && !options.stopAfterGPU &&
         (options.emit == EmitKind::object ||
          options.emit == EmitKind::sharedLibrary);
}

/// No file that is written may take the place of another.
static llvm::Error checkFiles(const CompileOptions &options) {
  SmallVector<std::string> files = {options.output};
  if (isBinary(options) && options.emit == EmitKind::sharedLibrary)
    llvm::append_values(files, getCompanion(options, "h"),
                        getCompanion(options, "manifest.json"));
  if (isBinary(options) && !options.report.empty())
    files.push_back(options.report);
  if (!options.tuneCache.empty())
    files.push_back(options.tuneCache);
  for (size_t i = 0; i < files.size(); ++i)
    if (llvm::is_contained(ArrayRef(files).drop_front(i + 1), files[i]))
      return llvm::createStringError(
          "expected different names for the output, its header, its "
          "manifest, the report and the tuning cache, got '" +
          files[i] + "' twice");
  return llvm::Error::success();
}

/// All CPUs of `--cpu`, or the default, each once.
static llvm::Expected<std::vector<CPUTarget>>
resolveCPUs(const CompileOptions &options) {
  llvm::Expected<Architecture> architecture = resolveTriple(options.target);
  if (!architecture)
    return architecture.takeError();
  llvm::SmallSetVector<StringRef, 4> names(options.cpus.begin(),
                                           options.cpus.end());
  if (names.empty())
    names.insert(getDefaultCPU(*architecture));
  std::vector<CPUTarget> targets;
  for (StringRef name : names) {
    llvm::Expected<CPUTarget> target = resolveCPU(name, *architecture);
    if (!target)
      return target.takeError();
    targets.push_back(std::move(*target));
  }
  return targets;
}

llvm::Error mlir::trec::checkOptions(const CompileOptions &options) {
  llvm::Expected<std::vector<CPUTarget>> targets = resolveCPUs(options);
  if (!targets)
    return targets.takeError();
  if (llvm::Error error = checkGPUOptions(options))
    return error;
  if (!isBinary(options) && !isOfGPUs(options) && targets->size() != 1)
    return llvm::createStringError(
        "expected one CPU for this kind of output, got " +
        Twine(targets->size()));
  if (llvm::Error error = checkExportedSymbol(options.symbol))
    return error;
  return checkFiles(options);
}

namespace {

class ModelCompiler {
public:
  ModelCompiler(ModuleOp imported, const CompileOptions &options)
      : imported(imported), options(options) {}

  LogicalResult run();

private:
  void resolveLevels();
  LogicalResult readTuningCache();
  LogicalResult createDumpFolder(const LevelKernels &level);
  LogicalResult lowerLevel(LevelKernels &level);
  LogicalResult runStage(ModuleOp module, CPUStage stage,
                         const LevelKernels &level);
  LogicalResult writeStage(const LevelKernels &level);
  LogicalResult writeText(LevelKernels &level);
  LogicalResult dumpText(LevelKernels &level);
  LogicalResult compileLevels();
  LogicalResult compileForGPUs();
  void mergeKernelTable(ModuleOp module, const LevelKernels &level);
  FailureOr<std::string> compileImage();
  FailureOr<std::string> readEmbeddedWeights();
  LogicalResult link(StringRef imageObject);
  LogicalResult writeCompanions();
  LogicalResult writeFile(StringRef path, StringRef text);
  LogicalResult check(llvm::Error error);
  void progress(StringRef what, size_t done, size_t total) {
    if (options.onProgress)
      options.onProgress(what, done, total);
  }
  bool isText() const {
    return options.emit == EmitKind::llvm || options.emit == EmitKind::assembly;
  }

  ModuleOp imported;
  const CompileOptions &options;
  std::optional<Manifest> manifest;
  std::optional<TuningCache> cache;
  std::vector<LevelKernels> levels;
  GPUKernels gpu;
  OwningOpRef<ModuleOp> lowered; // of the level at hand
  OwningOpRef<ModuleOp> image;   // descriptors, kernel tables, declarations
};

} // namespace

LogicalResult ModelCompiler::check(llvm::Error error) {
  if (!error)
    return success();
  return imported.emitError() << llvm::toString(std::move(error));
}

LogicalResult ModelCompiler::writeFile(StringRef path, StringRef text) {
  return check(llvm::writeToOutput(path, [&](raw_ostream &os) {
    os << text;
    return llvm::Error::success();
  }));
}

/// The levels to compile for, the best first: the runtime takes the first that
/// the machine can run.
void ModelCompiler::resolveLevels() {
  for (CPUTarget &target : llvm::cantFail(resolveCPUs(options))) {
    auto isSame = [&](const LevelKernels &level) {
      return level.target.name == target.name;
    };
    if (!llvm::any_of(levels, isSame))
      levels.push_back({std::move(target), "", {}, {}});
  }
  auto getRank = [](const LevelKernels &level) {
    return std::pair(level.target.level->vectorBits,
                     llvm::popcount(level.target.featureMask));
  };
  llvm::stable_sort(levels, [&](const LevelKernels &a, const LevelKernels &b) {
    return getRank(a) > getRank(b);
  });
  for (LevelKernels &level : levels)
    level.suffix = "." + level.target.name;
}

/// What was measured on one kind of CPU says nothing of another that is named;
/// of a level, every user of the cache has to know.
LogicalResult ModelCompiler::readTuningCache() {
  if (options.tuneCache.empty())
    return success();
  llvm::Expected<TuningCache> read =
      TuningCache::read(options.tuneCache, imported.getContext());
  if (!read)
    return check(read.takeError());
  cache = std::move(*read);
  for (const LevelKernels &level : levels)
    if (cache->size() && !findCPULevel(level.target.name) &&
        level.target.name != cache->getMachine())
      return imported.emitError()
             << options.tuneCache << ": measured on '" << cache->getMachine()
             << "', and cannot be used for '" << level.target.name
             << "'; expected that CPU or one of " << listCPULevels();
  return success();
}

/// Before passes dump into it: they would make no more than the last folder of
/// a path, and go on where they cannot.
LogicalResult ModelCompiler::createDumpFolder(const LevelKernels &level) {
  if (options.dumpFolder.empty())
    return success();
  SmallString<128> folder(options.dumpFolder);
  llvm::sys::path::append(folder, level.target.name);
  std::error_code error = llvm::sys::fs::create_directories(folder);
  if (!error)
    return success();
  return imported.emitError()
         << "cannot create folder " << folder << ": " << error.message();
}

LogicalResult ModelCompiler::runStage(ModuleOp module, CPUStage stage,
                                      const LevelKernels &level) {
  PassManager pm(module.getContext());
  if (!options.dumpFolder.empty()) {
    SmallString<128> folder(options.dumpFolder);
    llvm::sys::path::append(folder, level.target.name,
                            Twine(int(stage)) + "-" + stringifyCPUStage(stage));
    pm.enableIRPrintingToFileTree([](Pass *, Operation *) { return false; },
                                  [](Pass *, Operation *) { return true; },
                                  /*printModuleScope=*/false,
                                  /*printAfterOnlyOnChange=*/true,
                                  /*printAfterOnlyOnFailure=*/false, folder);
  }
  CPUPipelineOptions pipeline;
  pipeline.cpu = level.target.level->name.str();
  pipeline.numerics = stringifyNumerics(options.numerics).str();
  pipeline.tuneCache = options.tuneCache;
  pipeline.suffix = level.suffix;
  buildCPUStage(pm, stage, pipeline);
  return pm.run(module);
}

/// Takes a copy of the model through the stages, up to the one to stop after.
LogicalResult ModelCompiler::lowerLevel(LevelKernels &level) {
  lowered = imported.clone();
  for (CPUStage stage : getCPUStages()) {
    progress("lowering: " + stringifyCPUStage(stage).str(), int(stage),
             getCPUStages().size());
    if (failed(runStage(*lowered, stage, level)))
      return failure();
    if (stage == CPUStage::group) {
      FailureOr<Manifest> read = readManifest(*lowered);
      if (failed(read))
        return failure();
      level.schedules = readSchedules(*lowered, *level.target.level,
                                      cache ? &*cache : nullptr);
      if (!manifest)
        manifest = std::move(*read);
    }
    if (options.stopAfter == stage)
      return success();
  }
  return success();
}

LogicalResult ModelCompiler::writeStage(const LevelKernels &level) {
  std::string text;
  llvm::raw_string_ostream os(text);
  lowered->print(os);
  return writeFile(options.output, text);
}

static llvm::Expected<std::string>
compileWhole(ModuleOp module, const CPUTarget &target, OutputKind kind) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> translated =
      translateModuleToLLVMIR(module, context, "trec");
  if (!translated)
    return llvm::createStringError("cannot translate to LLVM IR");
  return compileModule(*translated, target, kind);
}

/// Writes all kernels and descriptors as one file of LLVM IR or assembly.
LogicalResult ModelCompiler::writeText(LevelKernels &level) {
  OutputKind kind = options.emit == EmitKind::llvm ? OutputKind::llvmIR
                                                   : OutputKind::assembly;
  llvm::Expected<std::string> text = compileWhole(*lowered, level.target, kind);
  if (!text)
    return check(text.takeError());
  return writeFile(options.output, *text);
}

/// Adds LLVM IR and assembly to the folder of dumps.
LogicalResult ModelCompiler::dumpText(LevelKernels &level) {
  for (auto [kind, name] : {std::pair(OutputKind::llvmIR, "kernels.ll"),
                            std::pair(OutputKind::assembly, "kernels.s")}) {
    llvm::Expected<std::string> text =
        compileWhole(*lowered, level.target, kind);
    if (!text)
      return check(text.takeError());
    SmallString<128> path(options.dumpFolder);
    llvm::sys::path::append(path, level.target.name, name);
    if (failed(writeFile(path, *text)))
      return failure();
  }
  return success();
}

/// Keeps what the image needs of a level once its kernels are split off.
void ModelCompiler::mergeKernelTable(ModuleOp module,
                                     const LevelKernels &level) {
  if (!image) {
    image = module.clone();
    return;
  }
  OpBuilder builder = OpBuilder::atBlockEnd(image->getBody());
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    builder.clone(*function);
  SymbolTable symbols(module);
  builder.clone(*symbols.lookup("trec_kernels" + level.suffix));
}

LogicalResult ModelCompiler::compileLevels() {
  for (LevelKernels &level : levels) {
    if (failed(createDumpFolder(level)) || failed(lowerLevel(level)))
      return failure();
    if (options.stopAfter || options.emit == EmitKind::mlir)
      return writeStage(level);
    if (!options.dumpFolder.empty() && failed(dumpText(level)))
      return failure();
    if (isText())
      return writeText(level);
    level.units = splitKernels(*lowered);
    mergeKernelTable(*lowered, level);
    std::atomic<size_t> done = 0;
    std::string what = "generating code for " + level.target.name;
    if (failed(
            compileKernels(level.units, level.target, OutputKind::object, [&] {
              progress(what, ++done, level.units.size());
            })))
      return failure();
  }
  return success();
}

LogicalResult ModelCompiler::compileForGPUs() {
  if (options.gpus.empty())
    return success();
  GPUCompiler compiler(imported, options);
  if (failed(compiler.run()))
    return failure();
  gpu = compiler.getKernels();
  assert(gpu.configurations.size() == manifest->kernels.size() &&
         "both kinds of devices have the same groups");
  return success();
}

/// The imported module as bytecode, without locations: they would carry the
/// path of the file that it was read from.
static FailureOr<std::string> writeBytecode(ModuleOp imported) {
  OwningOpRef<ModuleOp> copy = imported.clone();
  PassManager pm(imported.getContext());
  pm.addPass(createStripDebugInfoPass());
  std::string bytecode;
  llvm::raw_string_ostream os(bytecode);
  if (failed(pm.run(*copy)) || failed(writeBytecodeToFile(*copy, os)))
    return failure();
  return bytecode;
}

FailureOr<std::string> ModelCompiler::readEmbeddedWeights() {
  if (options.embeddedWeights.empty())
    return std::string();
  auto buffer = llvm::MemoryBuffer::getFile(options.embeddedWeights,
                                            /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return imported.emitError()
           << "cannot read weights to embed from " << options.embeddedWeights
           << ": " << buffer.getError().message();
  if ((*buffer)->getBufferSize() > kMaxEmbeddedBytes)
    return imported.emitError()
           << "expected at most " << kMaxEmbeddedBytes
           << " bytes of weights to embed, got " << (*buffer)->getBufferSize()
           << " in " << options.embeddedWeights
           << "; keep them outside with --weights=external";
  return (*buffer)->getBuffer().str();
}

/// Compiles descriptors, kernel tables and metadata of all levels. Their code
/// is one call, for the lowest CPU of all.
FailureOr<std::string> ModelCompiler::compileImage() {
  FailureOr<std::string> bytecode = writeBytecode(imported);
  FailureOr<std::string> weights = readEmbeddedWeights();
  if (failed(bytecode) || failed(weights))
    return failure();
  std::vector<CPUTarget> targets;
  std::vector<std::string> tables;
  for (const LevelKernels &level : levels) {
    targets.push_back(level.target);
    tables.push_back("trec_kernels" + level.suffix);
  }
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(*image, context, "trec_image");
  if (!module)
    return failure();
  std::string metadata = renderMetadata(*manifest, targets, gpu);
  addModelImage(
      *module, *manifest,
      {targets, tables, options.symbol, metadata, *bytecode, *weights, &gpu});
  llvm::Expected<std::string> object = compileModule(
      *module, targets.back(), OutputKind::object, options.symbol);
  if (!object)
    return check(object.takeError());
  return std::move(*object);
}

LogicalResult ModelCompiler::link(StringRef imageObject) {
  progress("linking", 0, 1);
  SmallVector<StringRef> objects;
  for (const LevelKernels &level : levels)
    for (const KernelUnit &unit : level.units)
      objects.push_back(unit.output);
  objects.push_back(imageObject);
  return check(options.emit == EmitKind::object
                   ? linkRelocatable(objects, options.output)
                   : linkSharedLibrary(
                         objects, levels.front().target.level->architecture,
                         options.output));
}

/// The header and the manifest that stand beside a shared library.
LogicalResult ModelCompiler::writeCompanions() {
  if (failed(writeFile(getCompanion(options, "h"),
                       renderHeader(*manifest, options.symbol))))
    return failure();
  std::vector<CPUTarget> targets;
  for (const LevelKernels &level : levels)
    targets.push_back(level.target);
  return writeFile(getCompanion(options, "manifest.json"),
                   renderMetadata(*manifest, targets, gpu) + "\n");
}

LogicalResult ModelCompiler::run() {
  if (failed(check(checkOptions(options))))
    return failure();
  if (isOfGPUs(options))
    return GPUCompiler(imported, options).run();
  resolveLevels();
  if (failed(readTuningCache()) || failed(compileLevels()))
    return failure();
  if (!isBinary(options))
    return success();
  if (failed(compileForGPUs()))
    return failure();

  FailureOr<std::string> imageObject = compileImage();
  if (failed(imageObject))
    return failure();
  // Before linking, which resets the command line options of the process.
  if (!options.report.empty() &&
      failed(writeFile(options.report, renderReport(*manifest, levels, gpu))))
    return failure();
  if (options.emit == EmitKind::sharedLibrary && failed(writeCompanions()))
    return failure();
  return link(*imageObject);
}

LogicalResult mlir::trec::compileModel(ModuleOp module,
                                       const CompileOptions &options) {
  return ModelCompiler(module, options).run();
}
