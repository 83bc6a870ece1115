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
#include "RowCopy.h"
#include "RowPieces.h"
#include "RowPrefetch.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// What a row contributes besides its codes: its scale and bias, or the weight
/// of a row of floats. Null where there is none.
struct RowFactors {
  Value scale;
  Value bias;
  Value weight;
};

class BagKernelBuilder {
public:
  BagKernelBuilder(OpBuilder &builder, Location loc,
                   const BagConfiguration &configuration, IntegerType idType)
      : b(loc, builder), c(configuration), idType(idType),
        row(configuration.row), halfMode(configuration.lowering.getHalf()) {}

  func::FuncOp build();

private:
  func::FuncOp createFunction();
  void buildBags();
  void buildBag(Value bag);
  void buildRows();
  void buildRow(Value position, Value outputRow);
  void copyRow(Value position, Value outputRow);
  void buildPass(Value bag, ArrayRef<RowPiece> pieces, bool isFirstPass);
  SmallVector<RowPiece> cutRow() {
    return trec::cutRow(row, c.lowering.getVectorWidth());
  }
  SmallVector<Value> makeZeros(ArrayRef<RowPiece> pieces);
  SmallVector<Value> addRow(Value position, ArrayRef<RowPiece> pieces,
                            ValueRange accumulators, bool isFirstPass);
  std::pair<Value, Value> findRow(Value position, bool isFirstPass);
  RowFactors loadFactors(Value index, Value position);
  Value accumulate(Value accumulator, Value element, const RowFactors &factors);
  Value multiplyAdd(Value x, Value y, Value sum, bool productIsExact);
  void storePass(Value outputRow, ArrayRef<RowPiece> pieces,
                 ValueRange accumulators);
  Value getMeanFactor();

  Type getMapElement() {
    return c.remap ? MapAttr::get(b.getContext(), *c.remap, MapAttr::kAllIds)
                         .getElementType()
                   : b.getI32Type();
  }
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value broadcast(Value scalar, Type vector) {
    return vector::BroadcastOp::create(b, vector, scalar);
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
  Value rows, ids, offsets, weights, output, report, remap, numIds, begin, end;
  std::optional<IdResolver> resolver;
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
                  b.getIndexType()};
  std::string name = c.getName() + (idType.getWidth() == 32 ? "_i32" : "_i64");
  auto function = func::FuncOp::create(b, name, b.getFunctionType(types, {}));
  function.setPrivate();
  Block *entry = function.addEntryBlock();
  Value *arguments[] = {&rows,   &ids,   &offsets, &weights, &output,
                        &report, &remap, &numIds,  &begin,   &end};
  for (auto [value, argument] : llvm::zip(arguments, entry->getArguments()))
    *value = argument;
  return function;
}

func::FuncOp BagKernelBuilder::build() {
  func::FuncOp function = createFunction();
  b.setInsertionPointToStart(&function.front());
  resolver.emplace(b, c.remap, IdArguments{ids, rows, report, remap, numIds});
  if (c.pooling)
    buildBags();
  else
    buildRows();
  func::ReturnOp::create(b);
  return function;
}

void BagKernelBuilder::buildBags() {
  Value one = index(1);
  lastPosition = arith::SubIOp::create(b, loadIndex(offsets, end), one);
  if (resolver->isOrdered())
    resolver->begin(loadIndex(offsets, begin), lastPosition);
  auto bags = scf::ForOp::create(b, begin, end, one);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(bags.getBody());
  buildBag(bags.getInductionVar());
}

/// Without pooling `begin` and `end` are positions of ids, and the feature's
/// first id makes row 0 of the output.
void BagKernelBuilder::buildRows() {
  Value one = index(1);
  lastPosition = arith::SubIOp::create(b, end, one);
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
    buildRow(position, outputRow);
}

void BagKernelBuilder::copyRow(Value position, Value outputRow) {
  auto [index, isRow] = findRow(position, /*isFirstPass=*/true);
  RowCopy copy(b, row, c.lowering.getVectorWidth());
  auto live = scf::IfOp::create(b, isRow, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(live.thenBlock());
  copy.copyRow(rows, index, output, outputRow);
  b.setInsertionPointToStart(live.elseBlock());
  copy.fillWithZeros(output, outputRow);
}

/// One id, as a bag of its own: the same roundings.
void BagKernelBuilder::buildRow(Value position, Value outputRow) {
  SmallVector<RowPiece> pieces = cutRow();
  bool isFirstPass = true;
  for (ArrayRef<RowPiece> pass :
       cutPasses(pieces, row, c.lowering.getAccumulators())) {
    SmallVector<Value> sums =
        addRow(position, pass, makeZeros(pass), isFirstPass);
    storePass(outputRow, pass, sums);
    isFirstPass = false;
  }
}

void BagKernelBuilder::buildBag(Value bag) {
  bagBegin = loadIndex(offsets, bag);
  bagEnd = loadIndex(offsets, arith::AddIOp::create(b, bag, index(1)));
  SmallVector<RowPiece> pieces = cutRow();
  SmallVector<ArrayRef<RowPiece>> passes =
      cutPasses(pieces, row, c.lowering.getAccumulators());
  // Each pass goes back to the bag's first id.
  if (resolver->isOrdered() && passes.size() > 1)
    resolver->begin(bagBegin, lastPosition);
  bool isFirstPass = true;
  for (ArrayRef<RowPiece> pass : passes) {
    buildPass(bag, pass, isFirstPass);
    isFirstPass = false;
  }
}

/// Sums start from +0, never from the first row: -0 must vanish.
SmallVector<Value> BagKernelBuilder::makeZeros(ArrayRef<RowPiece> pieces) {
  SmallVector<Value> zeros;
  for (const RowPiece &piece : pieces) {
    auto type = VectorType::get({piece.lanes}, b.getF32Type());
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
    zeros.append(getAccumulatorsPerPiece(row), zero);
  }
  return zeros;
}

void BagKernelBuilder::buildPass(Value bag, ArrayRef<RowPiece> pieces,
                                 bool isFirstPass) {
  auto positions =
      scf::ForOp::create(b, bagBegin, bagEnd, index(1), makeZeros(pieces));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(positions.getBody());
    scf::YieldOp::create(b, addRow(positions.getInductionVar(), pieces,
                                   positions.getRegionIterArgs(), isFirstPass));
  }
  storePass(bag, pieces, positions.getResults());
}

/// The row of the id at `position` and whether there is one, as the resolver
/// says; on the way the first pass fetches later ones.
std::pair<Value, Value> BagKernelBuilder::findRow(Value position,
                                                  bool isFirstPass) {
  if (resolver->isOrdered())
    resolver->advance(position);
  if (isFirstPass)
    RowPrefetch(b, c, rows, *resolver).fetchAhead(position, lastPosition);
  return resolver->resolve(position, isFirstPass);
}

SmallVector<Value> BagKernelBuilder::addRow(Value position,
                                            ArrayRef<RowPiece> pieces,
                                            ValueRange accumulators,
                                            bool isFirstPass) {
  auto [index, isRow] = findRow(position, isFirstPass);
  auto live = scf::IfOp::create(b, accumulators.getTypes(), isRow,
                                /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(live.thenBlock());
  RowFactors factors = loadFactors(index, position);
  SmallVector<Value> sums;
  for (const RowPiece &piece : pieces)
    for (Value element : loadPiece(b, rows, index, piece, row, c.lowering))
      sums.push_back(accumulate(accumulators[sums.size()], element, factors));
  scf::YieldOp::create(b, sums);
  b.setInsertionPointToStart(live.elseBlock());
  scf::YieldOp::create(b, accumulators);
  return live.getResults();
}

RowFactors BagKernelBuilder::loadFactors(Value index, Value position) {
  RowFactors factors;
  if (c.weighting == Weighting::sample)
    factors.weight = memref::LoadOp::create(b, weights, position);
  if (c.weighting == Weighting::position)
    factors.weight = memref::LoadOp::create(
        b, weights, Value(arith::SubIOp::create(b, position, bagBegin)));
  if (!row.isQuantized())
    return factors;
  Value header =
      vector::LoadOp::create(b, VectorType::get({4}, b.getI8Type()), rows,
                             ValueRange{index, this->index(0)});
  Value halves = vector::BitCastOp::create(
      b, VectorType::get({2}, b.getF16Type()), header);
  Value floats = widenHalf(b, halves, halfMode);
  factors.scale = vector::ExtractOp::create(b, floats, 0);
  factors.bias = vector::ExtractOp::create(b, floats, 1);
  if (c.isWeighted()) {
    factors.scale = arith::MulFOp::create(b, factors.scale, factors.weight);
    factors.bias = arith::MulFOp::create(b, factors.bias, factors.weight);
  }
  return factors;
}

/// x * y + sum, rounded once. Where the product is exact, a CPU without the
/// instruction multiplies and adds.
Value BagKernelBuilder::multiplyAdd(Value x, Value y, Value sum,
                                    bool productIsExact) {
  if (c.lowering.getFma() == FmaMode::hardware || !productIsExact)
    return math::FmaOp::create(b, x, y, sum);
  return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y), sum);
}

Value BagKernelBuilder::accumulate(Value accumulator, Value element,
                                   const RowFactors &factors) {
  Type type = accumulator.getType();
  if (factors.scale) {
    Value sum =
        arith::AddFOp::create(b, accumulator, broadcast(factors.bias, type));
    // A code has at most 8 bits and a half float 11: 19 fit into a float.
    return multiplyAdd(element, broadcast(factors.scale, type), sum,
                       /*productIsExact=*/!c.isWeighted());
  }
  if (factors.weight)
    return multiplyAdd(broadcast(factors.weight, type), element, accumulator,
                       /*productIsExact=*/false);
  return arith::AddFOp::create(b, accumulator, element);
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

void BagKernelBuilder::storePass(Value outputRow, ArrayRef<RowPiece> pieces,
                                 ValueRange accumulators) {
  Value mean = c.pooling == Pooling::mean ? getMeanFactor() : Value();
  int64_t perPiece = getAccumulatorsPerPiece(row);
  for (const RowPiece &piece : pieces) {
    Value pooled = interleavePiece(b, accumulators.take_front(perPiece), piece);
    accumulators = accumulators.drop_front(perPiece);
    if (mean)
      pooled =
          arith::MulFOp::create(b, pooled, broadcast(mean, pooled.getType()));
    Value rounded = roundToOutput(b, pooled, c.outputElement, halfMode);
    vector::StoreOp::create(b, rounded, output,
                            ValueRange{outputRow, index(piece.column)});
  }
}

func::FuncOp mlir::trec::buildBagKernel(OpBuilder &builder, Location loc,
                                        const BagConfiguration &configuration,
                                        IntegerType idType) {
  OpBuilder::InsertionGuard guard(builder);
  return BagKernelBuilder(builder, loc, configuration, idType).build();
}
