//===- GPUBinary.cpp - Kernels to the code of GPUs ------------------------===//

#include "trec/Target/GPUBinary.h"
#include "trec/Target/EmitObject.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/Module.h"

using namespace mlir;
using namespace mlir::trec;

llvm::Expected<std::string> mlir::trec::emitPTX(ModuleOp module,
                                                const GPUTarget &target) {
  auto kernels = module.getOps<gpu::GPUModuleOp>();
  if (kernels.empty())
    return llvm::createStringError("expected a module with a gpu.module");
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> translated =
      translateModuleToLLVMIR(*kernels.begin(), context, "trec");
  if (!translated)
    return llvm::createStringError("cannot translate to LLVM IR");
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(target);
  return generateCode(*translated, *machine, OutputKind::assembly);
}
