//===- KernelTable.cpp - The constant image of a model --------------------===//
//
// Fields are written in the order of the structs in include/trec/Runtime; their
// offsets are asserted there and compared with this module in
// test/Unit/KernelABITest.cpp.
//
//===----------------------------------------------------------------------===//

#include "trec/Target/KernelTable.h"
#include "trec/IR/RowUnits.h"
#include "trec/Runtime/DeviceABI.h"
#include "trec/Runtime/RuntimeABI.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// Makes constants of one module.
class ImageBuilder {
public:
  ImageBuilder(llvm::Module &module)
      : module(module), context(module.getContext()),
        pointer(llvm::PointerType::get(context, 0)),
        i64(llvm::Type::getInt64Ty(context)),
        i32(llvm::Type::getInt32Ty(context)) {}

  llvm::Constant *integer(int64_t value) {
    return llvm::ConstantInt::get(i64, value);
  }
  llvm::Constant *integer32(uint32_t value) {
    return llvm::ConstantInt::get(i32, value);
  }
  llvm::Constant *null() { return llvm::ConstantPointerNull::get(pointer); }

  /// A symbol that this module or another defines.
  llvm::Constant *symbol(StringRef name) {
    if (llvm::GlobalValue *known = module.getNamedValue(name))
      return known;
    return new llvm::GlobalVariable(
        module, llvm::Type::getInt8Ty(context),
        /*isConstant=*/true, llvm::GlobalValue::ExternalLinkage, nullptr, name);
  }

  llvm::GlobalVariable *define(StringRef name, llvm::Constant *value,
                               unsigned alignment = 8) {
    auto *global = new llvm::GlobalVariable(
        module, value->getType(), /*isConstant=*/true,
        llvm::GlobalValue::ExternalLinkage, value, name);
    global->setAlignment(llvm::Align(alignment));
    return global;
  }
  llvm::Constant *bytes(StringRef name, StringRef data,
                        unsigned alignment = 8) {
    return define(name,
                  llvm::ConstantDataArray::getString(context, data,
                                                     /*AddNull=*/true),
                  alignment);
  }
  llvm::Constant *structOf(ArrayRef<llvm::Constant *> fields) {
    return llvm::ConstantStruct::getAnon(context, fields);
  }

  llvm::Constant *arrayOf(StringRef name, ArrayRef<llvm::Constant *> elements) {
    auto *type =
        llvm::ArrayType::get(elements.front()->getType(), elements.size());
    return define(name, llvm::ConstantArray::get(type, elements));
  }

  llvm::Constant *levels(const ImageParts &parts);
  llvm::Constant *binaries(const GPUKernels &gpu);
  llvm::Constant *configurations(const GPUKernels &gpu);
  llvm::Constant *gpu(const GPUKernels &gpu);
  void image(const Manifest &manifest, const ImageParts &parts);
  void api(const ImageParts &parts);
  void query(StringRef name);

private:
  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::PointerType *pointer;
  llvm::IntegerType *i64, *i32;
};

} // namespace

static int64_t getOutputType(Type element) {
  if (element.isInteger(8))
    return TREC_UINT8;
  if (element.isF16())
    return TREC_FLOAT16;
  return element.isBF16() ? TREC_BFLOAT16 : TREC_FLOAT32;
}

/// An array of struct trec_level_desc.
llvm::Constant *ImageBuilder::levels(const ImageParts &parts) {
  SmallVector<llvm::Constant *> levels;
  for (auto [level, kernels] : llvm::zip(parts.levels, parts.kernelTables))
    levels.push_back(
        structOf({bytes("trec_level_name." + level.name, level.name),
                  integer(level.featureMask), symbol(kernels)}));
  return arrayOf("trec_levels", levels);
}

/// An array of struct trec_gpu_binary: the chips' own code, the latest chip's
/// PTX behind it.
llvm::Constant *ImageBuilder::binaries(const GPUKernels &gpu) {
  SmallVector<llvm::Constant *> binaries;
  auto add = [&](const GPUBinary &binary, bool isPTX) {
    const std::string &chip = binary.target.chip;
    StringRef code = isPTX ? binary.ptx : binary.code.cubin;
    std::string suffix = "." + chip + (isPTX ? ".ptx" : "");
    binaries.push_back(
        structOf({bytes("trec_gpu_chip" + suffix, chip),
                  integer(binary.target.capability), integer(isPTX),
                  bytes("trec_gpu_code" + suffix, code, /*alignment=*/16),
                  integer(code.size())}));
  };
  for (const GPUBinary &binary : gpu.binaries)
    add(binary, /*isPTX=*/false);
  add(gpu.binaries.back(), /*isPTX=*/true);
  return arrayOf("trec_gpu_binaries", binaries);
}

/// An array of struct trec_gpu_kernel_desc.
llvm::Constant *ImageBuilder::configurations(const GPUKernels &gpu) {
  SmallVector<llvm::Constant *> kernels;
  for (const BagConfiguration &configuration : gpu.configurations)
    kernels.push_back(
        structOf({integer(getBagsPerBlock(configuration)),
                  integer(getDeviceRowBytes(configuration.row)),
                  integer(getBagsPerBlock(configuration.getForFewBags())),
                  integer(getSharedBagsPerBlock(configuration))}));
  return arrayOf("trec_gpu_kernels", kernels);
}

/// struct trec_gpu_image, or null.
llvm::Constant *ImageBuilder::gpu(const GPUKernels &gpu) {
  if (gpu.empty())
    return null();
  llvm::Constant *codes = binaries(gpu);
  llvm::Constant *kernels = configurations(gpu);
  return define(
      "trec_gpu_image",
      structOf({codes, integer(gpu.binaries.size() + 1), kernels,
                integer(getThreadsPerBlock(gpu.configurations[0])),
                integer(int64_t(gpu.getNumerics())),
                integer(kScanThreadsPerBlock), integer(kScanLengthsPerBlock),
                integer(hasFewKernels(gpu.configurations)),
                integer(hasSharedKernels(gpu.configurations))}));
}

/// struct trec_image.
void ImageBuilder::image(const Manifest &manifest, const ImageParts &parts) {
  bool isEmbedded = !parts.weights.empty();
  llvm::Constant *weights =
      isEmbedded ? bytes("trec_weights", parts.weights, 64) : null();
  define("trec_image", structOf({bytes("trec_name", manifest.name),
                                 symbol("trec_strings"),
                                 symbol("trec_features"),
                                 integer(manifest.listFeatures().size()),
                                 symbol("trec_tables"),
                                 integer(manifest.tables.size()),
                                 symbol("trec_bags"),
                                 integer(manifest.outputs.size()),
                                 integer(manifest.kernels.size()),
                                 levels(parts),
                                 integer(parts.levels.size()),
                                 integer(manifest.totalDim),
                                 integer(getOutputType(manifest.outputElement)),
                                 integer(manifest.getWeightedBatches()),
                                 integer(int64_t(manifest.policy)),
                                 bytes("trec_metadata", parts.metadata),
                                 integer(parts.metadata.size()),
                                 bytes("trec_ir", parts.ir),
                                 integer(parts.ir.size()),
                                 weights,
                                 integer(parts.weights.size()),
                                 symbol("trec_parameters"),
                                 integer(manifest.parameters.size()),
                                 integer(!manifest.isPooled),
                                 integer(manifest.batches.size()),
                                 symbol("trec_outputs"),
                                 integer(manifest.groups.size()),
                                 gpu(*parts.gpu)}));
}

/// struct trec_api.
void ImageBuilder::api(const ImageParts &parts) {
  define(
      "trec_model_api",
      structOf({integer(sizeof(trec_api)), integer32(TREC_ABI_VERSION),
                integer32(0), symbol("trec_metadata"),
                integer(parts.metadata.size()), symbol("trec_ir"),
                integer(parts.ir.size()), symbol("trec_runtime_create"),
                symbol("trec_runtime_destroy"),
                symbol("trec_runtime_workspace_size"),
                symbol("trec_runtime_forward"), symbol("trec_runtime_counters"),
                symbol("trec_runtime_cpu_level"), symbol("trec_runtime_poll"),
                symbol("trec_runtime_weights_info"),
                symbol("trec_runtime_check_exactness"),
                symbol("trec_runtime_certified_length"),
                symbol("trec_runtime_table_info")}));
}

/// The exported function, of type trec_query.
void ImageBuilder::query(StringRef name) {
  auto *type = llvm::FunctionType::get(pointer, {i32, pointer}, false);
  llvm::FunctionCallee runtime =
      module.getOrInsertFunction("trec_runtime_query", type);
  auto *function = llvm::Function::Create(
      type, llvm::GlobalValue::ExternalLinkage, name, module);
  llvm::IRBuilder<> builder(
      llvm::BasicBlock::Create(context, "entry", function));
  builder.CreateRet(
      builder.CreateCall(runtime, {function->getArg(0), function->getArg(1)}));
}

void mlir::trec::addModelImage(llvm::Module &module, const Manifest &manifest,
                               const ImageParts &parts) {
  ImageBuilder builder(module);
  builder.image(manifest, parts);
  builder.api(parts);
  builder.query(parts.symbol);
}
