//===- Model.cpp - A compiled model and calls of it -----------------------===//

#include "trec/Run/Model.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <cstdio>
#include <cstring>
#include <dlfcn.h>

using namespace mlir;
using namespace mlir::trec;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

namespace {

/// The machine cannot run the model, whatever its weights.
class MachineError : public llvm::ErrorInfo<MachineError, llvm::StringError> {
public:
  static char ID;
  explicit MachineError(const Twine &message)
      : ErrorInfo(message, llvm::inconvertibleErrorCode()) {}
};

} // namespace

char MachineError::ID;

/// Why a file of another architecture cannot be loaded, or "": the dynamic
/// linker says that there is no such file.
static std::string explainArchitecture(StringRef path) {
  auto file = llvm::object::ObjectFile::createObjectFile(path);
  if (!file) {
    llvm::consumeError(file.takeError());
    return "";
  }
  llvm::Triple::ArchType theirs = (*file).getBinary()->getArch();
  llvm::Triple::ArchType ours =
      llvm::Triple(llvm::sys::getProcessTriple()).getArch();
  if (theirs == ours)
    return "";
  return ("it is for " + llvm::Triple::getArchTypeName(theirs) +
          ", this machine is " + llvm::Triple::getArchTypeName(ours))
      .str();
}

Expected<ModelLibrary> ModelLibrary::open(StringRef path,
                                          const std::string &symbol) {
  // A bare name would be searched for in the system's directories.
  llvm::SmallString<256> absolute(path);
  llvm::sys::fs::make_absolute(absolute);
  void *handle = dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    std::string reason = dlerror();
    if (std::string foreign = explainArchitecture(path); !foreign.empty())
      reason = foreign;
    return createStringError(path + ": cannot be loaded: " + reason);
  }
  auto query = reinterpret_cast<trec_query>(dlsym(handle, symbol.c_str()));
  if (!query)
    return createStringError(path + ": no function " + symbol +
                             "; pass --symbol with the name that the model "
                             "was compiled with");
  trec_error error{};
  error.size = sizeof(error);
  ModelLibrary library;
  library.path = path.str();
  library.api = query(TREC_ABI_VERSION, &error);
  if (!library.api)
    return createStringError(path + ": " + error.message);
  return library;
}

std::string ModelLibrary::getSiblingWeights() const {
  llvm::SmallString<256> sibling(path);
  llvm::sys::path::replace_extension(sibling, "safetensors");
  return sibling.str().str();
}

llvm::json::Object ModelLibrary::parseMetadata() const {
  auto metadata =
      llvm::json::parse(StringRef(api->metadata, api->metadata_bytes));
  if (!metadata) {
    llvm::consumeError(metadata.takeError());
    return {};
  }
  llvm::json::Object *object = metadata->getAsObject();
  return object ? std::move(*object) : llvm::json::Object();
}

bool ModelLibrary::isRelaxed() const {
  return parseMetadata().getString("numerics") == "relaxed";
}

bool ModelLibrary::hasCPUNumericsOnGPU() const {
  llvm::json::Object metadata = parseMetadata();
  const llvm::json::Object *gpu = metadata.getObject("gpu");
  return gpu && gpu->getString("numerics") == "cpu";
}

Expected<ModelIR> ModelIR::parse(const ModelLibrary &library) {
  ModelIR ir;
  ir.context = std::make_unique<MLIRContext>(MLIRContext::Threading::DISABLED);
  ir.context->loadDialect<TrecDialect, func::FuncDialect>();
  const trec_api &api = library.getAPI();
  StringRef text(static_cast<const char *>(api.ir), api.ir_bytes);
  ir.module = parseSourceString<ModuleOp>(text, ir.context.get());
  if (!ir.module || !ir.module->lookupSymbol<func::FuncOp>("forward"))
    return createStringError(library.getPath() +
                             ": holds no IR that this version of trec reads");
  ir.layout.emplace(*ir.module);
  return ir;
}

static FunctionType getSignature(ModuleOp module) {
  return module.lookupSymbol<func::FuncOp>("forward").getFunctionType();
}

SmallVector<KJTType> ModelIR::getBatchTypes() const {
  return llvm::map_to_vector(getSignature(*module).getInputs(),
                             llvm::CastTo<KJTType>);
}

void mlir::trec::setBatches(trec_forward_args &args,
                            ArrayRef<trec_batch> batches) {
  const trec_batch &first = batches.front();
  args.num_keys = first.num_keys;
  args.slots = first.slots;
  args.values = first.values;
  args.num_values = first.num_values;
  args.lengths = first.lengths;
  args.offsets = first.offsets;
  args.weights = first.weights;
  args.num_weights = first.num_weights;
  args.values_type = first.values_type;
  args.lengths_type = first.lengths_type;
  args.offsets_type = first.offsets_type;
  args.batches = batches.drop_front().data();
  args.num_batches = int64_t(batches.size()) - 1;
}

std::vector<trec_batch> mlir::trec::getBatches(const trec_forward_args &args) {
  trec_batch first{};
  first.size = sizeof(first);
  first.num_keys = args.num_keys;
  first.slots = args.slots;
  first.values = args.values;
  first.num_values = args.num_values;
  first.lengths = args.lengths;
  first.offsets = args.offsets;
  first.weights = args.weights;
  first.num_weights = args.num_weights;
  first.values_type = args.values_type;
  first.lengths_type = args.lengths_type;
  first.offsets_type = args.offsets_type;
  std::vector<trec_batch> batches{first};
  llvm::append_range(batches, ArrayRef(args.batches, args.num_batches));
  return batches;
}

BoundsPolicy ModelIR::getPolicy() const {
  BoundsPolicy policy = BoundsPolicy::warning;
  getModule().walk([&](CheckBoundsOp op) { policy = op.getPolicy(); });
  return policy;
}

/// Bad ids are counted and compared; a line for each call would say no more.
static void ignoreWarning(void *, const trec_error *) {}

/// Draws one line that is overwritten as the work goes on and taken away at its
/// end.
static void showProgress(void *, uint64_t done, uint64_t total) {
  llvm::errs() << "\r\x1b[K";
  if (done < total)
    llvm::errs() << "loading weights "
                 << llvm::formatv("{0:F1} of {1:F1} GB", double(done) / 1e9,
                                  double(total) / 1e9);
}

/// TREC_PLACE_* of each table; empty where nothing is said of any.
static Expected<std::vector<int32_t>>
listPlacements(ModuleOp module, ArrayRef<std::string> hostTables) {
  std::vector<int32_t> placements;
  if (hostTables.empty())
    return placements;
  size_t found = 0;
  for (auto table : module.getOps<TableOp>()) {
    bool onHost = llvm::is_contained(hostTables, table.getSymName());
    placements.push_back(onHost ? TREC_PLACE_HOST : TREC_PLACE_AUTO);
    found += onHost;
  }
  for (const std::string &name : hostTables)
    if (!module.lookupSymbol<TableOp>(name))
      return createStringError("--host-tables: the model has no table \"" +
                               name + "\"");
  return placements;
}

static trec_create_options getOptions(const WeightsSource &weights,
                                      const LoadOptions &load) {
  trec_create_options options{};
  options.size = sizeof(options);
  options.weights_path = weights.path.empty() ? nullptr : weights.path.c_str();
  options.threads = load.threads;
  options.exactness = load.exactness;
  if (weights.tables && load.exactness == TREC_EXACTNESS_AUTO)
    options.exactness = TREC_EXACTNESS_CHECK;
  options.warning = ignoreWarning;
  // Other weights are where they are.
  options.pages = weights.path.empty() ? TREC_PAGES_MAP : load.pages;
  options.progress = llvm::errs().is_displayed() ? showProgress : nullptr;
  if (load.device.index >= 0) {
    options.device = TREC_DEVICE_CUDA;
    options.device_index = load.device.index;
  }
  if (weights.onDevice)
    options.tables_location = TREC_DEVICE_CUDA;
  options.device_bytes = load.device.bytes;
  options.l2_fetch_bytes = load.device.l2FetchBytes;
  options.l2_persist_bytes = load.device.l2PersistBytes;
  return options;
}

Expected<Model> Model::create(const ModelLibrary &library, const ModelIR &ir,
                              const WeightsSource &weights,
                              const LoadOptions &load) {
  std::vector<trec_table_data> tables, parameters;
  if (weights.tables) {
    tables = describeTables(ir.getModule(), *weights.tables);
    parameters = describeParameters(ir.getModule(), *weights.tables);
  }
  if (weights.onDevice) {
    tables = weights.onDevice->getTables().vec();
    parameters = weights.onDevice->getParameters().vec();
  }
  auto placements = listPlacements(ir.getModule(), load.device.hostTables);
  if (!placements)
    return placements.takeError();
  trec_create_options options = getOptions(weights, load);
  options.tables = tables.empty() ? nullptr : tables.data();
  options.num_tables = int64_t(tables.size());
  options.parameters = parameters.empty() ? nullptr : parameters.data();
  options.num_parameters = int64_t(parameters.size());
  options.placements = placements->empty() ? nullptr : placements->data();
  options.num_placements = int64_t(placements->size());
  trec_error error{};
  error.size = sizeof(error);
  const OutputLayout &layout = ir.getOutputLayout();
  Model model(&library.getAPI(),
              layout.isKeyed() ? 0 : layout.getKeys().size());
  int32_t status = model.api->create(&options, &model.model, &error);
  if (status == TREC_UNSUPPORTED_CPU || status == TREC_UNSUPPORTED_GPU)
    return llvm::make_error<MachineError>(library.getPath() + ": " +
                                          error.message);
  if (status != TREC_OK)
    return createStringError(library.getPath() + ": " + error.message);
  if (load.device.index >= 0) {
    auto device = Device::open(load.device.index);
    if (!device)
      return device.takeError();
    model.device = std::move(*device);
  }
  return model;
}

Model::~Model() {
  if (model)
    api->destroy(model);
}

int32_t Model::forward(const trec_forward_args &args, trec_error &error) const {
  return device ? forwardOnDevice(args, error) : launch(args, error);
}

int32_t Model::launch(const trec_forward_args &args, trec_error &error) const {
  error = {};
  error.size = sizeof(error);
  return api->forward(model, &args, &error);
}

/// Turns what went wrong beside the model into an error of a call.
static int32_t tell(Error failure, trec_error &error) {
  if (!failure)
    return TREC_OK;
  std::string text = llvm::toString(std::move(failure));
  std::snprintf(error.message, sizeof(error.message), "%s", text.c_str());
  return error.status = TREC_GPU_ERROR;
}

int32_t Model::finish(trec_error &error) const {
  if (int32_t status = tell(device->wait(), error); status != TREC_OK)
    return status;
  return api->poll(model, &error);
}

/// There was no earlier call that was not asked about.
static void sayThisCall(trec_error &error) {
  StringRef message = error.message;
  if (message.consume_front("an earlier call: "))
    std::memmove(error.message, message.data(), message.size() + 1);
}

int32_t Model::forwardOnDevice(const trec_forward_args &args,
                               trec_error &error) const {
  error = {};
  error.size = sizeof(error);
  auto call = DeviceCall::create(device, args, numOutputs);
  if (!call)
    return tell(call.takeError(), error);
  if (int32_t status = launch((*call)->getArgs(), error); status != TREC_OK)
    return status;
  if (int32_t status = finish(error); status != TREC_OK) {
    sayThisCall(error);
    return status;
  }
  return tell((*call)->fetch(), error);
}

int64_t Model::countBadIds() const {
  trec_counters counters{};
  counters.size = sizeof(counters);
  api->counters(model, &counters);
  return counters.bad_ids;
}

Expected<Model> mlir::trec::createWithAnyWeights(const ModelLibrary &library,
                                                 const ModelIR &ir,
                                                 const LoadOptions &options) {
  if (!options.weights.empty())
    return Model::create(library, ir, {options.weights}, options);
  Expected<Model> embedded = Model::create(library, ir, {}, options);
  if (embedded)
    return embedded;
  Error error = embedded.takeError();
  if (error.isA<MachineError>())
    return error;
  std::string sibling = library.getSiblingWeights();
  if (!llvm::sys::fs::exists(sibling))
    return createStringError(llvm::toString(std::move(error)) + "; " + sibling +
                             " does not exist either; pass --weights=FILE");
  llvm::consumeError(std::move(error));
  return Model::create(library, ir, {sibling}, options);
}

trec_table_info Model::getTableInfo(int64_t table) const {
  trec_table_info info{};
  info.size = sizeof(info);
  api->table_info(model, table, &info);
  return info;
}

trec_weights_info Model::getWeightsInfo() const {
  trec_weights_info info{};
  info.size = sizeof(info);
  api->weights_info(model, &info);
  return info;
}

Expected<std::unique_ptr<RandomTables>>
mlir::trec::makeRandomTables(const ModelIR &ir, uint64_t seed, Pages pages) {
  auto tables = std::make_unique<RandomTables>(ir.getModule(), seed, pages);
  if (tables->isComplete())
    return tables;
  return createStringError("no memory for random tables of " +
                           Twine(countTableBytes(ir.getModule())) +
                           " bytes; pass --weights=FILE");
}
