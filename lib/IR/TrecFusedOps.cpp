//===- TrecFusedOps.cpp - Fused lookups and groups of them ----------------===//
//
// Verifiers of the ops in TrecFusedOps.td.
//
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace mlir::trec;

LogicalResult
EmbeddingBagOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto table = lookupSymbol<TableOp>(*this, getTableAttr(), symbolTable);
  if (failed(table)) // C1
    return failure();
  auto pooled = cast<RankedTensorType>(getPooled().getType());
  if (pooled.getDimSize(1) != table->getType().getDim()) // C2
    return emitOpError() << "expected " << table->getType().getDim()
                         << " columns, the dim of " << getTableAttr()
                         << ", got " << pooled;
  return success();
}

LogicalResult
EmbeddingOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto table = lookupSymbol<TableOp>(*this, getTableAttr(), symbolTable);
  if (failed(table)) // C1
    return failure();
  auto row = cast<VectorType>(getRows().getType().getElement());
  if (row.getDimSize(0) != table->getType().getDim()) // C2
    return emitOpError() << "expected a vector of " << table->getType().getDim()
                         << " elements, the dim of " << getTableAttr()
                         << ", got " << row;
  return success();
}

/// The constraints that groups and dispatches share: at least one bag, and each
/// feature in the batch.
template <typename OpT> static LogicalResult verifyBags(OpT op) {
  if (op.getBags().empty()) // C1
    return op.emitOpError("expected at least one bag");
  for (BagAttr bag : op.getBags().template getAsRange<BagAttr>())
    if (failed(verifyBatchHasKey(op, op.getKjt().getType(),
                                 bag.getFeature()))) // C3
      return failure();
  return success();
}

LogicalResult EmbeddingBagGroupOp::verify() {
  if (failed(verifyBags(*this)))
    return failure();
  int64_t dim = getRowType().getDim();
  int64_t total = getDest().getType().getTotalDim();
  for (BagAttr bag : getBags().getAsRange<BagAttr>())
    if (bag.getColumn() > total - dim) // C4
      return emitOpError() << "expected columns of " << bag.getFeature()
                           << " within the " << total << " of the output, got "
                           << bag.getColumn() << " to "
                           << bag.getColumn() + dim;
  if (getWeighted() && !getKjt().getType().getWeighted()) // C5
    return emitOpError("expected a weighted batch");
  return success();
}

LogicalResult
EmbeddingBagGroupOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  for (BagAttr bag : getBags().getAsRange<BagAttr>()) {
    auto table = lookupSymbol<TableOp>(*this, bag.getTable(), symbolTable);
    if (failed(table))
      return failure();
    if (table->getType().getRowType() == getRowType())
      continue;
    InFlightDiagnostic diagnostic =
        emitOpError() << "expected tables with rows of type " << getRowType()
                      << ", got " << bag.getTable(); // C2
    diagnostic.attachNote(table->getLoc())
        << "its rows are " << table->getType().getRowType();
    return diagnostic;
  }
  return success();
}

LogicalResult DispatchOp::verify() { return verifyBags(*this); }

/// True for the type that `convert-trec-to-vector` gives its functions.
static bool isKernelType(FunctionType type) {
  constexpr int64_t ranks[] = {2, 1, 1, 1, 2, 1};
  size_t numMemRefs = std::size(ranks);
  if (type.getNumInputs() != numMemRefs + 2 || type.getNumResults())
    return false;
  for (auto [input, rank] : llvm::zip(type.getInputs(), ranks)) {
    auto memref = dyn_cast<MemRefType>(input);
    if (!memref || memref.getRank() != rank)
      return false;
  }
  return llvm::all_of(type.getInputs().drop_front(numMemRefs),
                      [](Type input) { return input.isIndex(); });
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  for (BagAttr bag : getBags().getAsRange<BagAttr>())
    if (failed(lookupSymbol<TableOp>(*this, bag.getTable(), symbolTable))) // C2
      return failure();
  for (FlatSymbolRefAttr kernel : {getKernelI32Attr(), getKernelI64Attr()}) {
    auto function = lookupSymbol<func::FuncOp>(*this, kernel, symbolTable);
    if (failed(function)) // C4
      return failure();
    if (isKernelType(function->getFunctionType())) // C4
      continue;
    InFlightDiagnostic diagnostic =
        emitOpError() << "expected " << kernel
                      << " to take six memrefs and two indexes, got "
                      << function->getFunctionType();
    diagnostic.attachNote(function->getLoc()) << "declared here";
    return diagnostic;
  }
  return success();
}
