//===- CPULevel.h - The CPU levels that code is made for --------*- C++ -*-===//
//
// What the choice of a lowering needs to know of a CPU: widths and registers. A
// level of x86-64 is one of its psABI's, a level of AArch64 a length of its
// vectors; a CPU is compiled for at the highest level that it contains:
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

/// The instruction sets that code is made for.
enum class Architecture { x86_64, aarch64 };

/// All of them.
llvm::ArrayRef<Architecture> getArchitectures();

/// A level of one of them.
struct CPULevel {
  llvm::StringRef name;
  Architecture architecture;
  int64_t vectorBits;
  int64_t vectorRegisters;
  bool hasFMA;
  bool convertsHalves; // has instructions from and to half floats
  /// Has instructions that permute the lanes of a vector by indices that are
  /// not constant, for vectors of 512 bits, and of 256 bits within their
  /// halves.
  bool permutesLanes;
  /// Whether each lane can be shifted by a number of its own.
  bool shiftsLanes;
};

/// All levels of an architecture, the lowest first.
llvm::ArrayRef<CPULevel> getCPULevels(Architecture architecture);

/// The level of that name, or null.
const CPULevel *findCPULevel(llvm::StringRef name);

/// "x86-64-v2, x86-64-v3 or x86-64-v4", for messages.
std::string listCPULevels(Architecture architecture);

/// The levels of all architectures, likewise.
std::string listCPULevels();

} // namespace mlir::trec

#endif // TREC_TRANSFORMS_CPULEVEL_H
