//===- RowHeaders.cpp - Scale and bias of a row ---------------------------===//

#include "RowHeaders.h"
#include "HalfFloat.h"
#include "RowPieces.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

static constexpr int64_t kHeaderBytes = 4, kHalfBytes = 2;
/// What an instruction converts from memory at once.
static constexpr int64_t kConvertedBytes = 8;
/// Of a vector of f32, and of the stack without more ado.
static constexpr int64_t kSlotBytes = 16;
/// Fewer lanes are no register of their own.
static constexpr int64_t kFewestLanes = 4;

RowHeaders::RowHeaders(ImplicitLocOpBuilder &builder,
                       const BagConfiguration &configuration, Value rows)
    : b(builder), c(configuration), rows(rows) {
  if (!c.row.isQuantized() || c.lowering.getHeader() == HeaderMode::registers ||
      cutRow(c.row, c.lowering).front().lanes < kFewestLanes)
    return;
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value count =
      LLVM::ConstantOp::create(b, b.getI32Type(), b.getI32IntegerAttr(1));
  int64_t together = std::max<int64_t>(c.lowering.getRowsAtOnce(), 2);
  for (int64_t i = 0; i < together; ++i)
    slots.push_back(LLVM::AllocaOp::create(
        b, pointer, VectorType::get({getNumNumbers()}, b.getF32Type()), count,
        kSlotBytes));
}

/// To convert from memory saves a shuffle; what lies behind the header is
/// loaded too, where the row has as much.
int64_t RowHeaders::getNumNumbers() const {
  bool convertsMore = c.lowering.getHalf() == HalfMode::hardware &&
                      c.row.getUsedBytes() >= kConvertedBytes;
  return (convertsMore ? kConvertedBytes : kHeaderBytes) / kHalfBytes;
}

RowHeader RowHeaders::load(const WeightedRow &row) {
  int64_t count = getNumNumbers();
  Value start = arith::ConstantIndexOp::create(b, 0);
  Value bytes = vector::LoadOp::create(
      b, VectorType::get({count * kHalfBytes}, b.getI8Type()), rows,
      ValueRange{row.index, start});
  Value halves = vector::BitCastOp::create(
      b, VectorType::get({count}, b.getF16Type()), bytes);
  Value values = widenHalf(b, halves, c.lowering.getHalf());
  if (row.weight) {
    Value weights =
        vector::BroadcastOp::create(b, values.getType(), row.weight);
    values = arith::MulFOp::create(b, values, weights);
  }
  if (slots.empty())
    return {values, Value()};
  Value slot = slots[nextSlot++ % slots.size()];
  LLVM::StoreOp::create(b, values, slot, kSlotBytes);
  return {values, slot};
}

Value RowHeaders::splat(const RowHeader &header, int64_t number,
                        VectorType type) {
  if (!header.slot) {
    Value scalar = vector::ExtractOp::create(b, header.values, number);
    return vector::BroadcastOp::create(b, type, scalar);
  }
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value place = LLVM::GEPOp::create(b, pointer, b.getF32Type(), header.slot,
                                    ArrayRef<LLVM::GEPArg>{int32_t(number)});
  auto element = b.getDictionaryAttr(
      b.getNamedAttr(LLVM::InlineAsmOp::getElementTypeAttrName(),
                     TypeAttr::get(b.getF32Type())));
  return LLVM::InlineAsmOp::create(
             b, type, place, "vbroadcastss $1, $0", "=v,*m",
             /*has_side_effects=*/false, /*is_align_stack=*/false,
             LLVM::tailcallkind::TailCallKind::None,
             LLVM::AsmDialectAttr::get(b.getContext(),
                                       LLVM::AsmDialect::AD_ATT),
             b.getArrayAttr(element))
      .getResult(0);
}
