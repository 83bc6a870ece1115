//===- EmitKernelEntries.cpp - C entries and descriptors of a model -------===//
//
// The last pass that knows trec: what is left are kernels with the C signature
// that the runtime calls, and constant arrays that say which kernel pools which
// feature through which table (include/trec/Runtime/KernelABI.h).
//
//   %1 = trec.dispatch @bag_i32, @bag_i64(%kjt) into %0 [#trec.bag<@t, "f", 0>]
//
// becomes
//
//   llvm.func @trec_kernel_bag_i32(%args: !llvm.ptr, %begin: i64, %end: i64)
//   llvm.func @trec_kernel_bag_i64(%args: !llvm.ptr, %begin: i64, %end: i64)
//   llvm.mlir.global constant @trec_kernels() : !llvm.array<2 x ptr>
//   llvm.mlir.global constant @trec_bags(dense<[[0, 0, 0, 0, 0, 0, 0, 0, 0,
//   0]]>)
//
//===----------------------------------------------------------------------===//

#include "trec/IR/EraseModel.h"
#include "trec/IR/TrecDialect.h"
#include "trec/Runtime/ModelABI.h"
#include "trec/Transforms/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::trec {
#define GEN_PASS_DEF_EMITKERNELENTRIESPASS
#include "trec/Transforms/Passes.h.inc"
} // namespace mlir::trec

using namespace mlir;
using namespace mlir::trec;

namespace {

/// The parameters of a kernel function, in order (BagKernel.h).
enum KernelParameter {
  rows,
  ids,
  offsets,
  weights,
  output,
  report,
  remap,
  numIds,
  certifiedLength,
  certifiedOffset,
  fetchesFar,
  stores,
  haveOneId,
  begin,
  end
};

/// The fields of struct trec_bag_args, in order.
enum ArgsField {
  fieldRows,
  fieldNumRows,
  fieldIndices,
  fieldOffsets,
  fieldWeights,
  fieldOutput,
  fieldOutputStride,
  fieldReport,
  fieldRemap,
  fieldNumRemap,
  fieldNumIds,
  fieldCertifiedLength,
  fieldCertifiedOffset,
  fieldFetchesFar,
  fieldStores,
  fieldHaveOneId
};

/// Builds the entry of one kernel.
class EntryBuilder {
public:
  EntryBuilder(OpBuilder &builder, func::FuncOp kernel)
      : b(kernel.getLoc(), builder), kernel(kernel),
        pointer(LLVM::LLVMPointerType::get(b.getContext())),
        i64(b.getI64Type()) {}

  LLVM::LLVMFuncOp build(StringRef name);

private:
  Value load(ArgsField field, Type type) {
    Value address = LLVM::GEPOp::create(b, pointer, i64, args,
                                        ArrayRef<LLVM::GEPArg>{int32_t(field)});
    return LLVM::LoadOp::create(b, type, address);
  }
  Value constant(int64_t value) {
    return LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(value));
  }
  Value toIndex(Value integer) {
    return UnrealizedConversionCastOp::create(b, b.getIndexType(), integer)
        .getResult(0);
  }
  Value makeMemRef(KernelParameter parameter, ArgsField field, Value size0,
                   Value stride0);

  ImplicitLocOpBuilder b;
  func::FuncOp kernel;
  LLVM::LLVMPointerType pointer;
  IntegerType i64;
  Value args;
};

/// The fields of struct trec_bag_desc: their number, and the index of those
/// that say where a bag's output is.
constexpr size_t bagFields = 10;
constexpr size_t bagColumn = 3, bagOutput = 6;

/// The descriptors of a model as they fill up.
struct Descriptors {
  std::string strings;
  SmallVector<int64_t> features, tables, parameters, outputs;
  SmallVector<std::array<int64_t, bagFields>> bags;
  SmallVector<FlatSymbolRefAttr> kernels;

  int64_t addString(StringRef text) {
    int64_t offset = strings.size();
    strings += text;
    strings += '\0';
    return offset;
  }
};

struct EmitKernelEntriesPass
    : public trec::impl::EmitKernelEntriesPassBase<EmitKernelEntriesPass> {
  using EmitKernelEntriesPassBase::EmitKernelEntriesPassBase;

  void runOnOperation() override;
  void emitEntries(DispatchOp dispatch, Descriptors &descriptors);
};

} // namespace

/// A memref value of a kernel's parameter, rank 1 or 2, from the field that
/// points to its data, its outer size and (rank 2) its outer stride.
Value EntryBuilder::makeMemRef(KernelParameter parameter, ArgsField field,
                               Value size0, Value stride0) {
  Value data = load(field, pointer);
  auto type = cast<MemRefType>(kernel.getArgumentTypes()[parameter]);
  int64_t rank = type.getRank();
  auto sizes = LLVM::LLVMArrayType::get(i64, rank);
  Value descriptor = LLVM::PoisonOp::create(
      b, LLVM::LLVMStructType::getLiteral(
             b.getContext(), {pointer, pointer, i64, sizes, sizes}));
  auto set = [&](Value value, ArrayRef<int64_t> place) {
    descriptor = LLVM::InsertValueOp::create(b, descriptor, value, place);
  };
  set(data, {0});
  set(data, {1});
  set(constant(0), {2});
  set(size0, {3, 0});
  set(rank == 2 ? stride0 : constant(1), {4, 0});
  if (rank == 2) {
    set(constant(type.getDimSize(1)), {3, 1});
    set(constant(1), {4, 1});
  }
  return UnrealizedConversionCastOp::create(b, type, descriptor).getResult(0);
}

LLVM::LLVMFuncOp EntryBuilder::build(StringRef name) {
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(b.getContext()), {pointer, i64, i64});
  auto entry = LLVM::LLVMFuncOp::create(b, name, type);
  Block *block = entry.addEntryBlock(b);
  b.setInsertionPointToStart(block);
  args = block->getArgument(0);
  // Sizes of arrays that only the caller knows: nothing reads them.
  Value unknown = constant(std::numeric_limits<int64_t>::max());
  // Each op in a statement of its own: C++ does not fix the order of arguments,
  // and the order of ops must not depend on who compiled this.
  auto rowsType = cast<MemRefType>(kernel.getArgumentTypes()[rows]);
  Value rowBytes = constant(rowsType.getDimSize(1));
  Value numRows = load(fieldNumRows, i64);
  Value outputStride = load(fieldOutputStride, i64);
  Value numRemap = load(fieldNumRemap, i64);
  Value numIds = load(fieldNumIds, i64);
  Value certifiedLength = load(fieldCertifiedLength, i64);
  Value certifiedOffset = LLVM::FPTruncOp::create(
      b, b.getF32Type(), load(fieldCertifiedOffset, b.getF64Type()));
  Value fetchesFar = load(fieldFetchesFar, i64);
  Value stores = load(fieldStores, i64);
  Value haveOneId = load(fieldHaveOneId, i64);
  Value operands[] = {makeMemRef(rows, fieldRows, numRows, rowBytes),
                      makeMemRef(ids, fieldIndices, unknown, {}),
                      makeMemRef(offsets, fieldOffsets, unknown, {}),
                      makeMemRef(weights, fieldWeights, unknown, {}),
                      makeMemRef(output, fieldOutput, unknown, outputStride),
                      makeMemRef(report, fieldReport, constant(2), {}),
                      makeMemRef(remap, fieldRemap, numRemap, {}),
                      toIndex(numIds),
                      toIndex(certifiedLength),
                      certifiedOffset,
                      toIndex(fetchesFar),
                      toIndex(stores),
                      toIndex(haveOneId),
                      toIndex(block->getArgument(1)),
                      toIndex(block->getArgument(2))};
  func::CallOp::create(b, kernel, operands);
  LLVM::ReturnOp::create(b, ValueRange{});
  return entry;
}

void EmitKernelEntriesPass::emitEntries(DispatchOp dispatch,
                                        Descriptors &descriptors) {
  SymbolTable symbols(getOperation());
  for (FlatSymbolRefAttr symbol :
       {dispatch.getKernelI32Attr(), dispatch.getKernelI64Attr()}) {
    auto kernel = symbols.lookup<func::FuncOp>(symbol.getValue());
    // Internal, so that it is inlined into its entry and disappears.
    kernel->setAttr(
        "llvm.linkage",
        LLVM::LinkageAttr::get(&getContext(), LLVM::Linkage::Internal));
    OpBuilder builder(kernel);
    std::string name = ("trec_kernel_" + symbol.getValue() + suffix).str();
    descriptors.kernels.push_back(
        FlatSymbolRefAttr::get(EntryBuilder(builder, kernel).build(name)));
    ++numEntries;
  }
}

/// Where tables, parameters and the features of each batch are in their arrays.
struct SymbolIndices {
  llvm::StringMap<int64_t> tables, parameters;
  SmallVector<llvm::StringMap<int64_t>> features;

  /// 1 + the index of a parameter; 0 where there is none.
  int64_t findParameter(FlatSymbolRefAttr name) const {
    return name ? parameters.lookup(name.getValue()) + 1 : 0;
  }
};

static int64_t getTypeCode(Type element) {
  if (element.isF32())
    return TREC_FLOAT32;
  return element.isInteger(32) ? TREC_INT32 : TREC_INT64;
}

/// The codes of maps in KernelABI.h: 0 is none.
static int64_t getMapCode(MapAttr map) {
  return map ? 1 + int64_t(map.getKind()) : 0;
}

static void describeParameters(ModuleOp module, Descriptors &descriptors,
                               SymbolIndices &indices) {
  for (auto parameter : module.getOps<ParameterOp>()) {
    indices.parameters[parameter.getSymName()] = indices.parameters.size();
    MapAttr map = parameter.getMapAttr();
    descriptors.parameters.append(
        {descriptors.addString(parameter.getSymName()),
         parameter.getNumEntries().value_or(-1),
         getTypeCode(parameter.getType().getElementType()), getMapCode(map),
         map ? map.getIds() : 0});
  }
}

static Type getOutputElement(DispatchOp dispatch) {
  return TypeSwitch<Type, Type>(dispatch.getDest().getType())
      .Case<KeyedTensorType, JaggedDictType, TensorDictType>(
          [](auto type) { return type.getElement(); });
}

/// `element` is that of the output, which all tables share.
static void describeTables(ModuleOp module, Type element,
                           Descriptors &descriptors, SymbolIndices &indices) {
  for (auto table : module.getOps<TableOp>()) {
    TableType type = table.getType();
    indices.tables[table.getSymName()] = indices.tables.size();
    int64_t rows = type.hasDynamicRows() ? -1 : type.getRows();
    RowType row = type.getRowType();
    descriptors.tables.append({descriptors.addString(table.getSymName()), rows,
                               row.getRowBytes(), row.getOutputDim(element),
                               int64_t(type.getWeights())});
  }
}

/// The features of all batches, one batch after the other.
static void describeFeatures(DispatchOp dispatch, Descriptors &descriptors,
                             SymbolIndices &indices) {
  for (auto [batch, kjt] : llvm::enumerate(dispatch.getKjts())) {
    indices.features.emplace_back();
    for (auto [index, key] :
         llvm::enumerate(cast<KJTType>(kjt.getType()).getKeys())) {
      indices.features[batch][key.getValue()] = descriptors.features.size() / 3;
      descriptors.features.append({descriptors.addString(key.getValue()),
                                   int64_t(batch), int64_t(index)});
    }
  }
}

/// The tensors of a dict; other outputs have no descriptors.
static void describeOutputs(DispatchOp dispatch, Descriptors &descriptors) {
  auto dict = dyn_cast<TensorDictType>(dispatch.getDest().getType());
  if (!dict)
    return;
  for (auto [key, dim] : llvm::zip(dict.getKeys(), dict.getDims()))
    descriptors.outputs.append({descriptors.addString(key.getValue()), dim});
}

static void describeBags(DispatchOp dispatch, int64_t kernel,
                         const SymbolIndices &indices,
                         Descriptors &descriptors) {
  for (BagAttr bag : dispatch.getBags().getAsRange<BagAttr>()) {
    const llvm::StringMap<int64_t> &features = indices.features[bag.getBatch()];
    descriptors.bags.push_back(
        {kernel, indices.tables.lookup(bag.getTable().getValue()),
         features.lookup(bag.getFeature().getValue()), bag.getColumn(),
         indices.findParameter(bag.getWeights()),
         indices.findParameter(bag.getRemap()), bag.getOutput(),
         bag.getBadIds() == BadIds::repeated, dispatch.getCertified(),
         bag.getLength() ? *bag.getLength() + 1 : 0});
  }
}

/// Emits `values` as a constant array of arrays of `width` integers.
static void emitIntegers(ImplicitLocOpBuilder &b, StringRef name,
                         ArrayRef<int64_t> values, int64_t width) {
  int64_t count = values.size() / width;
  auto type = RankedTensorType::get({count, width}, b.getI64Type());
  LLVM::GlobalOp::create(
      b,
      LLVM::LLVMArrayType::get(LLVM::LLVMArrayType::get(b.getI64Type(), width),
                               count),
      /*isConstant=*/true, LLVM::Linkage::External, name,
      DenseElementsAttr::get(type, values));
}

static void emitStrings(ImplicitLocOpBuilder &b, StringRef strings) {
  LLVM::GlobalOp::create(
      b, LLVM::LLVMArrayType::get(b.getI8Type(), strings.size()),
      /*isConstant=*/true, LLVM::Linkage::External, "trec_strings",
      b.getStringAttr(strings));
}

static void emitKernelTable(ImplicitLocOpBuilder &b, const Twine &name,
                            ArrayRef<FlatSymbolRefAttr> kernels) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto type = LLVM::LLVMArrayType::get(pointer, kernels.size());
  auto global =
      LLVM::GlobalOp::create(b, type, /*isConstant=*/true,
                             LLVM::Linkage::External, name.str(), Attribute());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&global.getInitializerRegion().emplaceBlock());
  Value table = LLVM::PoisonOp::create(b, type);
  for (auto [index, kernel] : llvm::enumerate(kernels)) {
    Value address = LLVM::AddressOfOp::create(b, pointer, kernel);
    table = LLVM::InsertValueOp::create(b, table, address, index);
  }
  LLVM::ReturnOp::create(b, table);
}

static void emitDescriptors(ModuleOp module, Descriptors &descriptors,
                            StringRef suffix) {
  // The columns of each output from left to right, whatever kernel makes them.
  llvm::sort(descriptors.bags, [](auto &a, auto &b) {
    return std::pair(a[bagOutput], a[bagColumn]) <
           std::pair(b[bagOutput], b[bagColumn]);
  });
  SmallVector<int64_t> bags;
  for (const std::array<int64_t, bagFields> &bag : descriptors.bags)
    llvm::append_range(bags, bag);
  ImplicitLocOpBuilder b(module.getLoc(), module.getContext());
  b.setInsertionPointToEnd(module.getBody());
  emitIntegers(b, "trec_features", descriptors.features, 3);
  emitIntegers(b, "trec_tables", descriptors.tables, 5);
  emitIntegers(b, "trec_parameters", descriptors.parameters, 5);
  emitIntegers(b, "trec_bags", bags, bagFields);
  emitIntegers(b, "trec_outputs", descriptors.outputs, 2);
  emitStrings(b, descriptors.strings);
  emitKernelTable(b, "trec_kernels" + suffix, descriptors.kernels);
}

void EmitKernelEntriesPass::runOnOperation() {
  ModuleOp module = getOperation();
  SmallVector<DispatchOp> dispatches;
  module.walk([&](DispatchOp op) { dispatches.push_back(op); });
  if (dispatches.empty())
    return;

  Descriptors descriptors;
  SymbolIndices indices;
  describeFeatures(dispatches.front(), descriptors, indices);
  describeTables(module, getOutputElement(dispatches.front()), descriptors,
                 indices);
  describeParameters(module, descriptors, indices);
  describeOutputs(dispatches.front(), descriptors);
  for (auto [kernel, dispatch] : llvm::enumerate(dispatches)) {
    emitEntries(dispatch, descriptors);
    describeBags(dispatch, kernel, indices, descriptors);
  }
  eraseModel(module);
  emitDescriptors(module, descriptors, suffix);
}
