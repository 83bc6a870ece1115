//===- BagKernel.cpp - The kernel of one configuration --------------------===//
//
// The loops of a kernel: bags, passes over the columns of a bag where they do
// not fit into registers at once, rows of the bag. Rows are added one after the
// other in the order of their ids; that order is part of the numeric contract.
//
//===----------------------------------------------------------------------===//

#include "BagKernel.h"
#include "HalfFloat.h"
#include "IdResolution.h"
#include "Likely.h"
#include "OutputRows.h"
#include "RowCopy.h"
#include "RowHeaders.h"
#include "RowPieces.h"
#include "RowPrefetch.h"
#include "RowSums.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// What is at a position of a bag: a row, unless its id has none.
struct FoundRow {
  Value index;
  Value isRow;
  Value position;
};

class BagKernelBuilder {
public:
  BagKernelBuilder(OpBuilder &builder, Location loc,
                   const BagConfiguration &configuration, IntegerType idType)
      : b(loc, builder), c(configuration), idType(idType),
        row(configuration.row), halfMode(configuration.lowering.getHalf()),
        rowsAtOnce(configuration.lowering.getRowsAtOnce()) {}

  func::FuncOp build();

private:
  func::FuncOp createFunction();
  void setLastPosition(Value last);
  void buildBags();
  void buildBagsOfAnyLength(Value idsEnd);
  void buildBagsOfOneId();
  void buildLongOrShortBags(Value idsEnd);
  void buildLoopOfBags();
  void buildBag(Value bag);
  void buildRows();
  void buildRow(Value position, Value outputRow, RowArithmetic arithmetic);
  void copyRow(Value position, Value outputRow);
  void buildPasses(Value bag, RowArithmetic arithmetic);
  bool takesStepsTogether() {
    return rowsAtOnce > 1 && resolver->resolvesTogether();
  }
  /// Whether the bits of a sum may depend on the rows of a step.
  bool arePairsOfSteps() {
    return !c.isCertified() &&
           c.lowering.getCertified() == RowArithmetic::row_pairs;
  }
  int64_t getRowsPerStep(const RowSums &sums);
  SmallVector<Value> addRows(RowSums &sums, bool isFirstPass);
  SmallVector<Value> addOneByOne(RowSums &sums,
                                 std::pair<Value, Value> positions,
                                 ValueRange values,
                                 function_ref<FoundRow(Value)> find);
  SmallVector<Value> addStep(RowSums &sums, Value position, bool isFirstPass,
                             ValueRange values);
  SmallVector<Value> addTogether(RowSums &sums, Value position,
                                 ValueRange found, ValueRange values);
  Value getCertifiedStart();
  SmallVector<RowPiece> cutRow() { return trec::cutRow(row, c.lowering); }
  FoundRow findRow(Value position, bool isFirstPass);
  FoundRow resolveRow(Value position, bool isFirstPass);
  Value loadWeight(Value position);
  SmallVector<Value> addIfRow(RowSums &sums, const FoundRow &found,
                              ValueRange values);
  SmallVector<Value> addPair(RowSums &sums, const FoundRow &first,
                             const FoundRow &second, ValueRange values);
  Value getMeanFactor();

  Type getMapElement() {
    return c.remap ? MapAttr::get(b.getContext(), *c.remap, MapAttr::kAllIds)
                         .getElementType()
                   : b.getI32Type();
  }
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value loadIndex(Value memref, Value position) {
    Value value = memref::LoadOp::create(b, memref, position);
    return arith::IndexCastOp::create(b, b.getIndexType(), value);
  }

  ImplicitLocOpBuilder b;
  const BagConfiguration &c;
  IntegerType idType;
  RowType row;
  HalfMode halfMode;
  int64_t rowsAtOnce;
  Value rows, ids, offsets, weights, output, report, remap, numIds;
  Value certifiedLength, certifiedOffset, fetchesFar, stores, haveOneId;
  Value begin, end;
  std::optional<IdResolver> resolver;
  std::optional<OutputRows> outputRows;
  std::optional<RowPrefetch> prefetch;
  std::optional<RowHeaders> headers;
  Value lastPosition; // of an id of bags begin to end
  Value bagBegin, bagEnd;
};

} // namespace

func::FuncOp BagKernelBuilder::createFunction() {
  int64_t dynamic = ShapedType::kDynamic;
  auto stridedRows = StridedLayoutAttr::get(b.getContext(), 0, {dynamic, 1});
  Type types[] = {MemRefType::get({dynamic, row.getRowBytes()}, b.getI8Type()),
                  MemRefType::get({dynamic}, idType),
                  MemRefType::get({dynamic}, b.getI64Type()),
                  MemRefType::get({dynamic}, b.getF32Type()),
                  MemRefType::get({dynamic, row.getOutputDim(c.outputElement)},
                                  getStoredType(c.outputElement, halfMode),
                                  stridedRows),
                  MemRefType::get({2}, b.getI64Type()),
                  MemRefType::get({dynamic}, getMapElement()),
                  b.getIndexType(),
                  b.getIndexType(),
                  b.getF32Type(),
                  b.getIndexType(),
                  b.getIndexType(),
                  b.getIndexType(),
                  b.getIndexType(),
                  b.getIndexType()};
  std::string name = c.getName() + (idType.getWidth() == 32 ? "_i32" : "_i64");
  auto function = func::FuncOp::create(b, name, b.getFunctionType(types, {}));
  function.setPrivate();
  Block *entry = function.addEntryBlock();
  Value *arguments[] = {
      &rows,       &ids,    &offsets,   &weights,         &output,
      &report,     &remap,  &numIds,    &certifiedLength, &certifiedOffset,
      &fetchesFar, &stores, &haveOneId, &begin,           &end};
  for (auto [value, argument] : llvm::zip(arguments, entry->getArguments()))
    *value = argument;
  return function;
}

func::FuncOp BagKernelBuilder::build() {
  func::FuncOp function = createFunction();
  b.setInsertionPointToStart(&function.front());
  outputRows.emplace(b, c, output, stores);
  resolver.emplace(b, c.remap, IdArguments{ids, rows, report, remap, numIds});
  prefetch.emplace(b, c, rows, *resolver);
  headers.emplace(b, c, rows);
  if (c.pooling)
    buildBags();
  else
    buildRows();
  func::ReturnOp::create(b);
  return function;
}

/// Before all loops.
void BagKernelBuilder::setLastPosition(Value last) {
  lastPosition = last;
  prefetch->setLast(last, fetchesFar);
}

void BagKernelBuilder::buildBags() {
  Value one = index(1);
  Value idsEnd = loadIndex(offsets, end);
  setLastPosition(arith::SubIOp::create(b, idsEnd, one));
  outputRows->setLast(arith::SubIOp::create(b, end, one));
  Value haveOthers =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, haveOneId, index(0));
  auto either = scf::IfOp::create(b, haveOthers, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  buildBagsOfAnyLength(idsEnd);
  b.setInsertionPointToStart(either.elseBlock());
  buildBagsOfOneId();
}

void BagKernelBuilder::buildBagsOfAnyLength(Value idsEnd) {
  if (takesStepsTogether() && !arePairsOfSteps())
    buildLongOrShortBags(idsEnd);
  else
    buildLoopOfBags();
}

/// Offsets say nothing more, a row is its own mean, and where sums are
/// certified it has the same bits in any arithmetic. Stores of headers would
/// wait between those of outputs.
void BagKernelBuilder::buildBagsOfOneId() {
  headers->keepInRegisters();
  Value first = loadIndex(offsets, begin);
  if (resolver->isOrdered())
    resolver->begin(first, lastPosition);
  Value bagOfFirst = arith::SubIOp::create(b, begin, first);
  Value last = arith::SubIOp::create(b, end, bagOfFirst);
  auto positions = scf::ForOp::create(b, first, last, index(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(positions.getBody());
  bagBegin = positions.getInductionVar();
  Value bag = arith::AddIOp::create(b, bagBegin, bagOfFirst);
  outputRows->fetch(bag);
  buildRow(bagBegin, bag,
           c.isCertified() ? RowArithmetic::in_order
                           : c.lowering.getCertified());
}

/// Bags that have fewer rows than a step, on the average, get a loop without
/// steps: what these need in registers each such bag would load again. Stores
/// of headers would wait between those of outputs there too, but what spread
/// codes shuffle costs more.
void BagKernelBuilder::buildLongOrShortBags(Value idsEnd) {
  Value numIds = arith::SubIOp::create(b, idsEnd, loadIndex(offsets, begin));
  Value numBags = arith::SubIOp::create(b, end, begin);
  Value idsOfSteps = arith::MulIOp::create(b, numBags, index(rowsAtOnce));
  Value areLong =
      arith::CmpIOp::create(b, arith::CmpIPredicate::sge, numIds, idsOfSteps);
  auto either = scf::IfOp::create(b, areLong, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  buildLoopOfBags();
  b.setInsertionPointToStart(either.elseBlock());
  rowsAtOnce = 1;
  if (!c.lowering.spreadsCodes())
    headers->keepInRegisters();
  buildLoopOfBags();
}

void BagKernelBuilder::buildLoopOfBags() {
  if (resolver->isOrdered())
    resolver->begin(loadIndex(offsets, begin), lastPosition);
  auto bags = scf::ForOp::create(b, begin, end, index(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(bags.getBody());
  outputRows->fetch(bags.getInductionVar());
  buildBag(bags.getInductionVar());
}

/// Without pooling `begin` and `end` are positions of ids, and the feature's
/// first id makes row 0 of the output.
void BagKernelBuilder::buildRows() {
  Value one = index(1);
  setLastPosition(arith::SubIOp::create(b, end, one));
  if (resolver->isOrdered())
    resolver->begin(begin, lastPosition);
  Value first = loadIndex(offsets, index(0));
  auto positions = scf::ForOp::create(b, begin, end, one);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(positions.getBody());
  Value position = positions.getInductionVar();
  Value outputRow = arith::SubIOp::create(b, position, first);
  if (c.isCopy())
    copyRow(position, outputRow);
  else
    buildRow(position, outputRow, RowArithmetic::in_order);
}

void BagKernelBuilder::copyRow(Value position, Value outputRow) {
  FoundRow found = findRow(position, /*isFirstPass=*/true);
  RowCopy copy(b, row, c.lowering.getVectorWidth());
  auto live = scf::IfOp::create(b, found.isRow, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(live.thenBlock());
  copy.copyRow(rows, found.index, output, outputRow);
  b.setInsertionPointToStart(live.elseBlock());
  copy.fillWithZeros(output, outputRow);
}

/// One id, as a bag of its own: the same roundings.
void BagKernelBuilder::buildRow(Value position, Value outputRow,
                                RowArithmetic arithmetic) {
  SmallVector<RowPiece> pieces = cutRow();
  bool isFirstPass = true;
  for (ArrayRef<RowPiece> pass : cutPasses(pieces, row, c.lowering)) {
    RowSums sums(b, c, *headers, arithmetic, pass);
    FoundRow found = findRow(position, isFirstPass);
    SmallVector<Value> sum = addIfRow(sums, found, sums.begin());
    outputRows->store(outputRow, pass, sums.finish(sum));
    isFirstPass = false;
  }
}

/// Bags up to the certified length have the same bits in any arithmetic.
void BagKernelBuilder::buildBag(Value bag) {
  bagBegin = loadIndex(offsets, bag);
  bagEnd = loadIndex(offsets, arith::AddIOp::create(b, bag, index(1)));
  RowArithmetic certified = c.lowering.getCertified();
  if (!c.isCertified())
    return buildPasses(bag, certified);
  Value length = arith::SubIOp::create(b, bagEnd, bagBegin);
  Value isCertified = arith::CmpIOp::create(b, arith::CmpIPredicate::sle,
                                            length, certifiedLength);
  auto either = scf::IfOp::create(b, isCertified, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  buildPasses(bag, certified);
  b.setInsertionPointToStart(either.elseBlock());
  buildPasses(bag, RowArithmetic::in_order);
}

void BagKernelBuilder::buildPasses(Value bag, RowArithmetic arithmetic) {
  SmallVector<RowPiece> pieces = cutRow();
  SmallVector<ArrayRef<RowPiece>> passes = cutPasses(pieces, row, c.lowering);
  // Each pass goes back to the bag's first id.
  if (resolver->isOrdered() && passes.size() > 1)
    resolver->begin(bagBegin, lastPosition);
  Value mean = c.pooling == Pooling::mean ? getMeanFactor() : Value();
  bool isFirstPass = true;
  for (ArrayRef<RowPiece> pass : passes) {
    RowSums sums(b, c, *headers, arithmetic, pass);
    outputRows->store(bag, pass, sums.finish(addRows(sums, isFirstPass)), mean);
    isFirstPass = false;
  }
}

/// What certified sums of the bag begin below zero by.
Value BagKernelBuilder::getCertifiedStart() {
  Value length = arith::SubIOp::create(b, bagEnd, bagBegin);
  Value count = arith::SIToFPOp::create(
      b, b.getF32Type(), arith::IndexCastOp::create(b, b.getI64Type(), length));
  return arith::MulFOp::create(b, count, certifiedOffset);
}

/// Rows that are added in one step: those of the lowering, or a pair.
int64_t BagKernelBuilder::getRowsPerStep(const RowSums &sums) {
  if (takesStepsTogether())
    return rowsAtOnce;
  return sums.takesPairs() ? 2 : 1;
}

/// The rows of the bag: whole steps first, then one by one.
SmallVector<Value> BagKernelBuilder::addRows(RowSums &sums, bool isFirstPass) {
  SmallVector<Value> values =
      sums.isCertified() ? sums.begin(getCertifiedStart()) : sums.begin();
  Value next = bagBegin;
  OpBuilder::InsertionGuard guard(b);
  if (int64_t perStep = getRowsPerStep(sums); perStep > 1) {
    Value length = arith::SubIOp::create(b, bagEnd, bagBegin);
    Value rest = arith::AndIOp::create(b, length, index(perStep - 1));
    Value last = arith::SubIOp::create(b, bagEnd, rest);
    auto steps = scf::ForOp::create(b, next, last, index(perStep), values);
    b.setInsertionPointToStart(steps.getBody());
    scf::YieldOp::create(b, addStep(sums, steps.getInductionVar(), isFirstPass,
                                    steps.getRegionIterArgs()));
    b.setInsertionPointAfter(steps);
    next = last;
    values.assign(steps.result_begin(), steps.result_end());
  }
  return addOneByOne(sums, {next, bagEnd}, values, [&](Value position) {
    return findRow(position, isFirstPass);
  });
}

/// The rows that `find` says are at the positions from the first to the second.
SmallVector<Value>
BagKernelBuilder::addOneByOne(RowSums &sums, std::pair<Value, Value> positions,
                              ValueRange values,
                              function_ref<FoundRow(Value)> find) {
  auto [from, to] = positions;
  auto loop = scf::ForOp::create(b, from, to, index(1), values);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  FoundRow found = find(loop.getInductionVar());
  scf::YieldOp::create(b, addIfRow(sums, found, loop.getRegionIterArgs()));
  return loop.getResults();
}

SmallVector<Value> BagKernelBuilder::addStep(RowSums &sums, Value position,
                                             bool isFirstPass,
                                             ValueRange values) {
  if (!takesStepsTogether()) {
    FoundRow first = findRow(position, isFirstPass);
    Value after = arith::AddIOp::create(b, position, index(1));
    return addPair(sums, first, findRow(after, isFirstPass), values);
  }
  if (isFirstPass)
    prefetch->fetchAhead(position, rowsAtOnce);
  auto [found, areRows] = resolver->resolveTogether(position, rowsAtOnce);
  auto either = scf::IfOp::create(b, values.getTypes(), likely(b, areRows),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(either.thenBlock());
  scf::YieldOp::create(b, addTogether(sums, position, found, values));
  b.setInsertionPointToStart(either.elseBlock());
  Value end = arith::AddIOp::create(b, position, index(rowsAtOnce));
  // What is ahead of them is on its way.
  scf::YieldOp::create(
      b, addOneByOne(sums, {position, end}, values, [&](Value position) {
        return resolveRow(position, isFirstPass);
      }));
  return either.getResults();
}

/// The rows of the ids from `position` on, all of which are there.
SmallVector<Value> BagKernelBuilder::addTogether(RowSums &sums, Value position,
                                                 ValueRange found,
                                                 ValueRange values) {
  SmallVector<WeightedRow> rows;
  for (auto [i, row] : llvm::enumerate(found))
    rows.push_back(
        {row, loadWeight(arith::AddIOp::create(b, position, index(i)))});
  auto sum = llvm::to_vector_of<Value>(values);
  if (sums.takesPairs())
    for (size_t i = 0; i < rows.size(); i += 2)
      sum = sums.addPair(rows[i], rows[i + 1], sum);
  else
    for (const WeightedRow &row : rows)
      sum = sums.addRow(row, sum);
  return sum;
}

/// What the resolver says is at `position`; on the way the first pass fetches
/// later rows.
FoundRow BagKernelBuilder::findRow(Value position, bool isFirstPass) {
  if (resolver->isOrdered())
    resolver->advance(position);
  if (isFirstPass)
    prefetch->fetchAhead(position, /*count=*/1);
  return resolveRow(position, isFirstPass);
}

FoundRow BagKernelBuilder::resolveRow(Value position, bool isFirstPass) {
  auto [index, isRow] = resolver->resolve(position, isFirstPass);
  return {index, isRow, position};
}

/// The weight of the row at a position; null where rows have none.
Value BagKernelBuilder::loadWeight(Value position) {
  if (!c.isWeighted())
    return {};
  if (c.weighting == Weighting::position)
    position = arith::SubIOp::create(b, position, bagBegin);
  return memref::LoadOp::create(b, weights, position);
}

SmallVector<Value> BagKernelBuilder::addIfRow(RowSums &sums,
                                              const FoundRow &found,
                                              ValueRange values) {
  auto live = scf::IfOp::create(b, values.getTypes(), likely(b, found.isRow),
                                /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(live.thenBlock());
  scf::YieldOp::create(
      b, sums.addRow({found.index, loadWeight(found.position)}, values));
  b.setInsertionPointToStart(live.elseBlock());
  scf::YieldOp::create(b, values);
  return live.getResults();
}

/// Together where both are rows, which is nearly always so.
SmallVector<Value> BagKernelBuilder::addPair(RowSums &sums,
                                             const FoundRow &first,
                                             const FoundRow &second,
                                             ValueRange values) {
  Value areRows = arith::AndIOp::create(b, first.isRow, second.isRow);
  auto live = scf::IfOp::create(b, values.getTypes(), likely(b, areRows),
                                /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(live.thenBlock());
  Value firstWeight = loadWeight(first.position);
  Value secondWeight = loadWeight(second.position);
  scf::YieldOp::create(b, sums.addPair({first.index, firstWeight},
                                       {second.index, secondWeight}, values));
  b.setInsertionPointToStart(live.elseBlock());
  SmallVector<Value> one = addIfRow(sums, first, values);
  scf::YieldOp::create(b, addIfRow(sums, second, one));
  return live.getResults();
}

/// 1.0f / length of the bag, 0 for an empty one.
Value BagKernelBuilder::getMeanFactor() {
  Value length = arith::SubIOp::create(b, bagEnd, bagBegin);
  Value isEmpty =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, length, index(0));
  Value count = arith::SIToFPOp::create(
      b, b.getF32Type(), arith::IndexCastOp::create(b, b.getI64Type(), length));
  Value one = arith::ConstantOp::create(b, b.getF32FloatAttr(1.0f));
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0.0f));
  return arith::SelectOp::create(b, isEmpty, zero,
                                 arith::DivFOp::create(b, one, count));
}

func::FuncOp mlir::trec::buildBagKernel(OpBuilder &builder, Location loc,
                                        const BagConfiguration &configuration,
                                        IntegerType idType) {
  OpBuilder::InsertionGuard guard(builder);
  return BagKernelBuilder(builder, loc, configuration, idType).build();
}
