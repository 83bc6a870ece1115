//===- EmitObject.h - Kernels to object code --------------------*- C++ -*-===//
//
// Splits the LLVM-dialect module of one CPU level into one unit per kernel
// entry, and translates, optimizes and compiles the units in parallel, each in
// an LLVMContext of its own. The order of units is that of the module, so that
// the bytes of a `.so` do not depend on the number of threads.
//
//   std::vector<KernelUnit> units = splitKernels(module);
//   if (failed(compileKernels(units, target, OutputKind::object))) …
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TARGET_EMITOBJECT_H
#define TREC_TARGET_EMITOBJECT_H

#include "trec/Target/CPUTarget.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <functional>

namespace llvm {
class Module;
}

namespace mlir::trec {

/// What code generation leaves of a unit.
enum class OutputKind { llvmIR, assembly, object };

/// One kernel entry with the function that it inlines.
struct KernelUnit {
  std::string name;
  OwningOpRef<ModuleOp> module;
  std::string output; // optimized LLVM IR, assembly or an object file
  int64_t codeBytes;  // of the entry; 0 unless an object was made
};

/// Moves each kernel entry of `module`, with what it calls, into a unit of its
/// own and leaves its declaration.
std::vector<KernelUnit> splitKernels(ModuleOp module);

/// Compiles all units for `target`. `onDone` is called, from any thread, after
/// each.
LogicalResult compileKernels(MutableArrayRef<KernelUnit> units,
                             const CPUTarget &target, OutputKind kind,
                             const std::function<void()> &onDone);

/// Optimizes and compiles one LLVM module, whose defined symbols become hidden
/// unless `exported` names them.
llvm::Expected<std::string> compileModule(llvm::Module &module,
                                          const CPUTarget &target,
                                          OutputKind kind,
                                          StringRef exported = "");

/// Optimizes and compiles one LLVM module as it is.
llvm::Expected<std::string> generateCode(llvm::Module &module,
                                         llvm::TargetMachine &machine,
                                         OutputKind kind);

} // namespace mlir::trec

#endif // TREC_TARGET_EMITOBJECT_H
