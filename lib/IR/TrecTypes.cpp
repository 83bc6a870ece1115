//===- TrecTypes.cpp - Types of the trec dialect --------------------------===//
//
// Assembly, verifiers and the geometry of rows. Labels C1, C2 … are those of
// TrecTypes.td.
//
//===----------------------------------------------------------------------===//

#include "NameList.h"
#include "trec/IR/TrecDialect.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::trec;

/// Parses `["a", "b"], weighted`.
static ParseResult parseBatchKeys(AsmParser &parser,
                                  SmallVector<StringAttr> &keys,
                                  bool &weighted) {
  if (parseNameList(parser, keys))
    return failure();
  weighted = succeeded(parser.parseOptionalComma());
  return weighted ? parser.parseKeyword("weighted") : success();
}

static void printBatchKeys(AsmPrinter &printer, ArrayRef<StringAttr> keys,
                           bool weighted) {
  printNameList(printer, keys);
  if (weighted)
    printer << ", weighted";
}

/// Parses `1000x128` or `?x128`.
static ParseResult parseTableShape(AsmParser &parser, int64_t &rows,
                                   int64_t &dim) {
  SmallVector<int64_t> shape;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseDimensionList(shape, /*allowDynamic=*/true,
                                /*withTrailingX=*/false))
    return failure();
  if (shape.size() != 2 || ShapedType::isDynamic(shape[1]))
    return parser.emitError(loc, "expected rows x dim, such as 1000x128");
  rows = shape[0];
  dim = shape[1];
  return success();
}

static void printTableShape(AsmPrinter &printer, int64_t rows, int64_t dim) {
  printer.printDimensionList({rows, dim});
}

#define GET_TYPEDEF_CLASSES
#include "trec/IR/TrecTypes.cpp.inc"

void TrecDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "trec/IR/TrecTypes.cpp.inc"
      >();
}

using EmitError = function_ref<InFlightDiagnostic()>;

/// Wider rows would overflow the arithmetic of addresses.
static constexpr int64_t kMaxDim = int64_t(1) << 24;

/// Of the elements of the widest rows.
static constexpr int64_t kMaxElementBytes = 4;

static LogicalResult verifyKeysDiffer(EmitError emitError,
                                      ArrayRef<StringAttr> keys) {
  llvm::SmallDenseSet<StringAttr> seen;
  for (StringAttr key : keys)
    if (!seen.insert(key).second)
      return emitError() << "expected keys that differ, got " << key
                         << " twice";
  return success();
}

LogicalResult KJTType::verify(EmitError emitError, ArrayRef<StringAttr> keys,
                              bool weighted) {
  if (keys.empty()) // C1
    return emitError() << "expected at least one key";
  for (StringAttr key : keys) // C2
    if (key.getValue().empty())
      return emitError() << "expected keys that are not empty";
  return verifyKeysDiffer(emitError, keys); // C2
}

std::optional<int64_t> KJTType::getKeyIndex(StringRef key) const {
  for (auto [index, name] : llvm::enumerate(getKeys()))
    if (name.getValue() == key)
      return index;
  return std::nullopt;
}

bool mlir::trec::isQuantized(WeightsType weights) {
  return weights == WeightsType::int8 || weights == WeightsType::int4 ||
         weights == WeightsType::int2;
}

bool RowType::isQuantized() const { return trec::isQuantized(getWeights()); }

int64_t RowType::getBits() const { return trec::getBits(getWeights()); }

int64_t mlir::trec::getBits(WeightsType weights) {
  switch (weights) {
  case WeightsType::fp32:
    return 32;
  case WeightsType::fp16:
  case WeightsType::bf16:
    return 16;
  case WeightsType::int8:
  case WeightsType::fp8:
    return 8;
  case WeightsType::int4:
    return 4;
  case WeightsType::int2:
    return 2;
  }
  llvm_unreachable("all weights types are listed");
}

int64_t RowType::getHeaderBytes() const {
  return getLayout().getHeader() == HeaderType::f16 ? 4 : 0;
}

int64_t RowType::getDataBytes() const {
  return llvm::divideCeil(getDim() * getBits(), 8);
}

int64_t RowType::getUsedBytes() const {
  return getHeaderBytes() + getDataBytes();
}

int64_t RowType::getRowBytes() const {
  return llvm::alignTo(getUsedBytes(), getLayout().getAlign());
}

int64_t RowType::getOutputDim(Type element) const {
  return element.isInteger(8) ? getUsedBytes() : getDim();
}

LogicalResult RowType::verify(EmitError emitError, int64_t dim,
                              WeightsType weights, RowLayoutAttr layout) {
  if (dim < 1 || dim > kMaxDim) // C1
    return emitError() << "expected a dim from 1 to " << kMaxDim << ", got "
                       << dim;
  bool isFloat = !trec::isQuantized(weights);
  if (isFloat != (layout.getHeader() == HeaderType::none)) // C2
    return emitError() << "expected rows of " << stringifyWeightsType(weights)
                       << " to have header = " << (isFloat ? "none" : "f16")
                       << ", got " << stringifyHeaderType(layout.getHeader());
  int64_t elementBytes = std::max<int64_t>(1, trec::getBits(weights) / 8);
  int64_t used = dim * elementBytes;
  if (isFloat && llvm::alignTo(used, layout.getAlign()) % elementBytes) // C3
    return emitError() << "expected rows of a multiple of " << elementBytes
                       << " bytes for " << stringifyWeightsType(weights)
                       << ", got " << llvm::alignTo(used, layout.getAlign())
                       << " with align = " << layout.getAlign();
  return success();
}

LogicalResult TableType::verify(EmitError emitError, int64_t rows, int64_t dim,
                                WeightsType weights, RowLayoutAttr layout) {
  if (rows < 0 && !ShapedType::isDynamic(rows)) // C1
    return emitError() << "expected a number of rows of at least 0, got "
                       << rows;
  if (failed(RowType::verify(emitError, dim, weights, layout))) // C2
    return failure();
  auto row = RowType::get(layout.getContext(), dim, weights, layout);
  int64_t maxRows = std::numeric_limits<int64_t>::max() / row.getRowBytes();
  if (rows > maxRows) // C3
    return emitError() << "expected at most " << maxRows << " rows of "
                       << row.getRowBytes() << " bytes, got " << rows;
  return success();
}

RowType TableType::getRowType() const {
  return RowType::get(getContext(), getDim(), getWeights(), getLayout());
}

LogicalResult DequantizedType::verify(EmitError emitError, int64_t dim) {
  if (dim < 1) // C1
    return emitError() << "expected a dim of at least 1, got " << dim;
  return success();
}

static bool isFloatElement(Type type) {
  return type.isF32() || type.isF16() || type.isBF16();
}

static bool isSequenceElement(Type type) {
  return isFloatElement(type) || type.isInteger(8);
}

LogicalResult JaggedType::verify(EmitError emitError, Type element) {
  auto vector = dyn_cast<VectorType>(element);
  bool isOutputRow = vector && vector.getRank() == 1 && !vector.isScalable() &&
                     isSequenceElement(vector.getElementType());
  if (element.isIndex() || element.isF32() || isOutputRow ||
      isa<RowType, DequantizedType>(element)) // C1
    return success();
  return emitError() << "expected index, f32, a row, a dequantized row or a "
                        "vector of f32, f16, bf16 or i8, got "
                     << element;
}

/// C1 of all outputs.
static LogicalResult verifyKeyCount(EmitError emitError,
                                    ArrayRef<StringAttr> keys,
                                    ArrayRef<int64_t> dims) {
  if (keys.empty() || keys.size() != dims.size()) // C1
    return emitError() << "expected one dim for each of at least one key, got "
                       << keys.size() << " keys and " << dims.size() << " dims";
  return success();
}

/// C3 of the outputs that are pooled.
static LogicalResult verifyFloats(EmitError emitError, Type element) {
  if (!isFloatElement(element)) // C3
    return emitError() << "expected elements of f32, f16 or bf16, got "
                       << element;
  return success();
}

/// C1 and C2 of the outputs with one table behind each key.
static LogicalResult verifyOutput(EmitError emitError,
                                  ArrayRef<StringAttr> keys,
                                  ArrayRef<int64_t> dims, int64_t maxDim) {
  for (auto [key, dim] : llvm::zip(keys, dims))
    if (dim < 1 || dim > maxDim) // C2
      return emitError() << "expected a dim from 1 to " << maxDim << " for key "
                         << key << ", got " << dim;
  return verifyKeyCount(emitError, keys, dims);
}

LogicalResult KeyedTensorType::verify(EmitError emitError,
                                      ArrayRef<StringAttr> keys,
                                      ArrayRef<int64_t> dims, Type element) {
  if (failed(verifyOutput(emitError, keys, dims, kMaxDim)))
    return failure();
  return verifyFloats(emitError, element); // C3
}

int64_t KeyedTensorType::getTotalDim() const {
  int64_t total = 0;
  for (int64_t dim : getDims())
    total += dim;
  return total;
}

LogicalResult JaggedDictType::verify(EmitError emitError,
                                     ArrayRef<StringAttr> keys,
                                     ArrayRef<int64_t> dims, Type element) {
  if (!isSequenceElement(element)) // C3
    return emitError() << "expected elements of f32, f16, bf16 or i8, got "
                       << element;
  int64_t maxDim = element.isInteger(8) ? kMaxDim * kMaxElementBytes : kMaxDim;
  return verifyOutput(emitError, keys, dims, maxDim);
}

LogicalResult TensorDictType::verify(EmitError emitError,
                                     ArrayRef<StringAttr> keys,
                                     ArrayRef<int64_t> dims, Type element) {
  for (auto [key, dim] : llvm::zip(keys, dims))
    if (dim < 1) // C2
      return emitError() << "expected a dim of at least 1 for key " << key
                         << ", got " << dim;
  if (failed(verifyKeyCount(emitError, keys, dims)) ||
      failed(verifyFloats(emitError, element))) // C3
    return failure();
  return verifyKeysDiffer(emitError, keys); // C4
}
