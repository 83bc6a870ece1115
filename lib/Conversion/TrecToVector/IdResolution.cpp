//===- IdResolution.cpp - From ids to the rows that a kernel reads --------===//

#include "IdResolution.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::trec;

static Value makeIndex(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

IdResolver::IdResolver(ImplicitLocOpBuilder &builder, bool isRemapped,
                       const IdArguments &arguments)
    : b(builder), isRemapped(isRemapped), arguments(arguments) {
  numRows = memref::DimOp::create(b, arguments.rows, 0);
  numIds = isRemapped ? Value(memref::DimOp::create(b, arguments.remap, 0))
                      : numRows;
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
  auto [id, isId] = checkId(position, isFirstPass);
  return isRemapped ? remapId(id, isId) : std::pair(id, isId);
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
  scf::YieldOp::create(b, ValueRange{makeIndex(b, 0), isBad});
  return {checked.getResult(0), checked.getResult(1)};
}

/// The row that a pruned table stores for an id, and whether there is one. An
/// entry that is no row of the table, such as -1, gives none.
std::pair<Value, Value> IdResolver::remapId(Value id, Value isId) {
  auto mapped =
      scf::IfOp::create(b, TypeRange{b.getIndexType(), b.getI1Type()}, isId,
                        /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(mapped.thenBlock());
  Value row = loadIndex(arguments.remap, id);
  Value inBounds = isBelow(row, numRows);
  scf::YieldOp::create(b, ValueRange{row, inBounds});
  b.setInsertionPointToStart(mapped.elseBlock());
  scf::YieldOp::create(b, ValueRange{id, isId});
  return {mapped.getResult(0), mapped.getResult(1)};
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
  return arith::SelectOp::create(b, isBelow(id, limit), id, makeIndex(b, 0));
}

Value IdResolver::resolveAhead(Value position) {
  // A bad id must not make the address overflow.
  Value id = clampId(loadIndex(arguments.ids, position), numIds);
  if (isRemapped)
    id = clampId(loadIndex(arguments.remap, id), numRows);
  return id;
}
