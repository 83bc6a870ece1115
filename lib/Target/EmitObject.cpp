//===- EmitObject.cpp - Kernels to object code ----------------------------===//

#include "trec/Target/EmitObject.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Threading.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Passes/PassBuilder.h"

using namespace mlir;
using namespace mlir::trec;

/// The functions that `entry` reaches by calls, itself included.
static SetVector<LLVM::LLVMFuncOp> collectCallees(LLVM::LLVMFuncOp entry,
                                                  const SymbolTable &symbols) {
  SetVector<LLVM::LLVMFuncOp> reached;
  reached.insert(entry);
  for (size_t i = 0; i < reached.size(); ++i)
    LLVM::LLVMFuncOp(reached[i]).walk([&](LLVM::CallOp call) {
      if (std::optional<StringRef> callee = call.getCallee())
        if (auto function = symbols.lookup<LLVM::LLVMFuncOp>(*callee))
          reached.insert(function);
    });
  return reached;
}

std::vector<KernelUnit> mlir::trec::splitKernels(ModuleOp module) {
  SymbolTable symbols(module);
  std::vector<KernelUnit> units;
  SetVector<Operation *> moved;
  for (auto entry : module.getOps<LLVM::LLVMFuncOp>()) {
    if (entry.getLinkage() == LLVM::Linkage::Internal || entry.isExternal())
      continue;
    OwningOpRef<ModuleOp> unit = ModuleOp::create(entry.getLoc());
    OpBuilder builder = OpBuilder::atBlockEnd(unit->getBody());
    for (LLVM::LLVMFuncOp function : collectCallees(entry, symbols)) {
      builder.clone(*function);
      moved.insert(function);
    }
    units.push_back({entry.getSymName().str(), std::move(unit), "", 0});
  }
  for (Operation *function : moved) {
    if (cast<LLVM::LLVMFuncOp>(function).getLinkage() ==
        LLVM::Linkage::Internal)
      function->erase();
    else
      function->getRegion(0).getBlocks().clear();
  }
  return units;
}

/// Bits that the length of SVE's vectors is a multiple of, and their greatest
/// number.
static constexpr int64_t kSVEGranule = 128, kMaxSVEBits = 2048;

static void setFunctionAttributes(llvm::Module &module,
                                  const llvm::TargetMachine &machine,
                                  const CPUTarget &target) {
  std::string width = std::to_string(target.level->vectorBits);
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    function.addFnAttr("target-features", machine.getTargetFeatureString());
    // Wide vectors pay here; LLVM's own choice for some CPUs is half of them.
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    // The shortest vectors of a machine that accepts the level, up to the
    // longest that the architecture allows: LLVM then makes SVE code of vectors
    // of a fixed length.
    if (target.usesSVE())
      function.addFnAttr(llvm::Attribute::getWithVScaleRangeArgs(
          module.getContext(), target.level->vectorBits / kSVEGranule,
          kMaxSVEBits / kSVEGranule));
    function.addFnAttr(llvm::Attribute::NoUnwind);
    // A kernel into its entry, however long it is.
    if (function.hasLocalLinkage())
      function.addFnAttr(llvm::Attribute::AlwaysInline);
  }
}

static void hideSymbols(llvm::Module &module, StringRef exported) {
  for (llvm::GlobalValue &value : module.global_values())
    if (!value.hasLocalLinkage() && !value.getName().starts_with("llvm.") &&
        value.getName() != exported)
      value.setVisibility(llvm::GlobalValue::HiddenVisibility);
}

static llvm::Error emitMachineCode(llvm::Module &module,
                                   llvm::TargetMachine &machine,
                                   OutputKind kind, std::string &output) {
  SmallVector<char, 0> buffer;
  llvm::raw_svector_ostream os(buffer);
  llvm::legacy::PassManager passes;
  auto fileType = kind == OutputKind::assembly
                      ? llvm::CodeGenFileType::AssemblyFile
                      : llvm::CodeGenFileType::ObjectFile;
  if (machine.addPassesToEmitFile(passes, os, nullptr, fileType))
    return llvm::createStringError("the target cannot emit this kind of file");
  passes.run(module);
  output.assign(buffer.begin(), buffer.end());
  return llvm::Error::success();
}

/// As clang's -O3, but that nothing scalar is made into vectors on a CPU:
/// kernels have them where they pay, and what is left is addresses.
static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  if (!machine.getTargetTriple().isGPU())
    tuning.SLPVectorization = false;
  llvm::PassBuilder builder(&machine, tuning);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

llvm::Expected<std::string>
mlir::trec::generateCode(llvm::Module &module, llvm::TargetMachine &machine,
                         OutputKind kind) {
  module.setTargetTriple(machine.getTargetTriple());
  module.setDataLayout(machine.createDataLayout());
  optimize(module, machine);
  std::string output;
  if (kind == OutputKind::llvmIR) {
    llvm::raw_string_ostream os(output);
    module.print(os, nullptr);
    return output;
  }
  if (llvm::Error error = emitMachineCode(module, machine, kind, output))
    return std::move(error);
  return output;
}

llvm::Expected<std::string> mlir::trec::compileModule(llvm::Module &module,
                                                      const CPUTarget &target,
                                                      OutputKind kind,
                                                      StringRef exported) {
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(target);
  setFunctionAttributes(module, *machine, target);
  hideSymbols(module, exported);
  return generateCode(module, *machine, kind);
}

/// Bytes of code of a function in an object file.
static int64_t measureSymbol(StringRef object, StringRef name) {
  auto file = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(object, name));
  if (!file) {
    llvm::consumeError(file.takeError());
    return 0;
  }
  for (const llvm::object::ELFSymbolRef symbol : (*file)->symbols()) {
    // The name of the source file, a symbol too, is that of the function.
    if (symbol.getELFType() != llvm::ELF::STT_FUNC)
      continue;
    llvm::Expected<StringRef> symbolName = symbol.getName();
    if (symbolName && *symbolName == name)
      return symbol.getSize();
    llvm::consumeError(symbolName.takeError());
  }
  return 0;
}

static LogicalResult compileUnit(KernelUnit &unit, const CPUTarget &target,
                                 OutputKind kind) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(*unit.module, context, unit.name);
  if (!module)
    return failure();
  llvm::Expected<std::string> output = compileModule(*module, target, kind);
  if (!output)
    return unit.module->emitError()
           << "cannot generate code for kernel " << unit.name << ": "
           << llvm::toString(output.takeError());
  unit.output = std::move(*output);
  if (kind == OutputKind::object)
    unit.codeBytes = measureSymbol(unit.output, unit.name);
  return success();
}

LogicalResult mlir::trec::compileKernels(MutableArrayRef<KernelUnit> units,
                                         const CPUTarget &target,
                                         OutputKind kind,
                                         const std::function<void()> &onDone) {
  if (units.empty())
    return success();
  return failableParallelForEach(
      units.front().module->getContext(), units, [&](KernelUnit &unit) {
        LogicalResult result = compileUnit(unit, target, kind);
        onDone();
        return result;
      });
}
