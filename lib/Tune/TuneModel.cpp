//===- TuneModel.cpp - Lowerings by measurement ---------------------------===//

#include "trec/Tune/TuneModel.h"

#include "SearchLowering.h"
#include "TuneWorkload.h"
#include "trec/Pipelines/CPUPipeline.h"
#include "trec/Transforms/LoweringSpace.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/TargetParser/Host.h"

#include <set>

using namespace mlir;
using namespace mlir::trec;

namespace {

/// A group whose key no group before it has.
struct Subject {
  LookupGroupInterface group;
  TuningKey key;
  LoweringConfigAttr model;
};

class ModelTuner {
public:
  ModelTuner(ModuleOp imported, const TuneOptions &options, raw_ostream &os)
      : imported(imported), options(options), os(os),
        cache(llvm::sys::getHostCPUName().str()) {}

  LogicalResult run();

private:
  LogicalResult resolveTargets();
  LogicalResult readCache();
  LogicalResult lower(const CPUTarget &target);
  std::vector<Subject> findSubjects(const CPUTarget &target);
  LogicalResult tuneLevel(const CPUTarget &target,
                          const TuneWorkload &workload);
  LogicalResult tuneGroup(const Subject &subject, const CPUTarget &target,
                          const TuneWorkload &workload);
  void print(const TuningKey &key, const TuningEntry &entry);
  LogicalResult check(llvm::Error error);
  void progress(const Twine &what) {
    if (options.onProgress)
      options.onProgress(what.str(), done, total);
  }

  ModuleOp imported;
  const TuneOptions &options;
  raw_ostream &os;
  TuningCache cache;
  std::vector<CPUTarget> targets; // one of each level
  OwningOpRef<ModuleOp> lowered;  // of the level at hand, to its groups
  size_t done = 0, total = 1;
};

} // namespace

LogicalResult ModelTuner::check(llvm::Error error) {
  if (!error)
    return success();
  return imported.emitError() << llvm::toString(std::move(error));
}

/// A lowering is chosen for a level: of two CPUs of one level the first is
/// measured.
LogicalResult ModelTuner::resolveTargets() {
  llvm::Expected<Architecture> architecture = resolveTriple(options.target);
  if (!architecture)
    return check(architecture.takeError());
  llvm::Expected<CPUTarget> host = resolveCPU("native", getHostArchitecture());
  if (!host)
    return check(host.takeError());
  std::vector<std::string> names = options.cpus;
  if (names.empty())
    names.push_back(getDefaultCPU(*architecture).str());
  for (StringRef name : names) {
    llvm::Expected<CPUTarget> target = resolveCPU(name, *architecture);
    if (!target)
      return check(target.takeError());
    if (*architecture != getHostArchitecture() ||
        (target->featureMask & ~host->featureMask))
      return imported.emitError()
             << "expected CPUs that this machine, a " << host->name
             << ", can run, got '" << name << "' to tune for";
    auto isSame = [&](const CPUTarget &other) {
      return other.level == target->level;
    };
    if (!llvm::any_of(targets, isSame))
      targets.push_back(std::move(*target));
  }
  return success();
}

/// Entries of other models and levels stay.
LogicalResult ModelTuner::readCache() {
  if (!llvm::sys::fs::exists(options.cache))
    return success();
  llvm::Expected<TuningCache> read =
      TuningCache::read(options.cache, imported.getContext());
  if (!read)
    return check(read.takeError());
  if (!read->size())
    read->setMachine(cache.getMachine().str());
  if (read->getMachine() != cache.getMachine())
    return imported.emitError()
           << options.cache << ": measured on '" << read->getMachine()
           << "', this machine is a '" << cache.getMachine()
           << "'; expected another file";
  cache = std::move(*read);
  return success();
}

LogicalResult ModelTuner::lower(const CPUTarget &target) {
  lowered = imported.clone();
  PassManager pm(imported.getContext());
  CPUPipelineOptions pipeline;
  pipeline.cpu = target.level->name.str();
  for (CPUStage stage : {CPUStage::import, CPUStage::fuse, CPUStage::group})
    buildCPUStage(pm, stage, pipeline);
  return pm.run(*lowered);
}

std::vector<Subject> ModelTuner::findSubjects(const CPUTarget &target) {
  std::vector<Subject> subjects;
  std::set<TuningKey> seen;
  SymbolTable symbols(*lowered);
  lowered->walk([&](LookupGroupInterface group) {
    TuningKey key = TuningKey::of(group, target.level->name, symbols);
    if (seen.insert(key).second)
      subjects.push_back({group, key, group.getLoweringAttr()});
  });
  return subjects;
}

void ModelTuner::print(const TuningKey &key, const TuningEntry &entry) {
  double gain = 1 - entry.tunedNanoseconds / entry.modelNanoseconds;
  progress("");
  os << llvm::format("%9.2f %9.2f %7.1f %% %7.1f %%  ", entry.modelNanoseconds,
                     entry.tunedNanoseconds, gain * 100, entry.noise * 100)
     << key.describe() << ": ";
  if (entry.lowering == entry.model)
    os << "the cost model's choice\n";
  else
    os << stringifyLowering(entry.lowering) << '\n';
  os.flush();
}

LogicalResult ModelTuner::tuneGroup(const Subject &subject,
                                    const CPUTarget &target,
                                    const TuneWorkload &workload) {
  std::string what = "tuning " + subject.key.describe();
  progress(what);
  GroupLookups lookups(subject.group, workload);
  if (lookups.isTooShort())
    subject.group->emitWarning()
        << "the ids of " << subject.key.describe()
        << " touch so few rows that caches hold them: times are those of a "
           "smaller table";
  LoweringSearch search(subject.group, target, lookups, workload.getSeconds());
  FailureOr<TuningEntry> entry =
      search.run(subject.model, subject.key.size,
                 [&](StringRef field) { progress(what + ": " + field); });
  if (failed(entry))
    return failure();
  entry->load = workload.describe();
  entry->date = getToday();
  print(subject.key, *entry);
  cache.set(subject.key, std::move(*entry));
  return success();
}

LogicalResult ModelTuner::tuneLevel(const CPUTarget &target,
                                    const TuneWorkload &workload) {
  if (failed(lower(target)))
    return failure();
  std::vector<Subject> subjects = findSubjects(target);
  total = subjects.size();
  for (done = 0; done < total; ++done)
    // What was measured is kept, even where something later fails.
    if (failed(tuneGroup(subjects[done], target, workload)) ||
        failed(check(cache.write(options.cache))))
      return failure();
  return success();
}

LogicalResult ModelTuner::run() {
  if (failed(resolveTargets()) || failed(readCache()))
    return failure();
  llvm::Expected<TuneWorkload> workload =
      TuneWorkload::read(imported, options.load);
  if (!workload)
    return check(workload.takeError());
  progress("making tables");
  if (failed(check(workload->makeTables())))
    return failure();
  os << "   model     tuned      gain     noise  configuration: lowering "
        "(times in ns per lookup)\n";
  for (const CPUTarget &target : targets)
    if (failed(tuneLevel(target, *workload)))
      return failure();
  return success();
}

LogicalResult mlir::trec::tuneModel(ModuleOp module, const TuneOptions &options,
                                    raw_ostream &os) {
  return ModelTuner(module, options, os).run();
}
