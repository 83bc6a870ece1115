//===- GPUTarget.cpp - The GPUs that code is generated for ----------------===//

#include "trec/Target/GPUTarget.h"

#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"

using namespace mlir::trec;

/// What today's CUDA still compiles for.
static constexpr int64_t kMinCapability = 80;

static const llvm::Triple &getTriple() {
  static const llvm::Triple triple("nvptx64-nvidia-cuda");
  return triple;
}

static const llvm::Target &getTarget() {
  static const llvm::Target *target = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    std::string error;
    return llvm::TargetRegistry::lookupTarget(getTriple(), error);
  }();
  assert(target && "LLVM is built with the NVPTX target");
  return *target;
}

/// Kernels use nothing that one chip has alone: `sm_90a` is code for `sm_90`,
/// which later chips of the generation run too.
llvm::Expected<GPUTarget> mlir::trec::resolveGPU(llvm::StringRef name) {
  llvm::StringRef chip =
      name.ends_with("a") || name.ends_with("f") ? name.drop_back() : name;
  llvm::StringRef digits = chip;
  int64_t capability = 0;
  bool isName = digits.consume_front("sm_") &&
                !digits.getAsInteger(10, capability) && digits[0] != '0';
  std::unique_ptr<llvm::MCSubtargetInfo> known(
      getTarget().createMCSubtargetInfo(getTriple(), "sm_75", ""));
  if (!isName || !known->isCPUStringValid(name))
    return llvm::createStringError("unknown GPU '" + name +
                                   "': expected a chip such as sm_80 or sm_90");
  if (capability < kMinCapability)
    return llvm::createStringError("expected a GPU of at least sm_80, got '" +
                                   name + "'");
  // The version of PTX in which kernels may have arguments in constant memory:
  // the lower it is, the more drivers compile it. Later chips need a later one,
  // which is LLVM's default for them.
  constexpr int64_t firstWithLaterPTX = 100;
  return GPUTarget{chip.str(), capability,
                   capability < firstWithLaterPTX ? "+ptx78" : ""};
}

std::unique_ptr<llvm::TargetMachine>
mlir::trec::createTargetMachine(const GPUTarget &target) {
  llvm::TargetOptions options;
  // Every rounding of the numeric contract is written out: fuse nothing.
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(getTarget().createTargetMachine(
      getTriple(), target.chip, target.features, options, std::nullopt,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}
