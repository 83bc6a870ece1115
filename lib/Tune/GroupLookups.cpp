//===- GroupLookups.cpp - The lookups of one group, to be repeated --------===//

#include "GroupLookups.h"

#include "llvm/ADT/STLExtras.h"

#include <cstring>
#include <numeric>

using namespace mlir;
using namespace mlir::trec;

static constexpr uint64_t kSeed = 1;
/// How many times the caches the rows of all batches together are.
static constexpr int64_t kCacheMultiple = 3;
static constexpr int64_t kMostPreparedBytes = int64_t(256) << 20;
static constexpr size_t kFewestBatches = 4;
/// Samples of one call, of recorded ones.
static constexpr int64_t kRecordedSamples = 256;
static constexpr int64_t kCacheLineBytes = 64;

/// What the caches hold, as far as the system says.
int64_t GroupLookups::countCacheBytes() const {
  constexpr int64_t usualThirdLevel = int64_t(32) << 20;
  return cpu.second_level +
         (cpu.third_level ? cpu.third_level : usualThirdLevel);
}

GroupLookups::GroupLookups(LookupGroupInterface group,
                           const TuneWorkload &workload)
    : isPooled(group.getPoolingMode().has_value()), cpu(trec_find_cpu()),
      modelBytes(countTableBytes(workload.getModule())),
      rowBytes(std::max(group.getRowType().getRowBytes(), kCacheLineBytes)) {
  for (BagAttr bag : group.getBags().getAsRange<BagAttr>())
    addLookup(group, bag, workload);
  if (const RecordedBatches *recorded = workload.getRecorded())
    cutBatches(*recorded);
  else
    drawBatches(workload.getLoads());
  int64_t touched = 0;
  for (const GroupBatch &batch : batches)
    touched += countRowBytes(batch);
  tooShort = tableBytes > countCacheBytes() && touched < 2 * countCacheBytes();
  makeOutputs(group.getOutputElement().getIntOrFloatBitWidth() / 8);
}

/// The index of the feature of a bag, which other bags may have too.
size_t GroupLookups::addFeature(LookupGroupInterface group, BagAttr bag,
                                const TuneWorkload &workload) {
  auto argument = size_t(bag.getBatch());
  auto known = llvm::find_if(features, [&](const Feature &feature) {
    return feature.argument == argument && feature.key == bag.getFeature();
  });
  if (known != features.end())
    return known - features.begin();
  Feature feature{argument,    bag.getFeature(),
                  0,           0,
                  BagLimits(), group.getWeighting() == Weighting::sample};
  for (auto [index, batch] : llvm::enumerate(group.getBatches())) {
    auto type = cast<KJTType>(batch.getType());
    if (index == argument) {
      feature.index += size_t(*type.getKeyIndex(feature.key));
      break;
    }
    feature.index += type.getKeys().size();
  }
  ModuleOp module = workload.getModule();
  feature.rows = findKeyTables(module, workload.getTables(), argument)
                     .lookup(feature.key)
                     .fewestRows;
  feature.limits = findBagLimits(module, argument).lookup(feature.key);
  features.push_back(feature);
  return features.size() - 1;
}

/// Columns of a tensor, or rows of their own.
void GroupLookups::placeOutput(LookupGroupInterface group, BagAttr bag,
                               Lookup &lookup) {
  Type type = group.getDest().getType();
  int64_t elementBytes = group.getOutputElement().getIntOrFloatBitWidth() / 8;
  lookup.output = size_t(isPooled ? bag.getOutput() : bag.getColumn());
  lookup.outputByte = isPooled ? bag.getColumn() * elementBytes : 0;
  lookup.args.output_stride =
      group.getRowType().getOutputDim(group.getOutputElement());
  if (auto keyed = dyn_cast<KeyedTensorType>(type))
    lookup.args.output_stride = keyed.getTotalDim();
  else if (auto tensors = dyn_cast<TensorDictType>(type))
    lookup.args.output_stride = tensors.getDims()[lookup.output];
}

void GroupLookups::addLookup(LookupGroupInterface group, BagAttr bag,
                             const TuneWorkload &workload) {
  const TableMap &tables = workload.getTables();
  TableData table = tables.lookup(bag.getTable().getValue());
  tableBytes += int64_t(table.bytes.size());
  Lookup lookup{addFeature(group, bag, workload), {}, false, 0, 0};
  lookup.args.rows = table.bytes.data();
  lookup.args.num_rows = table.rows;
  lookup.args.report = report;
  RowType row = group.getRowType();
  trec_table_desc desc = {};
  desc.row_bytes = row.getRowBytes();
  desc.weights_type = int64_t(row.getWeights());
  lookup.args.fetches_far =
      trec_fetches_far(&cpu, &desc, table.rows, modelBytes);
  if (FlatSymbolRefAttr weights = bag.getWeights()) {
    lookup.args.weights = reinterpret_cast<const float *>(
        tables.lookup(weights.getValue()).bytes.data());
    lookup.ownWeights = true;
  }
  if (FlatSymbolRefAttr remap = bag.getRemap()) {
    TableData entries = tables.lookup(remap.getValue());
    SymbolTable symbols(workload.getModule());
    MapAttr map = symbols.lookup<ParameterOp>(remap.getValue()).getMapAttr();
    lookup.args.remap = entries.bytes.data();
    lookup.args.num_remap =
        std::max<int64_t>(entries.rows, 1) * map.getEntryWidth();
    lookup.args.num_ids = map.getNumIds(entries.rows).value_or(entries.rows);
  }
  placeOutput(group, bag, lookup);
  lookups.push_back(lookup);
}

int64_t GroupLookups::countRowBytes(const GroupBatch &batch) const {
  return batch.numIds * rowBytes;
}

int64_t GroupLookups::countWantedBytes() const {
  return kCacheMultiple * std::min(countCacheBytes(), tableBytes);
}

template <typename T>
static std::vector<uint8_t> convert(ArrayRef<int64_t> ids) {
  std::vector<T> converted(ids.begin(), ids.end());
  // One byte more, so that an empty array has an address too.
  std::vector<uint8_t> bytes(converted.size() * sizeof(T) + 1);
  std::memcpy(bytes.data(), converted.data(), converted.size() * sizeof(T));
  return bytes;
}

static std::vector<uint8_t> convertIds(ArrayRef<int64_t> ids, int variant) {
  return variant == TREC_KERNEL_INT32 ? convert<int32_t>(ids)
                                      : convert<int64_t>(ids);
}

static int getVariant(int32_t idsType) {
  return idsType == TREC_INT32 ? TREC_KERNEL_INT32 : TREC_KERNEL_INT64;
}

GroupLookups::GroupBatch GroupLookups::draw(const BenchLoad &load,
                                            RandomEngine &random) {
  GroupBatch batch{load.batchSize, 0, getVariant(load.idsType), {}};
  std::uniform_real_distribution<float> weight(0.5f, 1.5f);
  for (const Feature &feature : features) {
    FeatureIds drawn;
    std::vector<int64_t> ids;
    drawn.offsets = {0};
    const IdSampler *sampler =
        feature.rows
            ? &samplers
                   .try_emplace(feature.rows, load.distribution, feature.rows)
                   .first->second
            : nullptr;
    for (int64_t sample = 0; sample < load.batchSize; ++sample) {
      int64_t length =
          feature.limits.clamp(load.lengths.draw(feature.index, random));
      // A table without rows has no id but -1.
      for (int64_t i = 0; i < length; ++i)
        ids.push_back(sampler ? sampler->draw(random) : -1);
      drawn.offsets.push_back(int64_t(ids.size()));
    }
    if (feature.isWeighted)
      for (size_t i = 0; i < ids.size(); ++i)
        drawn.weights.push_back(weight(random));
    drawn.ids = convertIds(ids, batch.variant);
    batch.features.push_back(std::move(drawn));
  }
  for (const Lookup &lookup : lookups)
    batch.numIds += batch.features[lookup.feature].offsets.back();
  return batch;
}

/// Batches of all loads take turns. The distributions of several loads differ,
/// so samplers are those of one.
void GroupLookups::drawBatches(ArrayRef<BenchLoad> loads) {
  RandomEngine random(kSeed);
  numLoads = loads.size();
  int64_t wanted = countWantedBytes(), touched = 0, prepared = 0;
  while (batches.size() < kFewestBatches * numLoads ||
         (touched < wanted && prepared < kMostPreparedBytes))
    for (const BenchLoad &load : loads) {
      if (numLoads > 1)
        samplers.clear();
      batches.push_back(draw(load, random));
      touched += countRowBytes(batches.back());
      prepared += batches.back().numIds * int64_t(sizeof(int64_t)) +
                  load.batchSize * int64_t(sizeof(int64_t) * features.size());
      // A load without ids never touches enough.
      prepared += kCacheLineBytes;
    }
}

/// Samples `begin` to `end` of each feature. Ids that a table has not, because
/// it was cut, are taken modulo its rows.
GroupLookups::GroupBatch GroupLookups::cut(const RecordedBatches &recorded,
                                           int64_t begin, int64_t end) {
  GroupBatch batch{end - begin, 0, getVariant(recorded.idsType), {}};
  for (const Feature &feature : features) {
    const Batch &source = recorded.batches[feature.argument];
    int64_t key =
        llvm::find(source.keys, feature.key.getValue()) - source.keys.begin();
    int64_t firstBag = key * source.batchSize + begin;
    int64_t first = std::accumulate(
        source.lengths.begin(), source.lengths.begin() + firstBag, int64_t(0));
    FeatureIds copied;
    copied.offsets = {0};
    for (int64_t bag = firstBag; bag < firstBag + end - begin; ++bag)
      copied.offsets.push_back(copied.offsets.back() + source.lengths[bag]);
    std::vector<int64_t> ids(source.values.begin() + first,
                             source.values.begin() + first +
                                 copied.offsets.back());
    for (int64_t &id : ids)
      if (id >= feature.rows)
        id = feature.rows ? id % feature.rows : -1;
    copied.ids = convertIds(ids, batch.variant);
    if (feature.isWeighted)
      copied.weights.assign(source.weights.begin() + first,
                            source.weights.begin() + first + ids.size());
    batch.features.push_back(std::move(copied));
  }
  for (const Lookup &lookup : lookups)
    batch.numIds += batch.features[lookup.feature].offsets.back();
  return batch;
}

void GroupLookups::cutBatches(const RecordedBatches &recorded) {
  int64_t samples = recorded.batches.front().batchSize;
  for (int64_t begin = 0; begin < samples; begin += kRecordedSamples)
    batches.push_back(
        cut(recorded, begin, std::min(begin + kRecordedSamples, samples)));
}

void GroupLookups::makeOutputs(int64_t elementBytes) {
  for (const Lookup &lookup : lookups) {
    outputs.resize(std::max(outputs.size(), lookup.output + 1));
    int64_t rows = 0;
    for (const GroupBatch &batch : batches)
      rows = std::max(rows,
                      isPooled ? batch.batchSize
                               : batch.features[lookup.feature].offsets.back());
    outputs[lookup.output].resize(
        std::max<size_t>(outputs[lookup.output].size(),
                         rows * lookup.args.output_stride * elementBytes + 1));
  }
}

void GroupLookups::clearOutputs() {
  for (std::vector<uint8_t> &output : outputs)
    llvm::fill(output, 0);
}

void GroupLookups::run(KernelPair kernels, size_t index) {
  const GroupBatch &batch = batches[index];
  trec_kernel kernel = kernels.variants[batch.variant];
  for (const Lookup &lookup : lookups) {
    const FeatureIds &ids = batch.features[lookup.feature];
    trec_bag_args args = lookup.args;
    args.indices = ids.ids.data();
    args.offsets = ids.offsets.data();
    args.have_one_id =
        isPooled && trec_have_one_id(args.offsets, 0, batch.batchSize);
    if (!lookup.ownWeights)
      args.weights = ids.weights.data();
    args.output = outputs[lookup.output].data() + lookup.outputByte;
    kernel(&args, 0, isPooled ? batch.batchSize : ids.offsets.back());
  }
}
