//===- DeviceIds.cpp - From ids to rows on a GPU --------------------------===//

#include "DeviceIds.h"

using namespace mlir;
using namespace mlir::trec;

/// Where slots and pairs have the id, and where its row.
static constexpr int64_t kIdElement = 0, kRowElement = 1;

DeviceIds::DeviceIds(DeviceBuilder &builder, std::optional<MapKind> remap,
                     const Lookup &lookup)
    : b(builder), remap(remap), numRows(lookup.numRows) {
  numIds = numRows;
  if (!remap)
    return;
  map = lookup.loadRemap(b);
  numIds = lookup.loadNumIds(b);
  numEntries = lookup.loadNumRemap(b);
  if (remap != MapKind::array)
    numEntries = b.shiftRight(numEntries, 1);
}

/// A row as i32 if it is one of the table; unsigned, so that negative ones are
/// not.
Value DeviceIds::toRow(Value row, Value isRow) {
  Value none = b.i32(kNoRow);
  return b.select(isRow, b.truncate(row), none);
}

/// Of an id that is a row. Those of 32 bits are compared as such: no table of
/// more rows has more that they can name.
ResolvedId DeviceIds::resolveRow(Value id) {
  Value limit = numRows;
  if (id.getType().isInteger(32)) {
    Value most = b.i64(int64_t(1) << 31);
    limit = b.truncate(arith::MinUIOp::create(b, numRows, most));
  }
  Value isBelow = b.compare(Predicate::ult, id, limit);
  Value isSkipped = b.compare(Predicate::eq, id, -1);
  Value isBad = b.negate(b.either(isBelow, isSkipped));
  Value row = id.getType().isInteger(32) ? id : b.truncate(id);
  Value zero = b.i32(0);
  return {b.select(isBad, zero, row), isBad};
}

ResolvedId DeviceIds::resolve(Value id, Value isThere) {
  if (!remap)
    return resolveRow(id);
  Value wide = id.getType().isInteger(32) ? b.signExtend(id) : id;
  if (remap == MapKind::sorted) {
    Value row = mapIfAny(isThere, [&] { return searchSorted(wide); });
    Value isRow = b.compare(Predicate::ult, row, numRows);
    Value rowOfId = toRow(row, isRow);
    return {rowOfId, b.boolean(false)};
  }
  Value isBelow = b.compare(Predicate::ult, wide, numIds);
  Value isSkipped = b.compare(Predicate::eq, wide, -1);
  Value isBad = b.negate(b.either(isBelow, isSkipped));
  Value isUsed = b.negate(isSkipped);
  Value zero = b.i64(0);
  Value used = b.select(isBelow, wide, zero);
  Value row = mapIfAny(isUsed, [&] {
    return remap == MapKind::array
               ? b.signExtend(b.load(b.addressOf(map, used, 4), b.getI32Type()))
               : searchHashTable(used);
  });
  Value isRow = b.compare(Predicate::ult, row, numRows);
  return {toRow(row, isRow), isBad};
}

/// What the map gives, or no row.
Value DeviceIds::mapIfAny(Value isThere, function_ref<Value()> map) {
  return b
      .branch(
          isThere, b.getI64Type(), [&] { return SmallVector<Value>{map()}; },
          [&] { return SmallVector<Value>{b.i64(kNoRow)}; })
      .front();
}

/// The id or the row of a slot or a pair, as i64.
Value DeviceIds::loadEntry(Value entry, int64_t element) {
  if (remap == MapKind::sorted) {
    Value address = b.addressOf(map, entry, 16);
    return b.load(b.add(address, 8 * element), b.getI64Type());
  }
  Value address = b.addressOf(map, entry, 8);
  return b.signExtend(b.load(b.add(address, 4 * element), b.getI32Type()));
}

/// The finaliser of 32-bit MurmurHash3.
Value DeviceIds::hash(Value id) {
  Value h = b.truncate(id);
  auto mix = [&](int64_t shift) { h = b.exclusive(h, b.shiftRight(h, shift)); };
  mix(16);
  h = b.multiply(h, int32_t(0x85ebca6b));
  mix(13);
  h = b.multiply(h, int32_t(0xc2b2ae35));
  mix(16);
  return b.zeroExtend(h);
}

/// The slot that has `id`, or the empty one that says that none has. Slots are
/// counted, because the caller may have filled them all since they were
/// checked.
Value DeviceIds::probe(Value id, Value firstSlot) {
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getI64Type(), b.getI64Type()},
      ValueRange{firstSlot, numEntries},
      [&](OpBuilder &, Location, ValueRange state) {
        Value stored = loadEntry(state[0], kIdElement);
        Value isOther = b.compare(Predicate::ne, stored, id);
        Value isFull = b.compare(Predicate::ne, stored, -1);
        Value isLeft = b.compare(Predicate::ne, state[1], 1);
        Value more = b.both(b.both(isOther, isFull), isLeft);
        scf::ConditionOp::create(b, more, state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        Value next = b.add(state[0], 1);
        Value inTable = b.compare(Predicate::ult, next, numEntries);
        Value zero = b.i64(0);
        Value slot = b.select(inTable, next, zero);
        Value left = b.subtract(state[1], 1);
        scf::YieldOp::create(b, ValueRange{slot, left});
      });
  return loop.getResult(0);
}

Value DeviceIds::searchHashTable(Value id) {
  Value first = arith::RemUIOp::create(b, hash(id), numEntries);
  Value slot = probe(id, first);
  Value isThere = b.compare(Predicate::eq, loadEntry(slot, kIdElement), id);
  Value row = loadEntry(slot, kRowElement);
  return b.select(isThere, row, b.i64(kNoRow));
}

/// How many ids of a sorted map are less than `id`: halves what may be so.
Value DeviceIds::countPairsBelow(Value id, Value numReadable) {
  Value none = b.i64(0);
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getI64Type(), b.getI64Type()},
      ValueRange{none, numReadable},
      [&](OpBuilder &, Location, ValueRange state) {
        Value isOpen = b.compare(Predicate::ult, state[0], state[1]);
        scf::ConditionOp::create(b, isOpen, state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        Value middle = b.shiftRight(b.add(state[0], state[1]), 1);
        Value stored = loadEntry(middle, kIdElement);
        Value isBelow = b.compare(Predicate::slt, stored, id);
        Value behind = b.add(middle, 1);
        Value low = b.select(isBelow, behind, state[0]);
        Value high = b.select(isBelow, state[1], middle);
        scf::YieldOp::create(b, ValueRange{low, high});
      });
  return loop.getResult(0);
}

/// The row of the first pair with the id; of an id that no pair has the last.
Value DeviceIds::searchSorted(Value id) {
  // A map without pairs has one that can be read.
  Value one = b.i64(1);
  Value numReadable = arith::MaxUIOp::create(b, numEntries, one);
  Value last = b.subtract(numReadable, 1);
  Value below = countPairsBelow(id, numReadable);
  Value pair = arith::MinUIOp::create(b, below, last);
  Value isThere = b.compare(Predicate::eq, loadEntry(pair, kIdElement), id);
  Value stored = loadEntry(pair, kRowElement);
  Value missing = b.subtract(numEntries, 1);
  return b.select(isThere, stored, missing);
}
