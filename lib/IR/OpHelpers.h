//===- OpHelpers.h - What the op families share -----------------*- C++ -*-===//
//
// Keywords of enums in op assembly, and checks that several verifiers make.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_IR_OPHELPERS_H
#define TREC_LIB_IR_OPHELPERS_H

#include "trec/IR/TrecDialect.h"

namespace mlir::trec {

/// Prints and parses an enum as a bare keyword: `trec.pool sum %v`.
template <typename AttrT, typename EnumT>
ParseResult parseEnumKeyword(OpAsmParser &parser, AttrT &attr,
                             std::optional<EnumT> (*symbolize)(StringRef),
                             StringRef expected) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  std::optional<EnumT> value = symbolize(keyword);
  if (!value)
    return parser.emitError(loc)
           << "expected " << expected << ", got '" << keyword << "'";
  attr = AttrT::get(parser.getContext(), *value);
  return success();
}

inline ParseResult parsePoolingKeyword(OpAsmParser &parser,
                                       PoolingAttr &pooling) {
  return parseEnumKeyword<PoolingAttr, Pooling>(
      parser, pooling, &symbolizePooling, "'sum' or 'mean'");
}
inline void printPoolingKeyword(OpAsmPrinter &printer, Operation *,
                                PoolingAttr pooling) {
  printer << stringifyPooling(pooling.getValue());
}

inline ParseResult parseBoundsKeyword(OpAsmParser &parser,
                                      BoundsPolicyAttr &policy) {
  return parseEnumKeyword<BoundsPolicyAttr, BoundsPolicy>(
      parser, policy, &symbolizeBoundsPolicy,
      "'fatal', 'warning', 'ignore' or 'none'");
}
inline void printBoundsKeyword(OpAsmPrinter &printer, Operation *,
                               BoundsPolicyAttr policy) {
  printer << stringifyBoundsPolicy(policy.getValue());
}

/// Prints and parses the types of batches and of the output behind them.
inline ParseResult parseGroupTypes(OpAsmParser &parser,
                                   SmallVectorImpl<Type> &kjts, Type &dest) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseTypeList(kjts))
    return failure();
  if (kjts.size() < 2)
    return parser.emitError(loc, "expected types of batches and of an output");
  dest = kjts.pop_back_val();
  return success();
}
inline void printGroupTypes(OpAsmPrinter &printer, Operation *, TypeRange kjts,
                            Type dest) {
  printer << kjts << ", " << dest;
}

/// The op that `symbol` names, or an error on `op` that says what it should be.
template <typename OpT>
FailureOr<OpT> lookupSymbol(Operation *op, FlatSymbolRefAttr symbol,
                            SymbolTableCollection &symbolTable) {
  if (auto found = symbolTable.lookupNearestSymbolFrom<OpT>(op, symbol))
    return found;
  return op->emitOpError() << "expected " << symbol << " to name a "
                           << OpT::getOperationName();
}

/// Fails unless `weights` names a parameter of f32.
LogicalResult verifyPositionWeights(Operation *op, FlatSymbolRefAttr weights,
                                    SymbolTableCollection &symbolTable);

/// Fails unless `map` names a parameter that maps ids.
LogicalResult verifyRemap(Operation *op, FlatSymbolRefAttr map,
                          SymbolTableCollection &symbolTable);

/// The stored rows that an op is given, or an error where they are not.
FailureOr<RowType> inferStoredRow(std::optional<Location> loc,
                                  ValueRange operands);

/// C2 of what says how many ids each bag has: a number that an int32 holds.
LogicalResult verifyLength(function_ref<InFlightDiagnostic()> emitError,
                           std::optional<int64_t> length);

/// C1 of ops that read a key of a batch.
LogicalResult verifyBatchHasKey(Operation *op, KJTType kjt, StringRef key);

} // namespace mlir::trec

#endif // TREC_LIB_IR_OPHELPERS_H
