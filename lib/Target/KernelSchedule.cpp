//===- KernelSchedule.cpp - How a kernel is run, and why ------------------===//

#include "KernelSchedule.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::trec;

/// Why a measured lowering is used, which may be the cost model's own.
static std::string explainMeasurement(const TuningEntry &entry) {
  if (entry.lowering == entry.model)
    return "nothing that was measured beats the cost model's choice";
  double gain = 1 - entry.tunedNanoseconds / entry.modelNanoseconds;
  return llvm::formatv("measured {0:P1} faster than the cost model's choice, "
                       "with noise of {1:P1}",
                       gain, entry.noise);
}

std::vector<KernelSchedule>
mlir::trec::readSchedules(ModuleOp module, const CPULevel &level,
                          const TuningCache *cache) {
  std::vector<KernelSchedule> schedules;
  SymbolTable symbols(module);
  module.walk([&](LookupGroupInterface group) {
    TuningKey key = TuningKey::of(group, level.name, symbols);
    KernelSchedule &schedule = schedules.emplace_back();
    schedule.lowering = group.getLoweringAttr();
    schedule.size = key.size;
    if (const TuningEntry *entry = cache ? cache->find(key) : nullptr) {
      schedule.measured = *entry;
      schedule.reasons = {explainMeasurement(*entry)};
    }
    LoweringChoice choice =
        selectLowering(group, level, symbols, schedule.lowering.getNumerics());
    if (schedule.lowering == choice.lowering)
      llvm::append_range(schedule.reasons, choice.reasons);
  });
  return schedules;
}
