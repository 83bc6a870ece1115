//===- Info.cpp - trec-run --info -----------------------------------------===//

#include "Commands.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::trec;

/// Where the tables of a model on a GPU lie.
static void printPlaces(const ModelIR &ir, const Model &model,
                        const DeviceOptions &device, raw_ostream &os) {
  os << "tables:\n";
  for (auto [index, table] :
       llvm::enumerate(ir.getModule().getOps<TableOp>())) {
    trec_table_info info = model.getTableInfo(int64_t(index));
    os << "  " << table.getSymName() << ": " << info.bytes << " bytes on "
       << (info.place == TREC_PLACE_HOST ? "the host" : device.describe());
    if (info.persistent_bytes)
      os << ", " << info.persistent_bytes << " stay in its cache";
    os << '\n';
  }
}

/// How the weights are held, and for how long bags the sums over each table are
/// known to be exact.
static llvm::Error printLoaded(const ModelLibrary &library,
                               const RunOptions &options, raw_ostream &os) {
  llvm::Expected<ModelIR> ir = ModelIR::parse(library);
  if (!ir)
    return ir.takeError();
  llvm::Expected<Model> model = createWithAnyWeights(library, *ir, options);
  if (!model)
    return model.takeError();
  os << "memory:   " << describe(model->getWeightsInfo()) << '\n';
  if (model->getDevice()) {
    printPlaces(*ir, *model, options.device, os);
    return llvm::Error::success();
  }
  os << "exact:    sums over bags of up to so many ids, 0 for none\n";
  for (auto [index, table] : llvm::enumerate(ir->getModule().getOps<TableOp>()))
    os << "  " << table.getSymName() << ": "
       << model->getCertifiedLength(int64_t(index)) << '\n';
  return llvm::Error::success();
}

llvm::Error mlir::trec::printInfo(const ModelLibrary &library,
                                  const RunOptions &options, raw_ostream &os) {
  const trec_api &api = library.getAPI();
  auto metadata =
      llvm::json::parse(StringRef(api.metadata, api.metadata_bytes));
  if (!metadata)
    return llvm::createStringError(
        library.getPath() +
        ": metadata is not JSON: " + llvm::toString(metadata.takeError()));
  os << "library:  " << library.getPath() << '\n'
     << "abi:      version " << api.abi_version << ", " << api.size
     << " bytes of functions\n"
     << "ir:       " << api.ir_bytes << " bytes of bytecode\n"
     << "weights:  " << library.getSiblingWeights()
     << ", unless others are given or embedded\n";
  if (!options.weights.empty() || options.pages != TREC_PAGES_MAP ||
      options.exactness != TREC_EXACTNESS_AUTO || options.device.index >= 0)
    if (llvm::Error error = printLoaded(library, options, os))
      return error;
  os << "metadata: " << llvm::formatv("{0:2}", *metadata) << '\n';
  return llvm::Error::success();
}
