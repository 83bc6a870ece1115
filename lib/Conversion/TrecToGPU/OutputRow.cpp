//===- OutputRow.cpp - Sums to a row of the output ------------------------===//

#include "OutputRow.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

static constexpr int64_t kWordBytes = RowUnits::kWordBytes;

OutputRow::OutputRow(DeviceBuilder &builder,
                     const BagConfiguration &configuration,
                     const ColumnSplit &split)
    : b(builder), element(configuration.outputElement),
      numerics(configuration.gpuLowering.getNumerics()), split(split),
      dim(configuration.row.getDim()),
      elementBytes(element.getIntOrFloatBitWidth() / 8),
      pieceBytes(std::min<int64_t>(16, split.units.columns * elementBytes)) {}

/// As FBGEMM does on a CPU, NaNs included: `(bits + 0x8000) >> 16`.
Value OutputRow::roundBFloats(Value low, Value high) {
  Value lowBits = b.add(b.bits(b.getI32Type(), low), 0x8000);
  Value highBits = b.add(b.bits(b.getI32Type(), high), 0x8000);
  Value lowHalf = b.shiftRight(lowBits, 16);
  return b.either(lowHalf, b.both(highBits, int32_t(0xffff0000)));
}

/// Two columns as the halves of an i32, rounded to nearest with ties to even
/// but for FBGEMM's bf16 on CPUs.
Value OutputRow::roundPair(Value low, Value high) {
  if (element.isBF16() && numerics == GPUNumerics::cpu)
    return roundBFloats(low, high);
  auto wide = VectorType::get({2}, b.getF32Type());
  Value pair = vector::FromElementsOp::create(b, wide, ValueRange{low, high});
  Value halves =
      arith::TruncFOp::create(b, VectorType::get({2}, element), pair);
  return b.bits(b.getI32Type(), halves);
}

/// The columns of a unit as words.
SmallVector<Value> OutputRow::round(ValueRange columns) {
  SmallVector<Value> words;
  if (element.isF32()) {
    for (Value column : columns)
      words.push_back(b.bits(b.getI32Type(), column));
    return words;
  }
  for (size_t i = 0; i < columns.size(); i += 2)
    words.push_back(
        roundPair(columns[i], columns[std::min(i + 1, columns.size() - 1)]));
  return words;
}

/// A store that is first to leave the cache, and a predicated instruction: the
/// assembler moves loads of rows behind a branch that only their sums are used
/// behind, so that they wait for what is loaded in front of it.
void OutputRow::storeVector(Value address, ArrayRef<Value> words,
                            Value isThere) {
  SmallVector<Value> operands = {address, isThere};
  llvm::append_range(operands, words);
  std::string vector =
      words.size() > 1 ? "v" + std::to_string(words.size()) + "." : "";
  std::string list = "$2", constraints = "l,b,r";
  for (size_t i = 1; i < words.size(); ++i) {
    list += ", $" + std::to_string(i + 2);
    constraints += ",r";
  }
  LLVM::InlineAsmOp::create(
      b, TypeRange(), operands,
      "@$1 st.global.cs." + vector + "b32 [$0], {" + list + "};", constraints,
      /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
}

void OutputRow::storeColumns(Value address, ArrayRef<Value> words,
                             Value isThere, int64_t count) {
  b.doIf(isThere, [&] {
    for (int64_t column = 0; column < count; ++column) {
      Value at = b.add(address, column * elementBytes);
      if (element.isF32()) {
        b.store(at, words[column], elementBytes);
        continue;
      }
      Value half = b.shiftRight(words[column / 2], column % 2 * 16);
      Value bits = arith::TruncIOp::create(b, b.getI16Type(), half);
      b.store(at, bits, elementBytes);
    }
  });
}

void OutputRow::storeWhole(Value address, ArrayRef<Value> words, Value isThere,
                           bool isAligned) {
  if (!isAligned || pieceBytes < kWordBytes)
    return storeColumns(address, words, isThere, split.units.columns);
  size_t perPiece = pieceBytes / kWordBytes;
  for (size_t i = 0; i < words.size(); i += perPiece)
    storeVector(b.add(address, int64_t(i) * kWordBytes),
                words.slice(i, perPiece), isThere);
}

void OutputRow::storeUnits(Value address, Value firstUnit, ValueRange sums,
                           bool isAligned) {
  const RowUnits &units = split.units;
  int64_t numWhole = dim / units.columns, numRest = dim % units.columns;
  for (int64_t i = 0; i < split.unitsPerLane; ++i) {
    Value unit = b.add(firstUnit, i * split.lanes);
    Value at = b.addressOf(address, unit, units.columns * elementBytes);
    SmallVector<Value> words =
        round(sums.slice(i * units.columns, units.columns));
    Value isWhole = b.compare(Predicate::slt, unit, numWhole);
    storeWhole(at, words, b.both(exists, isWhole), isAligned);
    if (numRest == 0)
      continue;
    Value isRest = b.compare(Predicate::eq, unit, numWhole);
    storeColumns(at, words, b.both(exists, isRest), numRest);
  }
}

void OutputRow::store(Value address, Value firstUnit, ValueRange sums,
                      Value exists) {
  this->exists = exists;
  if (pieceBytes == elementBytes)
    return storeUnits(address, firstUnit, sums, /*isAligned=*/true);
  Value misalignment = b.both(address, pieceBytes - 1);
  Value isAligned = b.compare(Predicate::eq, misalignment, 0);
  auto either = scf::IfOp::create(b, isAligned, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  storeUnits(address, firstUnit, sums, /*isAligned=*/true);
  b.setInsertionPointToStart(either.elseBlock());
  storeUnits(address, firstUnit, sums, /*isAligned=*/false);
}
