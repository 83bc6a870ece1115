//===- KernelABITest.cpp - What is emitted, as the runtime will read it ---===//
//
// The compiler writes the structs of include/trec/Runtime by hand; here each
// field that it wrote is looked up at the offset where C has it. Nearly all
// fields are 8 bytes wide, so that the values, all different, tell more than
// the offsets.
//
//===----------------------------------------------------------------------===//

#include "trec/Pipelines/CPUPipeline.h"
#include "trec/Runtime/DeviceABI.h"
#include "trec/Runtime/RuntimeABI.h"
#include "trec/Target/KernelTable.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// The constant of a struct that generated code defines.
class EmittedStruct {
public:
  EmittedStruct(const llvm::DataLayout &layout, const llvm::Constant *value)
      : layout(layout), value(value),
        type(llvm::cast<llvm::StructType>(value->getType())) {}

  uint64_t size() const { return layout.getTypeAllocSize(type); }

  /// The field that starts at `offset`, or null.
  const llvm::Constant *at(size_t offset) const {
    const llvm::StructLayout *fields = layout.getStructLayout(type);
    for (unsigned i = 0; i < type->getNumElements(); ++i)
      if (fields->getElementOffset(i) == offset)
        return value->getAggregateElement(i);
    return nullptr;
  }
  int64_t integerAt(size_t offset) const {
    auto *integer = llvm::dyn_cast_or_null<llvm::ConstantInt>(at(offset));
    return integer ? integer->getSExtValue() : INT64_MIN;
  }
  std::string symbolAt(size_t offset) const {
    const llvm::Constant *field = at(offset);
    return field && field->hasName() ? field->getName().str() : "";
  }

private:
  const llvm::DataLayout &layout;
  const llvm::Constant *value;
  llvm::StructType *type;
};

class KernelABITest : public ::testing::Test {
protected:
  KernelABITest() : module("image", llvmContext) {
    context.loadDialect<TrecDialect, LLVM::LLVMDialect>();
    module.setDataLayout(createTargetMachine(levels[0])->createDataLayout());
    manifest.name = "tiny";
    manifest.batches = {{{"a", "b"}, true}, {{"c"}, false}};
    manifest.groups.resize(7);
    manifest.tables.resize(4);
    manifest.outputs.resize(5);
    manifest.kernels.resize(6);
    manifest.outputElement = BFloat16Type::get(&context);
    manifest.totalDim = 77;
    manifest.policy = BoundsPolicy::ignore;
    addGPUKernels();
    addModelImage(module, manifest,
                  {levels, tables, "ads_query", metadata, ir, weights, &gpu});
  }

  /// Two chips and two configurations: 144 bytes a row, and 20.
  void addGPUKernels() {
    for (StringRef chip : {"sm_80", "sm_90"})
      gpu.binaries.push_back({llvm::cantFail(resolveGPU(chip)),
                              ("ptx of " + chip).str(),
                              {("cubin of " + chip).str(), {}}});
    auto layout = RowLayoutAttr::get(&context, HeaderType::f16, /*align=*/4);
    auto getLowering = [&](int64_t fewRows, int64_t fewStages) {
      return GPULoweringConfigAttr::get(
          &context, /*lanes=*/16, /*units_per_lane=*/1, /*rows_in_flight=*/3,
          /*warps=*/2, /*blocks_per_sm=*/1, GPUNumerics::cpu, /*few_lanes=*/32,
          /*few_units_per_lane=*/1, fewRows, /*stages=*/0, fewStages,
          /*few_blocks_per_sm=*/0, /*evict_first=*/false, /*bag_parts=*/1);
    };
    for (int64_t dim : {140, 16}) {
      BagConfiguration &kernel = gpu.configurations.emplace_back();
      kernel.row = RowType::get(&context, dim, WeightsType::int8, layout);
      kernel.gpuLowering = dim == 140 ? getLowering(4, 2) : getLowering(3, 0);
    }
    gpu.configurations.front().pooling = Pooling::sum;
  }

  EmittedStruct getStruct(StringRef name) {
    return {module.getDataLayout(),
            module.getNamedGlobal(name)->getInitializer()};
  }
  std::string getBytes(StringRef name) {
    auto *data = llvm::cast<llvm::ConstantDataSequential>(
        module.getNamedGlobal(name)->getInitializer());
    return data->getAsString().str();
  }

  llvm::LLVMContext llvmContext;
  llvm::Module module;
  MLIRContext context;
  Manifest manifest{};
  GPUKernels gpu;
  static constexpr Architecture x86 = Architecture::x86_64;
  std::vector<CPUTarget> levels = {
      llvm::cantFail(resolveCPU("x86-64-v4", x86)),
      llvm::cantFail(resolveCPU("x86-64-v2", x86))};
  std::vector<std::string> tables = {"kernels.v4", "kernels.v2"};
  std::string metadata = "{}", ir = "bytecode", weights = "safetensors";
};

} // namespace

TEST_F(KernelABITest, moduleIsValid) {
  EXPECT_FALSE(llvm::verifyModule(module, &llvm::errs()));
}

TEST_F(KernelABITest, imagePointsToItsArrays) {
  EmittedStruct image = getStruct("trec_image");
  EXPECT_EQ(image.size(), sizeof(trec_image));
#define EXPECT_SYMBOL(field, name)                                             \
  EXPECT_EQ(image.symbolAt(offsetof(struct trec_image, field)), name)
  EXPECT_SYMBOL(name, "trec_name");
  EXPECT_SYMBOL(strings, "trec_strings");
  EXPECT_SYMBOL(features, "trec_features");
  EXPECT_SYMBOL(tables, "trec_tables");
  EXPECT_SYMBOL(bags, "trec_bags");
  EXPECT_SYMBOL(levels, "trec_levels");
  EXPECT_SYMBOL(metadata, "trec_metadata");
  EXPECT_SYMBOL(ir, "trec_ir");
  EXPECT_SYMBOL(weights, "trec_weights");
  EXPECT_SYMBOL(outputs, "trec_outputs");
  EXPECT_SYMBOL(gpu, "trec_gpu_image");
#undef EXPECT_SYMBOL
}

TEST_F(KernelABITest, imageHasTheNumbersOfTheManifest) {
  EmittedStruct image = getStruct("trec_image");
#define EXPECT_FIELD(field, value)                                             \
  EXPECT_EQ(image.integerAt(offsetof(struct trec_image, field)), value)
  EXPECT_FIELD(num_features, 3);
  EXPECT_FIELD(num_tables, 4);
  EXPECT_FIELD(num_bags, 5);
  EXPECT_FIELD(num_kernels, 6);
  EXPECT_FIELD(num_levels, 2);
  EXPECT_FIELD(total_dim, 77);
  EXPECT_FIELD(output_type, TREC_BFLOAT16);
  EXPECT_FIELD(weighted, 1);
  EXPECT_FIELD(bounds_check, TREC_BOUNDS_IGNORE);
  EXPECT_FIELD(metadata_bytes, int64_t(metadata.size()));
  EXPECT_FIELD(ir_bytes, int64_t(ir.size()));
  EXPECT_FIELD(weights_bytes, int64_t(weights.size()));
  EXPECT_FIELD(num_batches, 2);
  EXPECT_FIELD(num_outputs, 7);
#undef EXPECT_FIELD
}

TEST_F(KernelABITest, stringsEndWithNUL) {
  EXPECT_EQ(getBytes("trec_name"), std::string("tiny\0", 5));
  EXPECT_EQ(getBytes("trec_metadata"), std::string("{}\0", 3));
  EXPECT_EQ(getBytes("trec_level_name.x86-64-v2"),
            std::string("x86-64-v2\0", 10));
}

TEST_F(KernelABITest, levelsAreDescribedInOrder) {
  llvm::Constant *array =
      module.getNamedGlobal("trec_levels")->getInitializer();
  for (unsigned i : {0, 1}) {
    EmittedStruct level(module.getDataLayout(), array->getAggregateElement(i));
    EXPECT_EQ(level.size(), sizeof(trec_level_desc));
    EXPECT_EQ(level.symbolAt(offsetof(trec_level_desc, name)),
              "trec_level_name." + levels[i].name);
    EXPECT_EQ(uint64_t(level.integerAt(offsetof(trec_level_desc, features))),
              levels[i].featureMask);
    EXPECT_EQ(level.symbolAt(offsetof(trec_level_desc, kernels)), tables[i]);
  }
}

TEST_F(KernelABITest, gpuImageHasItsArraysAndNumbers) {
  EmittedStruct image = getStruct("trec_gpu_image");
  EXPECT_EQ(image.size(), sizeof(trec_gpu_image));
  EXPECT_EQ(image.symbolAt(offsetof(trec_gpu_image, binaries)),
            "trec_gpu_binaries");
  EXPECT_EQ(image.symbolAt(offsetof(trec_gpu_image, kernels)),
            "trec_gpu_kernels");
#define EXPECT_FIELD(field, value)                                             \
  EXPECT_EQ(image.integerAt(offsetof(struct trec_gpu_image, field)), value)
  EXPECT_FIELD(num_binaries, 3);
  EXPECT_FIELD(threads_per_block, 64);
  EXPECT_FIELD(numerics, 1);
  EXPECT_FIELD(scan_threads_per_block, kScanThreadsPerBlock);
  EXPECT_FIELD(scan_lengths_per_block, kScanLengthsPerBlock);
  EXPECT_FIELD(has_few_kernels, 1);
  EXPECT_FIELD(has_shared_kernels, 1);
#undef EXPECT_FIELD
}

TEST_F(KernelABITest, gpuKernelsAreDescribedInOrder) {
  llvm::Constant *array =
      module.getNamedGlobal("trec_gpu_kernels")->getInitializer();
  // Four groups of lanes: bags, or three ids each.
  int64_t bags[] = {4, 12}, rowBytes[] = {144, 32};
  int64_t fewBags[] = {2, 6}, sharedBags[] = {1, 6};
  for (unsigned i : {0, 1}) {
    EmittedStruct kernel(module.getDataLayout(), array->getAggregateElement(i));
    EXPECT_EQ(kernel.size(), sizeof(trec_gpu_kernel_desc));
    EXPECT_EQ(kernel.integerAt(offsetof(trec_gpu_kernel_desc, bags_per_block)),
              bags[i]);
    EXPECT_EQ(
        kernel.integerAt(offsetof(trec_gpu_kernel_desc, device_row_bytes)),
        rowBytes[i]);
    EXPECT_EQ(
        kernel.integerAt(offsetof(trec_gpu_kernel_desc, few_bags_per_block)),
        fewBags[i]);
    EXPECT_EQ(
        kernel.integerAt(offsetof(trec_gpu_kernel_desc, shared_bags_per_block)),
        sharedBags[i]);
  }
}

/// The code of each chip, and the PTX of the latest.
TEST_F(KernelABITest, gpuBinariesAreDescribedInOrder) {
  llvm::Constant *array =
      module.getNamedGlobal("trec_gpu_binaries")->getInitializer();
  StringRef names[] = {"sm_80", "sm_90", "sm_90.ptx"};
  StringRef codes[] = {"cubin of sm_80", "cubin of sm_90", "ptx of sm_90"};
  int64_t capabilities[] = {80, 90, 90};
  for (unsigned i : {0, 1, 2}) {
    EmittedStruct binary(module.getDataLayout(), array->getAggregateElement(i));
    EXPECT_EQ(binary.size(), sizeof(trec_gpu_binary));
    EXPECT_EQ(binary.symbolAt(offsetof(trec_gpu_binary, chip)),
              ("trec_gpu_chip." + names[i]).str());
    EXPECT_EQ(binary.integerAt(offsetof(trec_gpu_binary, capability)),
              capabilities[i]);
    EXPECT_EQ(binary.integerAt(offsetof(trec_gpu_binary, is_ptx)), i == 2);
    std::string code = binary.symbolAt(offsetof(trec_gpu_binary, code));
    EXPECT_EQ(code, ("trec_gpu_code." + names[i]).str());
    // PTX needs the NUL, which is not counted.
    EXPECT_EQ(getBytes(code), (codes[i] + Twine('\0')).str());
    EXPECT_EQ(binary.integerAt(offsetof(trec_gpu_binary, code_bytes)),
              int64_t(codes[i].size()));
  }
}

TEST_F(KernelABITest, apiHasItsFunctions) {
  EmittedStruct api = getStruct("trec_model_api");
  EXPECT_EQ(api.size(), sizeof(trec_api));
  EXPECT_EQ(api.integerAt(offsetof(trec_api, size)), int64_t(sizeof(trec_api)));
  EXPECT_EQ(api.integerAt(offsetof(trec_api, abi_version)), TREC_ABI_VERSION);
  EXPECT_EQ(api.integerAt(offsetof(trec_api, reserved)), 0);
  EXPECT_EQ(api.integerAt(offsetof(trec_api, metadata_bytes)),
            int64_t(metadata.size()));
  EXPECT_EQ(api.integerAt(offsetof(trec_api, ir_bytes)), int64_t(ir.size()));
#define EXPECT_SYMBOL(field, name)                                             \
  EXPECT_EQ(api.symbolAt(offsetof(trec_api, field)), name)
  EXPECT_SYMBOL(metadata, "trec_metadata");
  EXPECT_SYMBOL(ir, "trec_ir");
  EXPECT_SYMBOL(create, "trec_runtime_create");
  EXPECT_SYMBOL(destroy, "trec_runtime_destroy");
  EXPECT_SYMBOL(workspace_size, "trec_runtime_workspace_size");
  EXPECT_SYMBOL(forward, "trec_runtime_forward");
  EXPECT_SYMBOL(counters, "trec_runtime_counters");
  EXPECT_SYMBOL(cpu_level, "trec_runtime_cpu_level");
  EXPECT_SYMBOL(poll, "trec_runtime_poll");
  EXPECT_SYMBOL(weights_info, "trec_runtime_weights_info");
  EXPECT_SYMBOL(check_exactness, "trec_runtime_check_exactness");
  EXPECT_SYMBOL(certified_length, "trec_runtime_certified_length");
#undef EXPECT_SYMBOL
}

TEST_F(KernelABITest, queryCallsTheRuntime) {
  llvm::Function *query = module.getFunction("ads_query");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->arg_size(), 2u);
  EXPECT_TRUE(query->getArg(0)->getType()->isIntegerTy(32));
  EXPECT_TRUE(query->getArg(1)->getType()->isPointerTy());
  EXPECT_TRUE(query->getReturnType()->isPointerTy());
  EXPECT_TRUE(module.getFunction("trec_runtime_query")->hasOneUse());
}

/// A model of one lookup, whose numbers all differ.
static constexpr char kModel[] = R"mlir(
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["idle", "ad"]>
!keyed = !trec.keyed_tensor<["ad"], [24], f32>
module attributes {trec.contract = 1 : i32} {
  trec.table @ads : !trec.table<1000x24, int4, #layout>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "ad" : !kjt
    %checked = trec.check_bounds warning %ids in @ads
    %rows = trec.lookup @ads[%checked] : !trec.jagged<!trec.row<24, int4, #layout>>
    %values = trec.dequantize %rows : !trec.jagged<!trec.row<24, int4, #layout>>
    %pooled = trec.pool sum %values : !trec.jagged<!trec.dequantized<24>>
    %out = trec.keyed_tensor %pooled : (tensor<?x24xf32>) -> !keyed
    return %out : !keyed
  }
})mlir";

namespace {

/// The descriptors that the pipeline makes of the model.
class DescriptorsTest : public ::testing::Test {
protected:
  void SetUp() override {
    context.loadDialect<TrecDialect>();
    module = parseSourceString<ModuleOp>(kModel, &context);
    ASSERT_TRUE(module);
    PassManager pm(&context);
    for (CPUStage stage : getCPUStages())
      buildCPUStage(pm, stage, CPUPipelineOptions());
    ASSERT_TRUE(succeeded(pm.run(*module)));
  }

  /// The integers of one descriptor, as C sees its fields.
  std::vector<int64_t> read(StringRef name) {
    auto global = SymbolTable(*module).lookup<LLVM::GlobalOp>(name);
    auto values = cast<DenseIntElementsAttr>(*global.getValue());
    EXPECT_EQ(values.getType().getDimSize(0), name == "trec_features" ? 2 : 1);
    width = values.getType().getDimSize(1) * int64_t(sizeof(int64_t));
    auto integers = values.getValues<int64_t>();
    return {integers.begin(), integers.end()};
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  size_t width = 0; // bytes of a descriptor
};

} // namespace

/// Where a field is in a descriptor, which is an array of 64-bit integers.
#define FIELD(type, field) (offsetof(struct type, field) / sizeof(int64_t))

TEST_F(DescriptorsTest, tables) {
  std::vector<int64_t> table = read("trec_tables");
  EXPECT_EQ(width, sizeof(trec_table_desc));
  EXPECT_EQ(table[FIELD(trec_table_desc, name)], int64_t(strlen("idle.ad.")));
  EXPECT_EQ(table[FIELD(trec_table_desc, rows)], 1000);
  EXPECT_EQ(table[FIELD(trec_table_desc, row_bytes)], 16);
  EXPECT_EQ(table[FIELD(trec_table_desc, dim)], 24);
  EXPECT_EQ(table[FIELD(trec_table_desc, weights_type)], TREC_WEIGHTS_INT4);
}

TEST_F(DescriptorsTest, bags) {
  std::vector<int64_t> bag = read("trec_bags");
  EXPECT_EQ(width, sizeof(trec_bag_desc));
  EXPECT_EQ(bag[FIELD(trec_bag_desc, kernel)], 0);
  EXPECT_EQ(bag[FIELD(trec_bag_desc, table)], 0);
  EXPECT_EQ(bag[FIELD(trec_bag_desc, feature)], 1);
  EXPECT_EQ(bag[FIELD(trec_bag_desc, column)], 0);
  EXPECT_EQ(bag[FIELD(trec_bag_desc, certified)], 1);
  EXPECT_EQ(bag[FIELD(trec_bag_desc, length)], 0);
}

TEST_F(DescriptorsTest, features) {
  std::vector<int64_t> names = read("trec_features");
  EXPECT_EQ(width, sizeof(trec_feature_desc));
  EXPECT_EQ(names,
            (std::vector<int64_t>{0, 0, 0, int64_t(strlen("idle.")), 0, 1}));
}

TEST_F(DescriptorsTest, kernelsPerConfiguration) {
  auto kernels = SymbolTable(*module).lookup<LLVM::GlobalOp>("trec_kernels");
  auto type = cast<LLVM::LLVMArrayType>(kernels.getGlobalType());
  EXPECT_EQ(type.getNumElements(), unsigned(TREC_KERNEL_VARIANTS));
}

TEST(EnumsTest, codesAreThoseOfTheHeaders) {
  EXPECT_EQ(int(WeightsType::fp32), TREC_WEIGHTS_FP32);
  EXPECT_EQ(int(WeightsType::fp16), TREC_WEIGHTS_FP16);
  EXPECT_EQ(int(WeightsType::int8), TREC_WEIGHTS_INT8);
  EXPECT_EQ(int(WeightsType::int4), TREC_WEIGHTS_INT4);
  EXPECT_EQ(int(WeightsType::int2), TREC_WEIGHTS_INT2);
  EXPECT_EQ(int(BoundsPolicy::fatal), TREC_BOUNDS_FATAL);
  EXPECT_EQ(int(BoundsPolicy::warning), TREC_BOUNDS_WARNING);
  EXPECT_EQ(int(BoundsPolicy::ignore), TREC_BOUNDS_IGNORE);
  EXPECT_EQ(int(BoundsPolicy::none), TREC_BOUNDS_NONE);
  EXPECT_EQ(int(GPUNumerics::fbgemm), 0);
  EXPECT_EQ(int(GPUNumerics::cpu), 1);
}
