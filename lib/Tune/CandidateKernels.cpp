//===- CandidateKernels.cpp - One group under several lowerings -----------===//

#include "CandidateKernels.h"

#include "trec/Pipelines/CPUPipeline.h"
#include "trec/Target/EmitObject.h"
#include "trec/Target/LinkSharedLibrary.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <dlfcn.h>

using namespace mlir;
using namespace mlir::trec;

/// The array of kernels that `trec-emit-kernel-entries` makes.
static constexpr StringRef kKernelTable = "trec_kernels";

static size_t getIndex(ModuleOp module, LookupGroupInterface group) {
  size_t index = 0, found = 0;
  module.walk([&](LookupGroupInterface op) {
    if (op == group)
      found = index;
    ++index;
  });
  return found;
}

/// The module with this group alone, as often as there are lowerings, one after
/// the other.
static OwningOpRef<ModuleOp>
repeatGroup(LookupGroupInterface group,
            ArrayRef<LoweringConfigAttr> lowerings) {
  auto module = group->getParentOfType<ModuleOp>();
  OwningOpRef<ModuleOp> copy = module.clone();
  SmallVector<LookupGroupInterface> groups;
  copy->walk([&](LookupGroupInterface op) { groups.push_back(op); });
  LookupGroupInterface kept = groups[getIndex(module, group)];
  for (LookupGroupInterface op : groups) {
    if (op == kept)
      continue;
    op->replaceAllUsesWith(ValueRange{op.getDest()});
    op->erase();
  }
  kept.setLoweringAttr(lowerings.front());
  OpBuilder builder(kept->getContext());
  Operation *last = kept;
  for (LoweringConfigAttr lowering : lowerings.drop_front()) {
    builder.setInsertionPointAfter(last);
    Operation *next = builder.clone(*kept);
    last->replaceAllUsesWith(next);
    next->replaceUsesOfWith(kept.getDest(), last->getResult(0));
    cast<LookupGroupInterface>(next).setLoweringAttr(lowering);
    last = next;
  }
  return copy;
}

static LogicalResult lower(ModuleOp module, const CPUTarget &target) {
  PassManager pm(module.getContext());
  CPUPipelineOptions options;
  options.cpu = target.level->name.str();
  buildCPUStage(pm, CPUStage::kernels, options);
  buildCPUStage(pm, CPUStage::llvm, options);
  return pm.run(module);
}

/// What is left of the module without its kernels, with their array exported.
static llvm::Expected<std::string> compileTable(ModuleOp module,
                                                const CPUTarget &target) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> translated =
      translateModuleToLLVMIR(module, context, "trec_candidates");
  if (!translated)
    return llvm::createStringError("cannot translate to LLVM IR");
  return compileModule(*translated, target, OutputKind::object, kKernelTable);
}

static llvm::Expected<SmallString<128>> linkUnits(ArrayRef<KernelUnit> units,
                                                  StringRef table,
                                                  Architecture architecture) {
  SmallVector<StringRef> objects;
  for (const KernelUnit &unit : units)
    objects.push_back(unit.output);
  objects.push_back(table);
  SmallString<128> path;
  if (std::error_code error =
          llvm::sys::fs::createTemporaryFile("trec-tune", "so", path))
    return llvm::createStringError(error, "cannot create a temporary file: " +
                                              error.message());
  if (llvm::Error error = linkSharedLibrary(objects, architecture, path)) {
    llvm::sys::fs::remove(path);
    return std::move(error);
  }
  return path;
}

FailureOr<CandidateKernels>
CandidateKernels::compile(LookupGroupInterface group,
                          ArrayRef<LoweringConfigAttr> lowerings,
                          const CPUTarget &target) {
  OwningOpRef<ModuleOp> module = repeatGroup(group, lowerings);
  if (failed(lower(*module, target)))
    return failure();
  std::vector<KernelUnit> units = splitKernels(*module);
  if (failed(compileKernels(units, target, OutputKind::object, [] {})))
    return failure();
  llvm::Expected<std::string> table = compileTable(*module, target);
  if (!table)
    return group->emitError() << llvm::toString(table.takeError());
  llvm::Expected<SmallString<128>> path =
      linkUnits(units, *table, target.level->architecture);
  if (!path)
    return group->emitError() << llvm::toString(path.takeError());
  // Once it is loaded nobody needs its name.
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove(*path); });
  CandidateKernels candidates;
  candidates.handle = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!candidates.handle)
    return group->emitError() << "cannot load kernels: " << dlerror();
  candidates.kernels = static_cast<const trec_kernel *>(
      dlsym(candidates.handle, kKernelTable.data()));
  if (!candidates.kernels)
    return group->emitError() << "cannot find kernels: " << dlerror();
  return candidates;
}

CandidateKernels::~CandidateKernels() {
  if (handle)
    dlclose(handle);
}
