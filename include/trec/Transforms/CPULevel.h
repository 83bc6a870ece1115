//===- CPULevel.h - The CPU levels that code is made for --------*- C++ -*-===//
//
// What the choice of a lowering needs to know of a CPU: widths and registers. A
// level is a psABI level of x86-64; a CPU is compiled for at the highest level
// that it contains:
//
//   const CPULevel *level = findCPULevel("x86-64-v3");
//   int64_t lanes = level->vectorBits / 32;
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TRANSFORMS_CPULEVEL_H
#define TREC_TRANSFORMS_CPULEVEL_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>

namespace mlir::trec {

/// A psABI level of x86-64.
struct CPULevel {
  llvm::StringRef name;
  int64_t vectorBits;
  int64_t vectorRegisters;
  bool hasFMA;
  bool hasF16C;
};

/// All levels, the lowest first.
llvm::ArrayRef<CPULevel> getCPULevels();

/// The level of that name, or null.
const CPULevel *findCPULevel(llvm::StringRef name);

/// "x86-64-v2, x86-64-v3 or x86-64-v4", for messages.
std::string listCPULevels();

} // namespace mlir::trec

#endif // TREC_TRANSFORMS_CPULEVEL_H
