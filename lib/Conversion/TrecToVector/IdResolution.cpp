//===- IdResolution.cpp - From ids to the rows that a kernel reads --------===//

#include "IdResolution.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::trec;

/// Where pairs have the id, and where its row.
static constexpr int64_t kIdElement = 0, kRowElement = 1;

static Value makeIndex(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

IdResolver::IdResolver(ImplicitLocOpBuilder &builder,
                       std::optional<MapKind> remap,
                       const IdArguments &arguments)
    : b(builder), remap(remap), arguments(arguments) {
  numRows = memref::DimOp::create(b, arguments.rows, 0);
  numIds = remap ? arguments.numIds : numRows;
  if (remap == MapKind::hash_table) {
    Value elements = memref::DimOp::create(b, arguments.remap, 0);
    numSlots = arith::ShRUIOp::create(b, elements, makeIndex(b, 1));
  }
  if (remap == MapKind::sorted)
    search.emplace(b, arguments.ids, arguments.remap);
}

int64_t IdResolver::getLookAhead() const {
  return search ? SortedSearch::kLookAhead
                : std::numeric_limits<int64_t>::max();
}

Value IdResolver::loadIndex(Value memref, Value position) {
  Value value = memref::LoadOp::create(b, memref, position);
  return arith::IndexCastOp::create(b, b.getIndexType(), value);
}

/// Unsigned, so that negative ids are not.
Value IdResolver::isBelow(Value id, Value limit) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, id, limit);
}

std::pair<Value, Value> IdResolver::resolve(Value position, bool isFirstPass) {
  if (search) {
    Value row = search->getRow(position);
    return {row, isBelow(row, numRows)};
  }
  auto [id, isId] = checkId(position, isFirstPass);
  return remap ? remapChecked(id, isId) : std::pair(id, isId);
}

std::pair<SmallVector<Value>, Value>
IdResolver::resolveTogether(Value position, int64_t count) {
  SmallVector<Value> found;
  Value areBelow;
  for (int64_t i = 0; i < count; ++i) {
    Value at = arith::AddIOp::create(b, position, makeIndex(b, i));
    found.push_back(loadIndex(arguments.ids, at));
    Value below = isBelow(found.back(), numIds);
    areBelow = areBelow ? arith::AndIOp::create(b, areBelow, below) : below;
  }
  return {std::move(found), areBelow};
}

/// The id at `position`, 0 in place of a bad one, and whether it is not -1.
std::pair<Value, Value> IdResolver::checkId(Value position, bool isFirstPass) {
  Value id = loadIndex(arguments.ids, position);
  auto checked = scf::IfOp::create(
      b, TypeRange{b.getIndexType(), b.getI1Type()}, isBelow(id, numIds),
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(checked.thenBlock());
  Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  scf::YieldOp::create(b, ValueRange{id, yes});

  b.setInsertionPointToStart(checked.elseBlock());
  Value isBad =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ne, id, makeIndex(b, -1));
  if (isFirstPass) {
    auto bad = scf::IfOp::create(b, isBad, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(bad.thenBlock());
    reportBadId(position);
  }
  Value zero = arith::SelectOp::create(b, isBad, makeIndex(b, 0), id);
  scf::YieldOp::create(b, ValueRange{zero, isBad});
  return {checked.getResult(0), checked.getResult(1)};
}

/// The row that a table stores for an id, and whether there is one. What is no
/// row of the table, such as -1, gives none.
std::pair<Value, Value> IdResolver::remapChecked(Value id, Value isId) {
  auto mapped =
      scf::IfOp::create(b, TypeRange{b.getIndexType(), b.getI1Type()}, isId,
                        /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(mapped.thenBlock());
  Value row = remapId(id);
  Value inBounds = isBelow(row, numRows);
  scf::YieldOp::create(b, ValueRange{row, inBounds});
  b.setInsertionPointToStart(mapped.elseBlock());
  scf::YieldOp::create(b, ValueRange{id, isId});
  return {mapped.getResult(0), mapped.getResult(1)};
}

/// What an array or a hash table gives for an id that is in bounds.
Value IdResolver::remapId(Value id) {
  return remap == MapKind::array ? loadIndex(arguments.remap, id)
                                 : searchHashTable(id);
}

/// The id or the row of a pair.
Value IdResolver::loadSlot(Value slot, int64_t element) {
  Value place = arith::AddIOp::create(b, slot, slot);
  if (element != 0)
    place = arith::AddIOp::create(b, place, makeIndex(b, element));
  return loadIndex(arguments.remap, place);
}

/// The finaliser of 32-bit MurmurHash3.
Value IdResolver::hash(Value id) {
  Value h = arith::IndexCastOp::create(b, b.getI32Type(), id);
  auto constant = [&](uint32_t value) {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(value)));
  };
  auto mix = [&](uint32_t shift) {
    Value high = arith::ShRUIOp::create(b, h, constant(shift));
    h = arith::XOrIOp::create(b, h, high);
  };
  mix(16);
  h = arith::MulIOp::create(b, h, constant(0x85ebca6b));
  mix(13);
  h = arith::MulIOp::create(b, h, constant(0xc2b2ae35));
  mix(16);
  return arith::IndexCastUIOp::create(b, b.getIndexType(), h);
}

/// The slot that has `id`, or the empty one that says that none has. Slots are
/// counted, because the caller may have filled them all since they were
/// checked.
Value IdResolver::probe(Value id, Value firstSlot) {
  Value one = makeIndex(b, 1), zero = makeIndex(b, 0), none = makeIndex(b, -1);
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getIndexType(), b.getIndexType()},
      ValueRange{firstSlot, numSlots},
      [&](OpBuilder &, Location, ValueRange state) {
        Value stored = loadSlot(state[0], kIdElement);
        auto differs = [&](Value value, Value from) {
          return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, value,
                                       from);
        };
        Value isOther = differs(stored, id), isFull = differs(stored, none);
        Value more = arith::AndIOp::create(b, isOther, isFull);
        more = arith::AndIOp::create(b, more, differs(state[1], one));
        scf::ConditionOp::create(b, more, state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        Value next = arith::AddIOp::create(b, state[0], one);
        Value inTable = isBelow(next, numSlots);
        next = arith::SelectOp::create(b, inTable, next, zero);
        Value left = arith::SubIOp::create(b, state[1], one);
        scf::YieldOp::create(b, ValueRange{next, left});
      });
  return loop.getResult(0);
}

Value IdResolver::searchHashTable(Value id) {
  Value slot = probe(id, arith::RemUIOp::create(b, hash(id), numSlots));
  Value isThere = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        loadSlot(slot, kIdElement), id);
  Value row = loadSlot(slot, kRowElement);
  return arith::SelectOp::create(b, isThere, row, makeIndex(b, -1));
}

void IdResolver::reportBadId(Value position) {
  Value report = arguments.report;
  Value count = makeIndex(b, 0), lowest = makeIndex(b, 1);
  Value one = arith::ConstantOp::create(b, b.getI64IntegerAttr(1));
  Value total =
      arith::AddIOp::create(b, memref::LoadOp::create(b, report, count), one);
  memref::StoreOp::create(b, total, report, count);
  Value here = arith::IndexCastOp::create(b, b.getI64Type(), position);
  Value first = arith::MinSIOp::create(
      b, memref::LoadOp::create(b, report, lowest), here);
  memref::StoreOp::create(b, first, report, lowest);
}

/// `id`, or 0 where it is not below `limit`.
Value IdResolver::clampId(Value id, Value limit) {
  Value inBounds = isBelow(id, limit);
  return arith::SelectOp::create(b, inBounds, id, makeIndex(b, 0));
}

Value IdResolver::resolveAhead(Value position) {
  if (search)
    return clampId(search->getRow(position), numRows);
  Value id = loadIndex(arguments.ids, position);
  return remap ? clampId(remapId(clampId(id, numIds)), numRows) : id;
}
