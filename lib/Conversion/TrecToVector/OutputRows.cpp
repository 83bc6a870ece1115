//===- OutputRows.cpp - Writing the rows of an output ---------------------===//

#include "OutputRows.h"
#include "HalfFloat.h"
#include "trec/Runtime/KernelABI.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace mlir;
using namespace mlir::trec;

static constexpr int64_t kCacheLineBytes = 64;

Value OutputRows::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

Value OutputRows::storesAre(int64_t mode) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, stores,
                               index(mode));
}

void OutputRows::setLast(Value last) {
  Value none = index(-1);
  lastFetched =
      arith::SelectOp::create(b, storesAre(TREC_STORES_FETCHED), last, none);
}

/// That its lines are about to be written is only said of a bag's own row.
void OutputRows::fetch(Value row) {
  int64_t distance = c.lowering.getOutputDistance();
  Value ahead = distance ? arith::AddIOp::create(b, row, index(distance)) : row;
  Value exists =
      arith::CmpIOp::create(b, arith::CmpIPredicate::sle, ahead, lastFetched);
  auto any = scf::IfOp::create(b, exists, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(any.thenBlock());
  auto type = cast<MemRefType>(output.getType());
  int64_t perLine = kCacheLineBytes * 8 / type.getElementTypeBitWidth();
  for (int64_t column = 0; column < type.getDimSize(1); column += perLine)
    memref::PrefetchOp::create(b, output, ValueRange{ahead, index(column)},
                               /*isWrite=*/distance == 0, /*localityHint=*/3,
                               /*isDataCache=*/true);
}

void OutputRows::store(Value row, ArrayRef<RowPiece> pieces,
                       ValueRange accumulators, Value mean) {
  int64_t perPiece = getAccumulatorsPerPiece(c.row, c.lowering);
  SmallVector<Value> rounded;
  for (const RowPiece &piece : pieces) {
    Value pooled = orderPiece(b, accumulators.take_front(perPiece), piece,
                              c.row, c.lowering);
    accumulators = accumulators.drop_front(perPiece);
    if (mean)
      pooled = arith::MulFOp::create(
          b, pooled, vector::BroadcastOp::create(b, pooled.getType(), mean));
    rounded.push_back(
        roundToOutput(b, pooled, c.outputElement, c.lowering.getHalf()));
  }
  auto storeAll = [&](bool isStreaming) {
    for (auto [piece, value] : llvm::zip(pieces, rounded))
      storePiece(row, piece, value, isStreaming);
  };
  if (c.lowering.getStores() == StoreMode::cached)
    return storeAll(/*isStreaming=*/false);
  auto either = scf::IfOp::create(b, storesAre(TREC_STORES_STREAMING),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  storeAll(/*isStreaming=*/true);
  b.setInsertionPointToStart(either.elseBlock());
  storeAll(/*isStreaming=*/false);
}

/// Where rows begin at cache lines a column may be aligned less than a vector,
/// which is then stored through the cache.
void OutputRows::storePiece(Value row, const RowPiece &piece, Value value,
                            bool isStreaming) {
  auto type = cast<VectorType>(value.getType());
  int64_t elementBytes = type.getElementTypeBitWidth() / 8;
  uint64_t bytes = type.getNumElements() * elementBytes;
  uint64_t alignment =
      std::gcd<uint64_t>(piece.column * elementBytes, kCacheLineBytes);
  bool isAligned = bytes % std::min<uint64_t>(alignment, bytes) == 0 &&
                   alignment >= std::min<uint64_t>(bytes, kCacheLineBytes);
  llvm::MaybeAlign known;
  if (isStreaming && isAligned)
    known = llvm::Align(alignment);
  vector::StoreOp::create(b, value, output,
                          ValueRange{row, index(piece.column)},
                          /*nontemporal=*/known.has_value(), known);
}
