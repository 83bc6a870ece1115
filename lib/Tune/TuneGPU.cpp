//===- TuneGPU.cpp - Lowerings by measurement on a GPU --------------------===//

#include "CompareCalls.h"
#include "GPUCandidates.h"
#include "trec/Target/GPUTarget.h"
#include "trec/Transforms/GPULoweringSpace.h"
#include "trec/Transforms/LoweringSpace.h"
#include "trec/Tune/TuneModel.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;
using namespace mlir::trec;

/// Samples of the default loads: launches of few bags, and of many.
static constexpr int64_t kDefaultSamples[] = {256, 8192};

namespace {

/// The groups of a module for one chip, with what the cost model chose.
struct Groups {
  std::vector<TuningKey> keys;
  std::vector<BagConfiguration> configurations;
};

class GPUTuner {
public:
  GPUTuner(ModuleOp imported, const GPUTuneOptions &options, raw_ostream &os)
      : imported(imported), options(options), os(os),
        cache(llvm::sys::getHostCPUName().str()) {}

  LogicalResult run();

private:
  LogicalResult findChip();
  LogicalResult readCache();
  FailureOr<Groups> findGroups(ModuleOp module);
  LogicalResult makeCandidates();
  LogicalResult makeCalls();
  FailureOr<std::vector<CallComparer::CandidateTimes>>
  compare(const TuningKey &key, ArrayRef<GPULoweringConfigAttr> lowerings);
  LogicalResult tuneGroup(size_t group);
  void print(const TuningKey &key, const GPUTuningEntry &entry);
  LogicalResult check(llvm::Error error);
  void progress(const Twine &what) {
    if (options.compile.onProgress)
      options.compile.onProgress(what.str(), done, groups.keys.size());
  }

  ModuleOp imported;
  const GPUTuneOptions &options;
  raw_ostream &os;
  TuningCache cache;
  std::string chip, device;
  Groups groups, sized; // of the model, and with tables of the sizes timed with
  GPULowerings chosen;  // of each group so far
  std::optional<TuneWorkload> workload;
  std::optional<GPUCandidates> candidates;
  std::optional<CallComparer> comparer;
  size_t done = 0;
};

} // namespace

LogicalResult GPUTuner::check(llvm::Error error) {
  if (!error)
    return success();
  return imported.emitError() << llvm::toString(std::move(error));
}

/// That of the chips whose code the device runs, as the runtime chooses: what
/// is measured for PTX that the driver compiles would be of no chip's code.
LogicalResult GPUTuner::findChip() {
  llvm::Expected<std::shared_ptr<Device>> opened = Device::open(options.device);
  if (!opened)
    return check(opened.takeError());
  device = (*opened)->getName();
  int64_t capability = (*opened)->getCapability(), best = 0;
  for (StringRef name : options.compile.gpus) {
    llvm::Expected<GPUTarget> target = resolveGPU(name);
    if (!target)
      return check(target.takeError());
    if (target->capability <= best || target->capability > capability ||
        target->capability / 10 != capability / 10)
      continue;
    best = target->capability;
    chip = target->chip;
  }
  if (best)
    return success();
  return imported.emitError()
         << "expected code for GPU " << options.device << " (" << device
         << ", compute capability " << capability / 10 << '.' << capability % 10
         << ") to tune, got --gpu=" << llvm::join(options.compile.gpus, ",");
}

/// Entries of other models, chips and CPUs stay.
LogicalResult GPUTuner::readCache() {
  if (!llvm::sys::fs::exists(options.compile.tuneCache))
    return success();
  llvm::Expected<TuningCache> read =
      TuningCache::read(options.compile.tuneCache, imported.getContext());
  if (!read)
    return check(read.takeError());
  cache = std::move(*read);
  return success();
}

FailureOr<Groups> GPUTuner::findGroups(ModuleOp module) {
  OwningOpRef<ModuleOp> lowered = module.clone();
  PassManager pm(imported.getContext());
  GPUPipelineOptions pipeline;
  pipeline.chip = chip;
  pipeline.numerics = stringifyGPUNumerics(options.compile.gpuNumerics).str();
  for (GPUStage stage : {GPUStage::import, GPUStage::fuse, GPUStage::group})
    buildGPUStage(pm, stage, pipeline);
  if (failed(pm.run(*lowered)))
    return failure();
  Groups found;
  SymbolTable symbols(*lowered);
  lowered->walk([&](LookupGroupInterface group) {
    found.keys.push_back(TuningKey::of(group, chip, symbols));
    found.configurations.push_back(BagConfiguration::of(group));
  });
  return found;
}

/// Tables that are cut or of unknown rows are of another size in the sized
/// module, but its groups are those of the model.
LogicalResult GPUTuner::makeCandidates() {
  llvm::Expected<TuneWorkload> read =
      TuneWorkload::read(imported, options.load, kDefaultSamples);
  if (!read)
    return check(read.takeError());
  workload = std::move(*read);
  progress("making tables");
  if (failed(check(workload->makeTables())))
    return failure();
  FailureOr<Groups> ofModel = findGroups(imported);
  FailureOr<Groups> ofSized = findGroups(workload->getModule());
  if (failed(ofModel) || failed(ofSized))
    return failure();
  groups = std::move(*ofModel);
  sized = std::move(*ofSized);
  for (const BagConfiguration &configuration : groups.configurations)
    chosen.push_back(configuration.gpuLowering);
  CompileOptions compile = options.compile;
  compile.emit = EmitKind::sharedLibrary;
  compile.stopAfter.reset();
  compile.stopAfterGPU.reset();
  compile.gpus = {chip};
  compile.cpus.clear();
  compile.target.clear();
  compile.report.clear();
  compile.dumpFolder.clear();
  compile.embeddedWeights.clear();
  compile.onProgress = nullptr;
  candidates.emplace(workload->getModule(), sized.keys, std::move(compile));
  return candidates->open(options.device, workload->getTables());
}

LogicalResult GPUTuner::makeCalls() {
  progress("making batches");
  FailureOr<std::vector<Model>> models = candidates->compile({chosen});
  if (failed(models))
    return failure();
  comparer.emplace(candidates->getIR());
  return check(comparer->addLoads(*workload, models->front()));
}

FailureOr<std::vector<CallComparer::CandidateTimes>>
GPUTuner::compare(const TuningKey &key,
                  ArrayRef<GPULoweringConfigAttr> lowerings) {
  SmallVector<GPULowerings> choices;
  for (GPULoweringConfigAttr lowering : lowerings) {
    GPULowerings &choice = choices.emplace_back(chosen);
    for (auto [other, own] : llvm::zip_equal(choice, groups.keys))
      if (own == key)
        other = lowering;
  }
  FailureOr<std::vector<Model>> models = candidates->compile(choices);
  if (failed(models))
    return failure();
  auto parts = llvm::map_to_vector(
      lowerings, [](auto lowering) { return lowering.getBagParts(); });
  auto other = comparer->findOtherBits(*models, parts);
  if (!other)
    return check(other.takeError());
  if (*other)
    return imported.emitError()
           << "expected the outputs of " << lowerings[(*other)->first]
           << " from " << lowerings[(*other)->second] << " too for "
           << key.describe() << ", got other bits";
  auto times = comparer->compare(*models, workload->getSeconds());
  if (!times)
    return check(times.takeError());
  return std::move(*times);
}

void GPUTuner::print(const TuningKey &key, const GPUTuningEntry &entry) {
  progress("");
  for (const GPULoadTimes &times : entry.times)
    os << llvm::format("%9.2f %9.2f %7.1f %% %7.1f %%  ", times.model,
                       times.tuned, (1 - times.tuned / times.model) * 100,
                       times.noise * 100)
       << times.load << '\n';
  os << "  " << key.describe() << ": ";
  if (entry.lowering == entry.model)
    os << "the cost model's choice\n";
  else
    os << stringifyLowering(entry.lowering) << '\n';
  os.flush();
}

LogicalResult GPUTuner::tuneGroup(size_t group) {
  const TuningKey &key = groups.keys[group];
  std::string what = "tuning " + key.describe();
  GPULoweringSearch search(groups.configurations[group],
                           [&](ArrayRef<GPULoweringConfigAttr> lowerings) {
                             return compare(key, lowerings);
                           });
  FailureOr<GPUTuningEntry> entry =
      search.run([&](StringRef field) { progress(what + ": " + field); });
  if (failed(entry))
    return failure();
  for (auto [times, load] :
       llvm::zip_equal(entry->times, workload->describeLoads()))
    times.load = load;
  entry->device = device;
  entry->date = getToday();
  print(key, *entry);
  for (auto [lowering, own] : llvm::zip_equal(chosen, groups.keys))
    if (own == key)
      lowering = entry->lowering;
  cache.setGPU(key, std::move(*entry));
  return success();
}

LogicalResult GPUTuner::run() {
  if (failed(findChip()) || failed(readCache()) || failed(makeCandidates()) ||
      failed(makeCalls()))
    return failure();
  os << "   model     tuned      gain     noise  load (times in us per call of "
        "the model on GPU "
     << options.device << ", " << device << ")\n";
  for (; done < groups.keys.size(); ++done) {
    if (llvm::is_contained(ArrayRef(groups.keys).take_front(done),
                           groups.keys[done]))
      continue;
    // What was measured is kept, even where something later fails.
    if (failed(tuneGroup(done)) ||
        failed(check(cache.write(options.compile.tuneCache))))
      return failure();
  }
  return success();
}

LogicalResult mlir::trec::tuneModelOnGPU(ModuleOp module,
                                         const GPUTuneOptions &options,
                                         raw_ostream &os) {
  return GPUTuner(module, options, os).run();
}
