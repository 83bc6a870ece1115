//===- ImportModel.cpp - From a JSON spec to a model directory ------------===//

#include "trec/Import/ImportModel.h"

#include "trec/Import/AtomicFile.h"
#include "trec/Import/BuildModel.h"
#include "trec/Import/StateDict.h"
#include "trec/Import/WeightsFile.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::trec;
using namespace llvm;

static Expected<ModelSpec> readSpec(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return createStringError(
        path + ": cannot be read: " + buffer.getError().message());
  Expected<ModelSpec> spec = parseModelSpec((*buffer)->getBuffer());
  if (!spec)
    return createStringError(path + ": " + toString(spec.takeError()));
  return spec;
}

/// The path of the weights that a spec names, relative to its own place.
static Expected<std::string> locateWeights(const ImportOptions &options,
                                           const ModelSpec &spec) {
  if (!spec.weights)
    return createStringError(
        options.specPath +
        ": weights: expected the path of a safetensors file, got nothing; "
        "name one, or pass --no-weights");
  if (sys::path::is_absolute(*spec.weights))
    return *spec.weights;
  SmallString<256> path = sys::path::parent_path(options.specPath);
  sys::path::append(path, *spec.weights);
  return path.str().str();
}

static std::string inside(StringRef directory, StringRef name) {
  SmallString<256> path(directory);
  sys::path::append(path, name);
  return path.str().str();
}

static Error makeDirectory(StringRef path) {
  if (std::error_code code = sys::fs::create_directories(
          path, /*IgnoreExisting=*/true, sys::fs::all_all))
    return createStringError(path + ": cannot be made: " + code.message());
  return Error::success();
}

static Error writeStateDict(StringRef path, const ImportOptions &options,
                            ModuleOp module) {
  Expected<StateDict> dict = StateDict::open(path);
  if (!dict)
    return dict.takeError();
  Expected<std::vector<Tensor>> tensors = dict->findTensors(module);
  if (!tensors)
    return tensors.takeError();
  std::string output = inside(options.outputDir, "model.safetensors");
  // Writing would lose what else it has.
  if (sys::fs::equivalent(path, output))
    return createStringError(path + ": this state dict is the file to be "
                                    "written; move it elsewhere first");
  if (Error error = makeDirectory(options.outputDir))
    return error;
  return writeTensorFile(output, std::move(*tensors));
}

static Error writeModelWeights(const ImportOptions &options,
                               const ModelSpec &spec, ModuleOp module) {
  Expected<std::string> path = locateWeights(options, spec);
  if (!path)
    return path.takeError();
  if (StateDict::isStateDict(*path, module))
    return writeStateDict(*path, options, module);
  Expected<TensorFile> weights = TensorFile::open(*path);
  if (!weights)
    return weights.takeError();
  // Before the directory is made: wrong weights leave nothing behind.
  if (Error error = findTables(*weights, module).takeError())
    return error;
  if (Error error = makeDirectory(options.outputDir))
    return error;
  return writeWeights(*weights, module,
                      inside(options.outputDir, "model.safetensors"));
}

Error mlir::trec::importModel(const ImportOptions &options) {
  Expected<ModelSpec> spec = readSpec(options.specPath);
  if (!spec)
    return spec.takeError();
  MLIRContext context(MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = buildModel(*spec, context);

  if (options.withWeights)
    if (Error error = writeModelWeights(options, *spec, *module))
      return error;
  if (Error error = makeDirectory(options.outputDir))
    return error;
  return writeFileAtomically(inside(options.outputDir, "model.mlir"),
                             [&](raw_ostream &os) { module->print(os); });
}
