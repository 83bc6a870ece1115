//===- CompileGPU.cpp - An imported model to the code of GPUs -------------===//

#include "CompileGPU.h"

#include "mlir/IR/Threading.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Path.h"

#include <atomic>

using namespace mlir;
using namespace mlir::trec;

llvm::Error mlir::trec::checkGPUOptions(const CompileOptions &options) {
  llvm::StringSet<> chips;
  for (StringRef name : options.gpus) {
    llvm::Expected<GPUTarget> target = resolveGPU(name);
    if (!target)
      return target.takeError();
    chips.insert(target->chip);
  }
  bool needsOne = options.stopAfterGPU || options.emit == EmitKind::ptx;
  if (needsOne && chips.size() != 1)
    return llvm::createStringError(
        "expected one GPU for this kind of output, got " + Twine(chips.size()));
  return llvm::Error::success();
}

LogicalResult GPUCompiler::check(llvm::Error error) {
  if (!error)
    return success();
  return imported.emitError() << llvm::toString(std::move(error));
}

LogicalResult GPUCompiler::write(StringRef path, StringRef text) {
  return check(llvm::writeToOutput(path, [&](raw_ostream &os) {
    os << text;
    return llvm::Error::success();
  }));
}

SmallVector<std::string> GPUCompiler::listChips() const {
  return llvm::map_to_vector(kernels.binaries, [](const GPUBinary &binary) {
    return binary.target.chip;
  });
}

LogicalResult GPUCompiler::readTuningCache() {
  if (options.tuneCache.empty())
    return success();
  llvm::Expected<TuningCache> read =
      TuningCache::read(options.tuneCache, imported.getContext());
  if (!read)
    return check(read.takeError());
  cache = std::move(*read);
  return success();
}

LogicalResult GPUCompiler::runStage(ModuleOp module, GPUStage stage,
                                    const GPUTarget &target) {
  PassManager pm(module.getContext());
  if (!options.dumpFolder.empty()) {
    SmallString<128> folder(options.dumpFolder);
    llvm::sys::path::append(folder, target.chip,
                            Twine(int(stage)) + "-" + stringifyGPUStage(stage));
    if (std::error_code error = llvm::sys::fs::create_directories(folder))
      return imported.emitError()
             << "cannot create folder " << folder << ": " << error.message();
    pm.enableIRPrintingToFileTree([](Pass *, Operation *) { return false; },
                                  [](Pass *, Operation *) { return true; },
                                  /*printModuleScope=*/false,
                                  /*printAfterOnlyOnChange=*/true,
                                  /*printAfterOnlyOnFailure=*/false, folder);
  }
  GPUPipelineOptions pipeline;
  pipeline.chip = target.chip;
  pipeline.features = target.features;
  pipeline.numerics = stringifyGPUNumerics(options.gpuNumerics).str();
  pipeline.chips = ArrayRef(listChips());
  pipeline.tuneCache = options.tuneCache;
  buildGPUStage(pm, stage, pipeline);
  return pm.run(module);
}

/// The groups in the order in which they become cases of the kernel.
LogicalResult GPUCompiler::readGroups(ModuleOp module) {
  kernels.configurations.clear();
  kernels.measured.clear();
  SymbolTable symbols(module);
  module.walk([&](LookupGroupInterface group) {
    kernels.configurations.push_back(BagConfiguration::of(group));
    auto &measured = kernels.measured.emplace_back();
    if (!cache)
      return;
    if (const auto *entry =
            cache->findLatest(group, listChips(), symbols).first)
      measured = *entry;
  });
  if (kernels.configurations.empty())
    return module.emitError("expected a module with lookups to compile");
  return success();
}

/// Takes a copy of the model through the stages, up to the one to stop after.
LogicalResult GPUCompiler::lower(const GPUTarget &target) {
  ModuleOp module = lowered.emplace_back(imported.clone()).get();
  for (GPUStage stage : getGPUStages()) {
    if (options.onProgress)
      options.onProgress("lowering for " + target.chip + ": " +
                             stringifyGPUStage(stage).str(),
                         int(stage), getGPUStages().size());
    if (failed(runStage(module, stage, target)))
      return failure();
    if (stage == GPUStage::group && failed(readGroups(module)))
      return failure();
    if (options.stopAfterGPU == stage)
      return success();
  }
  return success();
}

/// PTX and code of all chips, in parallel; with `emit=ptx` PTX alone.
LogicalResult GPUCompiler::generateCode() {
  std::string program;
  if (options.emit != EmitKind::ptx) {
    llvm::Expected<std::string> found = findPtxas(options.ptxasFolders);
    if (!found)
      return check(found.takeError());
    program = *found;
  }
  std::atomic<size_t> done = 0;
  auto compile = [&](size_t i) -> LogicalResult {
    GPUBinary &binary = kernels.binaries[i];
    llvm::Expected<std::string> ptx = emitPTX(*lowered[i], binary.target);
    if (!ptx)
      return check(ptx.takeError());
    binary.ptx = std::move(*ptx);
    if (program.empty())
      return success();
    llvm::Expected<AssembledCode> code =
        runPtxas(program, binary.target.chip, binary.ptx);
    if (!code)
      return check(code.takeError());
    binary.code = std::move(*code);
    if (options.onProgress)
      options.onProgress("generating code for GPUs", ++done, lowered.size());
    return success();
  };
  return failableParallelForEach(imported.getContext(),
                                 llvm::seq<size_t>(0, lowered.size()), compile);
}

/// What is asked for instead of code, and dumps.
LogicalResult GPUCompiler::writeTexts() {
  if (options.emit == EmitKind::ptx &&
      failed(write(options.output, kernels.binaries.front().ptx)))
    return failure();
  if (options.dumpFolder.empty())
    return success();
  for (const GPUBinary &binary : kernels.binaries) {
    SmallString<128> path(options.dumpFolder);
    llvm::sys::path::append(path, binary.target.chip, "kernels.ptx");
    if (failed(write(path, binary.ptx)))
      return failure();
  }
  return success();
}

LogicalResult GPUCompiler::run() {
  if (failed(readTuningCache()))
    return failure();
  for (StringRef name : options.gpus) {
    GPUTarget target = llvm::cantFail(resolveGPU(name));
    auto isSame = [&](const GPUBinary &binary) {
      return binary.target.chip == target.chip;
    };
    if (!llvm::any_of(kernels.binaries, isSame))
      kernels.binaries.push_back({std::move(target), "", {}});
  }
  llvm::sort(kernels.binaries, [](const GPUBinary &a, const GPUBinary &b) {
    return a.target.capability < b.target.capability;
  });
  for (const GPUBinary &binary : kernels.binaries)
    if (failed(lower(binary.target)))
      return failure();
  if (options.stopAfterGPU) {
    std::string text;
    llvm::raw_string_ostream os(text);
    lowered.front()->print(os);
    return write(options.output, text);
  }
  if (failed(generateCode()))
    return failure();
  return writeTexts();
}
