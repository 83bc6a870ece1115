//===- CPUTarget.cpp - The CPU that code is generated for -----------------===//

#include "trec/Target/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir::trec;

namespace {

/// One entry of CPUFeatures.def: a feature and the level that first demands it.
struct Feature {
  llvm::StringRef name;
  int level;
};

} // namespace

static constexpr Feature kFeatures[] = {
#define TREC_CPU_FEATURE(name, leaf, subleaf, reg, bit, state, level)          \
  {name, level},
#include "trec/Runtime/CPUFeatures.def"
#undef TREC_CPU_FEATURE
};
static_assert(std::size(kFeatures) <= 64, "features must fit into a mask");

static const llvm::Triple &getTriple() {
  static const llvm::Triple triple("x86_64-unknown-linux-gnu");
  return triple;
}

static const llvm::Target &getTarget() {
  static const llvm::Target *target = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    std::string error;
    return llvm::TargetRegistry::lookupTarget(getTriple(), error);
  }();
  assert(target && "LLVM is built with the X86 target");
  return *target;
}

/// The level whose features are all in `mask`, or null where even v2 is not.
static const CPULevel *findHighestLevel(uint64_t mask) {
  const CPULevel *highest = nullptr;
  for (auto [index, level] : llvm::enumerate(getCPULevels())) {
    for (auto [bit, feature] : llvm::enumerate(kFeatures))
      if (feature.level <= int(index) + 2 && !(mask >> bit & 1))
        return highest;
    highest = &level;
  }
  return highest;
}

static llvm::Expected<CPUTarget>
makeTarget(llvm::StringRef name,
           llvm::function_ref<bool(llvm::StringRef)> hasFeature) {
  CPUTarget target{name.str(), nullptr, 0, {}};
  for (auto [bit, feature] : llvm::enumerate(kFeatures)) {
    if (!hasFeature(feature.name))
      continue;
    target.featureMask |= uint64_t(1) << bit;
    target.features.push_back(feature.name);
  }
  target.level = findHighestLevel(target.featureMask);
  if (!target.level)
    return llvm::createStringError(
        "expected a CPU of at least x86-64-v2, got '" + name +
        "', which lacks some of its features");
  return target;
}

static llvm::Expected<CPUTarget> resolveNative() {
  auto host = llvm::sys::getHostCPUFeatures();
  return makeTarget(llvm::sys::getHostCPUName(), [&](llvm::StringRef feature) {
    return host.lookup(feature);
  });
}

llvm::Expected<CPUTarget> mlir::trec::resolveCPU(llvm::StringRef name) {
  if (name == "native")
    return resolveNative();
  std::unique_ptr<llvm::MCSubtargetInfo> known(
      getTarget().createMCSubtargetInfo(getTriple(), "x86-64", ""));
  if (!known->isCPUStringValid(name))
    return llvm::createStringError("unknown CPU '" + name +
                                   "': expected native, " + listCPULevels() +
                                   ", or a CPU that LLVM knows such as "
                                   "sapphirerapids");
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget(
      getTarget().createMCSubtargetInfo(getTriple(), name, ""));
  return makeTarget(name, [&](llvm::StringRef feature) {
    return subtarget->checkFeatures(("+" + feature).str());
  });
}

std::string CPUTarget::getFeatureString() const {
  return llvm::join(llvm::map_range(features,
                                    [](llvm::StringRef feature) {
                                      return ("+" + feature).str();
                                    }),
                    ",");
}

std::unique_ptr<llvm::TargetMachine>
mlir::trec::createTargetMachine(const CPUTarget &target) {
  llvm::TargetOptions options;
  // Every rounding of the numeric contract is written out: fuse nothing.
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(getTarget().createTargetMachine(
      getTriple(), "x86-64", target.getFeatureString(), options,
      llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}
