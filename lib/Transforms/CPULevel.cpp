//===- CPULevel.cpp - The CPU levels that code is made for ----------------===//

#include "trec/Transforms/CPULevel.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir::trec;

static constexpr CPULevel kLevels[] = {
    {"x86-64-v2", 128, 16, /*hasFMA=*/false, /*hasF16C=*/false},
    {"x86-64-v3", 256, 16, /*hasFMA=*/true, /*hasF16C=*/true},
    {"x86-64-v4", 512, 32, /*hasFMA=*/true, /*hasF16C=*/true},
};

llvm::ArrayRef<CPULevel> mlir::trec::getCPULevels() { return kLevels; }

const CPULevel *mlir::trec::findCPULevel(llvm::StringRef name) {
  const CPULevel *found = llvm::find_if(
      kLevels, [&](const CPULevel &level) { return level.name == name; });
  return found == std::end(kLevels) ? nullptr : found;
}

std::string mlir::trec::listCPULevels() {
  std::string names;
  for (auto [index, level] : llvm::enumerate(kLevels)) {
    if (index)
      names += index + 1 == std::size(kLevels) ? " or " : ", ";
    names += level.name;
  }
  return names;
}
