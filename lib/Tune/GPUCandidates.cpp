//===- GPUCandidates.cpp - A model under several lowerings ----------------===//

#include "GPUCandidates.h"

#include "mlir/IR/Threading.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::trec;

LogicalResult GPUCandidates::check(llvm::Error error) const {
  if (!error)
    return success();
  return module->emitError() << llvm::toString(std::move(error));
}

LogicalResult GPUCandidates::open(int device, const TableMap &tables) {
  index = device;
  llvm::Expected<std::shared_ptr<Device>> opened = Device::open(device);
  if (!opened)
    return check(opened.takeError());
  this->device = std::move(*opened);
  auto copied = DeviceTables::create(this->device, module, tables);
  if (!copied)
    return check(copied.takeError());
  this->tables = std::move(*copied);
  return success();
}

/// By way of a cache of its own: what is measured is what a compile with the
/// tuner's cache will give.
LogicalResult GPUCandidates::compile(const GPULowerings &lowerings,
                                     StringRef path) const {
  TuningCache cache("candidate");
  for (auto [key, lowering] : llvm::zip_equal(keys, lowerings)) {
    GPUTuningEntry entry;
    entry.lowering = entry.model = lowering;
    cache.setGPU(key, std::move(entry));
  }
  CompileOptions own = options;
  own.output = path;
  SmallString<128> file(path);
  llvm::sys::path::replace_extension(file, "tune.json");
  own.tuneCache = file.str();
  if (failed(check(cache.write(own.tuneCache))))
    return failure();
  return compileModel(module, own);
}

FailureOr<Model> GPUCandidates::load(StringRef path) {
  llvm::Expected<ModelLibrary> library =
      ModelLibrary::open(path, options.symbol);
  if (!library)
    return check(library.takeError());
  if (!ir) {
    llvm::Expected<ModelIR> parsed = ModelIR::parse(*library);
    if (!parsed)
      return check(parsed.takeError());
    ir = std::move(*parsed);
  }
  WeightsSource weights;
  weights.onDevice = tables.get();
  LoadOptions loadOptions;
  loadOptions.exactness = TREC_EXACTNESS_OFF;
  loadOptions.device.index = index;
  llvm::Expected<Model> model =
      Model::create(*library, *ir, weights, loadOptions);
  if (!model)
    return check(model.takeError());
  return std::move(*model);
}

/// The first compile of all loads dialects, which several threads may not.
FailureOr<std::vector<Model>>
GPUCandidates::compile(ArrayRef<GPULowerings> choices) {
  SmallString<128> folder;
  if (std::error_code error =
          llvm::sys::fs::createUniqueDirectory("trec-tune", folder))
    return module->emitError()
           << "cannot create a temporary folder: " << error.message();
  // Once they are loaded nobody needs the files.
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove_directories(folder); });
  auto getPath = [&](size_t i) {
    return (folder + "/" + Twine(i) + ".so").str();
  };
  size_t first = isWarm ? 0 : 1;
  if (first && failed(compile(choices.front(), getPath(0))))
    return failure();
  isWarm = true;
  if (failed(failableParallelForEach(
          module.getContext(), llvm::seq<size_t>(first, choices.size()),
          [&](size_t i) { return compile(choices[i], getPath(i)); })))
    return failure();
  std::vector<Model> models;
  for (size_t i = 0; i < choices.size(); ++i) {
    FailureOr<Model> model = load(getPath(i));
    if (failed(model))
      return failure();
    models.push_back(std::move(*model));
  }
  return models;
}
