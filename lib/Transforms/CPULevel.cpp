//===- CPULevel.cpp - The CPU levels that code is made for ----------------===//

#include "trec/Transforms/CPULevel.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ErrorHandling.h"

using namespace mlir::trec;

static constexpr CPULevel kX86Levels[] = {
    {"x86-64-v2", Architecture::x86_64, 128, 16, /*hasFMA=*/false,
     /*convertsHalves=*/false, /*permutesLanes=*/false, /*shiftsLanes=*/false},
    {"x86-64-v3", Architecture::x86_64, 256, 16, /*hasFMA=*/true,
     /*convertsHalves=*/true, /*permutesLanes=*/true, /*shiftsLanes=*/true},
    {"x86-64-v4", Architecture::x86_64, 512, 32, /*hasFMA=*/true,
     /*convertsHalves=*/true, /*permutesLanes=*/true, /*shiftsLanes=*/true},
};

/// Every AArch64 has NEON, with conversions of half floats. SVE pays where its
/// vectors are longer than NEON's; they are used at the length that a level
/// names, on machines that have at least that.
static constexpr CPULevel kAArch64Levels[] = {
    {"armv8-a", Architecture::aarch64, 128, 32, /*hasFMA=*/true,
     /*convertsHalves=*/true, /*permutesLanes=*/false, /*shiftsLanes=*/true},
    {"sve-256", Architecture::aarch64, 256, 32, /*hasFMA=*/true,
     /*convertsHalves=*/true, /*permutesLanes=*/false, /*shiftsLanes=*/true},
    {"sve-512", Architecture::aarch64, 512, 32, /*hasFMA=*/true,
     /*convertsHalves=*/true, /*permutesLanes=*/false, /*shiftsLanes=*/true},
};

llvm::ArrayRef<Architecture> mlir::trec::getArchitectures() {
  static constexpr Architecture architectures[] = {Architecture::x86_64,
                                                   Architecture::aarch64};
  return architectures;
}

llvm::ArrayRef<CPULevel> mlir::trec::getCPULevels(Architecture architecture) {
  switch (architecture) {
  case Architecture::x86_64:
    return kX86Levels;
  case Architecture::aarch64:
    return kAArch64Levels;
  }
  llvm_unreachable("all architectures are listed");
}

const CPULevel *mlir::trec::findCPULevel(llvm::StringRef name) {
  for (Architecture architecture : getArchitectures())
    for (const CPULevel &level : getCPULevels(architecture))
      if (level.name == name)
        return &level;
  return nullptr;
}

static std::string list(llvm::ArrayRef<Architecture> architectures) {
  std::vector<llvm::StringRef> names;
  for (Architecture architecture : architectures)
    for (const CPULevel &level : getCPULevels(architecture))
      names.push_back(level.name);
  std::string text;
  for (auto [index, name] : llvm::enumerate(names)) {
    if (index)
      text += index + 1 == names.size() ? " or " : ", ";
    text += name;
  }
  return text;
}

std::string mlir::trec::listCPULevels(Architecture architecture) {
  return list(architecture);
}

std::string mlir::trec::listCPULevels() { return list(getArchitectures()); }
