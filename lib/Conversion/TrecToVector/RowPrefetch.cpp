//===- RowPrefetch.cpp - Fetching rows before they are added --------------===//

#include "RowPrefetch.h"
#include "Likely.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace mlir::trec;

static constexpr int64_t kCacheLineBytes = 64;

Value RowPrefetch::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

/// The bytes of a row whose lines are all that the row touches. Rows begin at
/// multiples of what divides both their length and a line, for tables begin at
/// a line.
static SmallVector<int64_t> getLineBytes(RowType row) {
  int64_t usedBytes = row.getUsedBytes();
  SmallVector<int64_t> bytes;
  for (int64_t byte = 0; byte < usedBytes; byte += kCacheLineBytes)
    bytes.push_back(byte);
  int64_t step = std::gcd(row.getRowBytes(), kCacheLineBytes);
  if ((usedBytes - 1) % kCacheLineBytes >= step)
    bytes.push_back(usedBytes - 1);
  return bytes;
}

/// Fetches all cache lines of the row of the id at `position`.
void RowPrefetch::fetch(Value position, CacheLevel level) {
  Value row = resolver.resolveAhead(position);
  for (int64_t byte : getLineBytes(c.row))
    memref::PrefetchOp::create(b, rows, ValueRange{row, index(byte)},
                               /*isWrite=*/false, uint32_t(level),
                               /*isDataCache=*/true);
}

void RowPrefetch::setLast(Value lastPosition, Value fetchesFar) {
  last = lastPosition;
  if (!c.lowering.getFarDistance())
    return;
  Value none = index(-1);
  auto fetches = [&](arith::CmpIPredicate predicate, int64_t value) {
    return arith::CmpIOp::create(b, predicate, fetchesFar, index(value));
  };
  auto lastIf = [&](Value condition) {
    return arith::SelectOp::create(b, condition, last, none);
  };
  int64_t group = c.lowering.getFarGroup();
  if (group == 1) {
    lastAlone = lastIf(fetches(arith::CmpIPredicate::ne, 0));
    return;
  }
  if (group > 1) {
    lastInGroups = lastIf(fetches(arith::CmpIPredicate::ne, 0));
    farGroup = index(group);
    groupMask = index(group - 1);
    return;
  }
  Value areGroups = fetches(arith::CmpIPredicate::sgt, 1);
  lastAlone = lastIf(fetches(arith::CmpIPredicate::eq, 1));
  lastInGroups = lastIf(areGroups);
  farGroup = fetchesFar;
  Value mask = arith::SubIOp::create(b, farGroup, index(1));
  groupMask = arith::SelectOp::create(b, areGroups, mask, none);
}

/// Fetches the rows of `count` ids from `position` on, where all of them exist.
/// A branch, not a clamp: after the last id nothing is left to fetch, and
/// branch prediction makes that free.
void RowPrefetch::fetchIfAny(Value position, int64_t count, Value last,
                             CacheLevel level) {
  auto at = [&](int64_t i) {
    return i ? arith::AddIOp::create(b, position, index(i)) : position;
  };
  Value exist =
      arith::CmpIOp::create(b, arith::CmpIPredicate::sle, at(count - 1), last);
  auto any = scf::IfOp::create(b, likely(b, exist), /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(any.thenBlock());
  for (int64_t i = 0; i < count; ++i)
    fetch(at(i), level);
}

/// Requests that leave together overlap in memory where single ones wait for
/// the rows between them to be added: rows that are added one by one have those
/// of a whole group fetched at each position that is a multiple of it.
void RowPrefetch::fetchFarGroup(Value position) {
  Value rest = arith::AndIOp::create(b, position, groupMask);
  Value isFirst =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, rest, index(0));
  auto atFirst =
      scf::IfOp::create(b, unlikely(b, isFirst), /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(atFirst.thenBlock());
  Value from =
      arith::AddIOp::create(b, position, index(c.lowering.getFarDistance()));
  Value groupEnd = arith::AddIOp::create(b, from, farGroup);
  Value end = arith::AddIOp::create(b, lastInGroups, index(1));
  Value to = arith::MinSIOp::create(b, groupEnd, end);
  auto rows = scf::ForOp::create(b, from, to, index(1));
  b.setInsertionPointToStart(rows.getBody());
  fetch(rows.getInductionVar(), CacheLevel::second);
}

/// Where the runtime chooses there is code for both, for a loop over the only
/// row of a group takes longer than to fetch it.
void RowPrefetch::fetchFar(Value position, int64_t count) {
  if (lastAlone) {
    Value ahead =
        arith::AddIOp::create(b, position, index(c.lowering.getFarDistance()));
    fetchIfAny(ahead, count, lastAlone, CacheLevel::second);
  }
  if (lastInGroups)
    fetchFarGroup(position);
}

void RowPrefetch::fetchAhead(Value position, int64_t count) {
  int64_t mostAhead = resolver.getLookAhead();
  if (c.lowering.getFarDistance() &&
      mostAhead == std::numeric_limits<int64_t>::max())
    fetchFar(position, count);
  if (!c.lowering.getPrefetchDistance())
    return;
  int64_t distance = std::min(c.lowering.getPrefetchDistance(), mostAhead);
  Value ahead = arith::AddIOp::create(b, position, index(distance));
  fetchIfAny(ahead, count, last, CacheLevel::first);
}
