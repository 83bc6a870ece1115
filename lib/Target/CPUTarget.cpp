//===- CPUTarget.cpp - The CPU that code is generated for -----------------===//

#include "trec/Target/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/AArch64TargetParser.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir::trec;

namespace {

/// A feature that the runtime asks for, and the level that first demands it.
struct Feature {
  llvm::StringRef name;
  int level;
  int64_t vectorBits; // of a length of vectors, which LLVM knows no feature for
};

/// What differs between architectures.
struct ArchitectureInfo {
  llvm::StringRef name;
  llvm::StringRef triple;  // as it is given and printed
  llvm::StringRef baseCPU; // LLVM's CPU that features are added to
  llvm::StringRef example; // of a CPU that LLVM knows
  int firstLevel;          // the number of the lowest level in its features
  llvm::ArrayRef<Feature> features;
};

} // namespace

static constexpr Feature kX86Features[] = {
#define TREC_CPU_FEATURE(name, leaf, subleaf, reg, bit, state, level)          \
  {name, level, 0},
#include "trec/Runtime/CPUFeatures.def"
};

static constexpr int64_t HWCAP = 0, HWCAP2 = 0, VECTOR_BITS = 1;
static constexpr Feature kAArch64Features[] = {
#define TREC_CPU_FEATURE(name, word, value, level) {name, level, word * value},
#include "trec/Runtime/CPUFeaturesAArch64.def"
};
static_assert(std::size(kX86Features) <= 64 &&
                  std::size(kAArch64Features) <= 64,
              "features must fit into a mask");

static const ArchitectureInfo &getInfo(Architecture architecture) {
  static const ArchitectureInfo x86 = {"x86-64", "x86_64-linux-gnu",
                                       "x86-64", "sapphirerapids",
                                       2,        kX86Features};
  static const ArchitectureInfo aarch64 = {"AArch64", "aarch64-linux-gnu",
                                           "generic", "neoverse-v2",
                                           1,         kAArch64Features};
  return architecture == Architecture::x86_64 ? x86 : aarch64;
}

static llvm::Triple getTriple(Architecture architecture) {
  return llvm::Triple(llvm::Triple::normalize(getInfo(architecture).triple));
}

static void initializeTargets() {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeX86AsmParser();
  LLVMInitializeAArch64TargetInfo();
  LLVMInitializeAArch64Target();
  LLVMInitializeAArch64TargetMC();
  LLVMInitializeAArch64AsmPrinter();
  LLVMInitializeAArch64AsmParser();
}

static const llvm::Target &getTarget(Architecture architecture) {
  static bool isInitialized = (initializeTargets(), true);
  (void)isInitialized;
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(getTriple(architecture), error);
  assert(target && "LLVM is built with the targets of all architectures");
  return *target;
}

static std::unique_ptr<llvm::MCSubtargetInfo>
makeSubtarget(Architecture architecture, llvm::StringRef cpu,
              llvm::StringRef features = "") {
  return std::unique_ptr<llvm::MCSubtargetInfo>(
      getTarget(architecture)
          .createMCSubtargetInfo(getTriple(architecture), cpu, features));
}

Architecture mlir::trec::getHostArchitecture() {
  return llvm::Triple(llvm::sys::getProcessTriple()).isAArch64()
             ? Architecture::aarch64
             : Architecture::x86_64;
}

llvm::StringRef mlir::trec::getTripleName(Architecture architecture) {
  return getInfo(architecture).triple;
}

llvm::Expected<Architecture> mlir::trec::resolveTriple(llvm::StringRef name) {
  if (name.empty())
    return getHostArchitecture();
  llvm::Triple triple(llvm::Triple::normalize(name));
  for (Architecture architecture : getArchitectures()) {
    llvm::Triple known = getTriple(architecture);
    if (triple.getArch() == known.getArch() &&
        triple.getOS() == known.getOS() &&
        triple.getEnvironment() == known.getEnvironment() &&
        triple.getSubArch() == known.getSubArch())
      return architecture;
  }
  std::string names =
      llvm::join(llvm::map_range(getArchitectures(), getTripleName), " or ");
  return llvm::createStringError("unknown target '" + name + "': expected " +
                                 names);
}

llvm::StringRef mlir::trec::getDefaultCPU(Architecture architecture) {
  return architecture == getHostArchitecture()
             ? "native"
             : getCPULevels(architecture).front().name;
}

/// The level whose features are all in `mask`, or null where even the lowest is
/// not.
static const CPULevel *findHighestLevel(uint64_t mask,
                                        Architecture architecture) {
  const ArchitectureInfo &info = getInfo(architecture);
  const CPULevel *highest = nullptr;
  for (auto [index, level] : llvm::enumerate(getCPULevels(architecture))) {
    for (auto [bit, feature] : llvm::enumerate(info.features))
      if (feature.level <= int(index) + info.firstLevel && !(mask >> bit & 1))
        return highest;
    highest = &level;
  }
  return highest;
}

static llvm::Expected<CPUTarget>
makeTarget(llvm::StringRef name, Architecture architecture,
           llvm::function_ref<bool(const Feature &)> hasFeature) {
  CPUTarget target{name.str(), nullptr, 0, {}};
  for (auto [bit, feature] : llvm::enumerate(getInfo(architecture).features)) {
    if (!hasFeature(feature))
      continue;
    target.featureMask |= uint64_t(1) << bit;
    target.features.push_back(feature.name);
  }
  target.level = findHighestLevel(target.featureMask, architecture);
  if (!target.level)
    return llvm::createStringError("expected a CPU of at least " +
                                   getCPULevels(architecture).front().name +
                                   ", got '" + name +
                                   "', which lacks some of its features");
  return target;
}

static llvm::Expected<CPUTarget> resolveNative(Architecture architecture) {
  if (architecture != getHostArchitecture())
    return llvm::createStringError(
        "CPU 'native' is one of " + getTripleName(getHostArchitecture()) +
        ", expected one of " + getTripleName(architecture) + ": " +
        listCPULevels(architecture) + ", or a CPU that LLVM knows such as " +
        getInfo(architecture).example);
  auto host = llvm::sys::getHostCPUFeatures();
  // LLVM does not know how long vectors are: then they are as short as can be.
  return makeTarget(
      llvm::sys::getHostCPUName(), architecture,
      [&](const Feature &feature) { return host.lookup(feature.name); });
}

static llvm::Error makeUnknownCPUError(llvm::StringRef name,
                                       Architecture architecture) {
  const ArchitectureInfo &info = getInfo(architecture);
  std::string native = architecture == getHostArchitecture() ? "native, " : "";
  std::string other;
  if (const CPULevel *level = findCPULevel(name))
    other =
        ("; " + name + " needs --target=" + getTripleName(level->architecture))
            .str();
  return llvm::createStringError(
      "unknown CPU '" + name + "' of " + info.name + ": expected " + native +
      listCPULevels(architecture) + ", or a CPU that LLVM knows such as " +
      info.example + other);
}

/// Where it is known and more than the 128 bits that all have.
static int64_t getVectorBits(llvm::StringRef aarch64CPU) {
  static const llvm::StringMap<int64_t> known = {
      {"a64fx", 512},       {"fujitsu-monaka", 256}, {"neoverse-512tvb", 256},
      {"neoverse-v1", 256}, {"sve-256", 256},        {"sve-512", 512}};
  auto found = known.find(aarch64CPU);
  return found == known.end() ? 128 : found->second;
}

/// The features that a level or a version of the architecture adds to the base,
/// as LLVM writes them, or nothing where the name is neither.
static std::optional<std::string> getNamedFeatures(llvm::StringRef name) {
  if (const CPULevel *level = findCPULevel(name))
    if (level->architecture == Architecture::aarch64)
      return level->vectorBits > 128 ? "+sve" : "";
  const llvm::AArch64::ArchInfo *version = llvm::AArch64::parseArch(name);
  if (!version || version->Profile != llvm::AArch64::AProfile ||
      version->Name != name)
    return std::nullopt;
  std::vector<llvm::StringRef> features = {version->ArchFeature};
  llvm::AArch64::getExtensionFeatures(version->DefaultExts, features);
  return llvm::join(features, ",");
}

llvm::Expected<CPUTarget> mlir::trec::resolveCPU(llvm::StringRef name,
                                                 Architecture architecture) {
  if (name == "native")
    return resolveNative(architecture);
  llvm::StringRef base = getInfo(architecture).baseCPU;
  std::optional<std::string> added;
  if (architecture == Architecture::aarch64)
    added = getNamedFeatures(name);
  if (!added && !makeSubtarget(architecture, base)->isCPUStringValid(name))
    return makeUnknownCPUError(name, architecture);
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget =
      added ? makeSubtarget(architecture, base, *added)
            : makeSubtarget(architecture, name);
  return makeTarget(name, architecture, [&](const Feature &feature) {
    if (feature.vectorBits)
      return feature.vectorBits <= getVectorBits(name);
    return subtarget->checkFeatures(("+" + feature.name).str());
  });
}

std::string CPUTarget::getFeatureString() const {
  std::vector<std::string> known;
  for (const Feature &feature : getInfo(level->architecture).features)
    if (!feature.vectorBits && llvm::is_contained(features, feature.name))
      known.push_back(("+" + feature.name).str());
  return llvm::join(known, ",");
}

bool CPUTarget::usesSVE() const {
  return level->architecture == Architecture::aarch64 &&
         level->vectorBits > 128;
}

std::unique_ptr<llvm::TargetMachine>
mlir::trec::createTargetMachine(const CPUTarget &target) {
  Architecture architecture = target.level->architecture;
  llvm::TargetOptions options;
  // Every rounding of the numeric contract is written out: fuse nothing.
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  // Loops that began anywhere made short bags 1.05 to 1.1 times slower or
  // faster on an AMD EPYC (Zen 4), as code in front of them grew; at 64 bytes
  // it was no better. An Intel Xeon (Emerald Rapids) showed no difference.
  if (architecture == Architecture::x86_64)
    options.LoopAlignment = 32;
  std::string features = target.getFeatureString();
  // To fetch a line that will be written is an instruction that no level names;
  // every CPU with vectors of 512 bits has it.
  if (architecture == Architecture::x86_64 && target.level->vectorBits == 512)
    features += ",+prfchw";
  return std::unique_ptr<llvm::TargetMachine>(
      getTarget(architecture)
          .createTargetMachine(getTriple(architecture),
                               getInfo(architecture).baseCPU, features, options,
                               llvm::Reloc::PIC_, std::nullopt,
                               llvm::CodeGenOptLevel::Aggressive));
}
