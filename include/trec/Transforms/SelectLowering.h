//===- SelectLowering.h - How each group will be run, and why ---*- C++ -*-===//
//
// What `trec-select-lowering` chooses by, for those who measure against its
// choice or explain it:
//
//   LoweringChoice choice = selectLowering(group, level, symbols);
//   group.setLoweringAttr(choice.lowering);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TRANSFORMS_SELECTLOWERING_H
#define TREC_TRANSFORMS_SELECTLOWERING_H

#include "trec/IR/TrecDialect.h"
#include "trec/Transforms/CPULevel.h"

namespace mlir::trec {

/// Where the rows of a table are once many of them were read: what the cost
/// model and measurements tell tables apart by.
enum class SizeClass { secondLevel, lastLevel, memory };

/// "level2", "level3" or "memory".
StringRef stringifySizeClass(SizeClass size);
/// All of them, the smallest first.
ArrayRef<SizeClass> getSizeClasses();

/// The class of a table of so many bytes.
SizeClass getSizeClass(int64_t tableBytes);

/// Bytes of all rows; as many as there can be where the number of rows is not
/// known.
int64_t getTableBytes(TableType table);

/// The bytes of the largest table of a group.
int64_t getLargestTable(LookupGroupInterface group, const SymbolTable &symbols);

/// Whether a CPU of this level permutes vectors of so many lanes by codes of
/// these rows, as `unpack = lookup` does.
bool canLookUpCodes(RowType row, int64_t lanes, const CPULevel &level);

/// Whether it does so where each lane of such a vector has shifted its code
/// down, as `unpack = spread_lookup` does.
bool canLookUpSpread(RowType row, int64_t lanes, const CPULevel &level);

/// Whether code of this level can get headers into all lanes by way of memory,
/// as `header = memory` does.
bool canStoreHeaders(const CPULevel &level);

/// Whether rows of the group's output are whole cache lines.
bool fillsLines(LookupGroupInterface group);

/// The cost model's choice, and what spoke for it, each reason a phrase.
struct LoweringChoice {
  LoweringConfigAttr lowering;
  SmallVector<std::string> reasons;
};

/// What the cost model chooses for a group of a model with these numerics.
LoweringChoice selectLowering(LookupGroupInterface group, const CPULevel &level,
                              const SymbolTable &symbols, Numerics numerics);

} // namespace mlir::trec

#endif // TREC_TRANSFORMS_SELECTLOWERING_H
