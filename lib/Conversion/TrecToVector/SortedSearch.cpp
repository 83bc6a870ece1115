//===- SortedSearch.cpp - Rows of ids by binary search --------------------===//

#include "SortedSearch.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

/// Ids that are searched for together.
static constexpr int64_t kLanes = 8;
/// Rows that are kept: of the ids around a position and of those after them.
static constexpr int64_t kKeptRows = 2 * kLanes;
static_assert(SortedSearch::kLookAhead == kLanes);

/// Where pairs have the id, and where its row.
static constexpr int64_t kIdElement = 0, kRowElement = 1;

static Value makeIndex(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

Value SortedSearch::i64(int64_t value) {
  return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
}

Value SortedSearch::splat(Value scalar) {
  auto type = VectorType::get({kLanes}, scalar.getType());
  return vector::BroadcastOp::create(b, type, scalar);
}

SortedSearch::SortedSearch(ImplicitLocOpBuilder &builder, Value ids, Value map)
    : b(builder), ids(ids), map(map) {
  rows =
      memref::AllocaOp::create(b, MemRefType::get({kKeptRows}, b.getI64Type()));
  Value elements = arith::IndexCastOp::create(b, b.getI64Type(),
                                              memref::DimOp::create(b, map, 0));
  numPairs = arith::ShRUIOp::create(b, elements, i64(1));
  // A map without pairs has one that can be read.
  numReadable = arith::MaxUIOp::create(b, numPairs, i64(1));
  Value zeros = math::CountLeadingZerosOp::create(b, numReadable);
  Value bit = arith::SubIOp::create(b, i64(63), zeros);
  highestPower = arith::ShLIOp::create(b, i64(1), bit);
  highestBit = arith::IndexCastOp::create(b, b.getIndexType(), bit);
}

void SortedSearch::begin(Value first, Value last) {
  this->first = first;
  this->last = last;
}

/// All lanes of a memref of rank 1.
Value SortedSearch::gather(Value memref, Value indices) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  auto type = VectorType::get({kLanes}, element);
  auto maskType = VectorType::get({kLanes}, b.getI1Type());
  Value mask = arith::ConstantOp::create(
      b, DenseElementsAttr::get(maskType, b.getBoolAttr(true)));
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::GatherOp::create(b, type, memref, ValueRange{makeIndex(b, 0)},
                                  indices, mask, none);
}

/// The ids or the rows of pairs.
Value SortedSearch::gatherElement(Value pairs, int64_t element) {
  Value places = arith::AddIOp::create(b, pairs, pairs);
  if (element != 0)
    places = arith::AddIOp::create(b, places, splat(i64(element)));
  return gather(map, places);
}

/// The ids at `chunk` and the positions after it; where those are past the last
/// one, that of the last one.
Value SortedSearch::loadIds(Value chunk) {
  auto type = VectorType::get({kLanes}, b.getIndexType());
  Value lanes = vector::StepOp::create(b, type);
  Value places = arith::AddIOp::create(b, splat(chunk), lanes);
  Value found = gather(ids, arith::MinUIOp::create(b, places, splat(last)));
  auto wide = VectorType::get({kLanes}, b.getI64Type());
  return found.getType() == wide ? found
                                 : arith::ExtSIOp::create(b, wide, found);
}

/// How many ids of the map are less than each of these. The number is found bit
/// by bit, from the highest one on; what the map has beyond a power of two
/// comes first, and may overlap with what the bits then count.
Value SortedSearch::countIdsBelow(Value ids) {
  // Counts `more` where the id of that many pairs, less one, is still below.
  auto count = [&](Value counts, Value more, Value lastOfThem) {
    Value places = arith::AddIOp::create(b, counts, splat(lastOfThem));
    Value stored = gatherElement(places, kIdElement);
    Value isBelow =
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt, stored, ids);
    Value added = arith::AddIOp::create(b, counts, splat(more));
    return Value(arith::SelectOp::create(b, isBelow, added, counts));
  };
  Value none = splat(i64(0)), one = i64(1);
  Value lastOfPower = arith::SubIOp::create(b, highestPower, one);
  Value beyond = arith::SubIOp::create(b, numReadable, lastOfPower);
  Value begin = count(none, beyond, lastOfPower);
  Value from = makeIndex(b, 0), step = makeIndex(b, 1);
  auto bits = scf::ForOp::create(
      b, from, highestBit, step, begin,
      [&](OpBuilder &, Location, Value bit, ValueRange counts) {
        Value shift = arith::IndexCastOp::create(b, b.getI64Type(), bit);
        shift = arith::AddIOp::create(b, shift, one);
        Value power = arith::ShRUIOp::create(b, highestPower, shift);
        Value lastOfThem = arith::SubIOp::create(b, power, one);
        scf::YieldOp::create(b, count(counts.front(), power, lastOfThem));
      });
  return bits.getResult(0);
}

/// Finds the rows of the ids at `chunk` and the positions after it.
void SortedSearch::findRows(Value chunk) {
  Value wanted = loadIds(chunk);
  Value pairs = countIdsBelow(wanted);
  Value lastPair = arith::SubIOp::create(b, numReadable, i64(1));
  pairs = arith::MinUIOp::create(b, pairs, splat(lastPair));
  Value isThere = arith::CmpIOp::create(
      b, arith::CmpIPredicate::eq, gatherElement(pairs, kIdElement), wanted);
  Value stored = gatherElement(pairs, kRowElement);
  Value missing = arith::SubIOp::create(b, numPairs, i64(1));
  Value found = arith::SelectOp::create(b, isThere, stored, splat(missing));
  Value place = arith::AndIOp::create(b, chunk, makeIndex(b, kKeptRows - 1));
  vector::StoreOp::create(b, found, rows, place);
}

void SortedSearch::advance(Value position) {
  auto is = [&](Value value, Value other) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, value, other);
  };
  Value lanes = makeIndex(b, kLanes);
  Value inChunk = arith::AndIOp::create(b, position, makeIndex(b, kLanes - 1));
  Value chunk = arith::SubIOp::create(b, position, inChunk);
  Value next = arith::AddIOp::create(b, chunk, lanes);
  Value end = arith::AddIOp::create(b, next, lanes);
  Value isEdge = is(inChunk, makeIndex(b, 0));
  Value begin = arith::SelectOp::create(b, isEdge, next, end);
  begin = arith::SelectOp::create(b, is(position, first), chunk, begin);
  auto chunks = scf::ForOp::create(b, begin, end, lanes);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(chunks.getBody());
  findRows(chunks.getInductionVar());
}

Value SortedSearch::getRow(Value position) {
  Value place = arith::AndIOp::create(b, position, makeIndex(b, kKeptRows - 1));
  Value row = memref::LoadOp::create(b, rows, place);
  return arith::IndexCastOp::create(b, b.getIndexType(), row);
}
