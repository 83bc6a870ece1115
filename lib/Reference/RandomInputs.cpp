//===- RandomInputs.cpp - Seeded weights and batches ----------------------===//

#include "trec/Reference/RandomInputs.h"

#include "trec/Reference/Numerics.h"
#include "trec/Runtime/KernelABI.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>
#include <cstring>
#include <random>
#include <sys/mman.h>

using namespace mlir;
using namespace mlir::trec;

namespace {

/// The engine is the same everywhere; the standard's distributions are not.
class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}

  /// From 0 to `limit` (exclusive).
  int64_t below(int64_t limit) { return int64_t(engine() % uint64_t(limit)); }
  /// From -1 to 1.
  float symmetric() { return float(below(1 << 24)) / (1 << 23) - 1.0f; }

private:
  std::mt19937_64 engine;
};

} // namespace

/// Above this, tables are written in part.
static constexpr int64_t fullBytes = int64_t(64) << 20;
/// Rows written of partly written tables, all together. Each may touch a page.
static constexpr int64_t maxSparseRows = 16384;

template <typename T> static void store(uint8_t *bytes, T value) {
  std::memcpy(bytes, &value, sizeof(T));
}

/// Scales of 2^-10 to 2^-4 and biases of -1 to 1: what quantized tables of
/// embeddings have, and sums that stay far from infinity in fp16. Coarse ones
/// are multiples of 2^-10, so that sums of long bags are exact too.
static void fillCodes(RowType type, bool isCoarse, uint8_t *row,
                      Random &random) {
  auto round = [&](float value) {
    return isCoarse ? std::round(value * 1024) / 1024 : value;
  };
  float scale = (1.0f + 63.0f * (random.symmetric() + 1.0f) / 2) / 1024;
  store(row, floatToHalf(round(scale)));
  store(row + 2, floatToHalf(round(random.symmetric())));
  uint8_t *codes = row + type.getHeaderBytes();
  for (int64_t i = 0; i < type.getDataBytes(); ++i)
    codes[i] = uint8_t(random.below(256));
  // Bits that no element has are zero.
  if (int64_t rest = type.getDim() * type.getBits() % 8)
    codes[type.getDataBytes() - 1] &= (1 << rest) - 1;
}

static void fillRow(RowType type, bool isCoarse, uint8_t *row, Random &random) {
  if (type.isQuantized())
    return fillCodes(type, isCoarse, row, random);
  for (int64_t column = 0; column < type.getDim(); ++column) {
    float value = 4 * random.symmetric();
    if (type.getWeights() == WeightsType::fp16)
      store(row + 2 * column, floatToHalf(value));
    else if (type.getWeights() == WeightsType::bf16)
      store(row + 2 * column, floatToBFloat16(value));
    else if (type.getWeights() == WeightsType::fp8)
      row[column] = uint8_t(random.below(256));
    else
      store(row + 4 * column, value);
  }
}

/// Rows of the tables that are looked up through a map.
static llvm::StringMap<int64_t> findMappedRows(ModuleOp module,
                                               const TableMap &tables) {
  llvm::StringMap<int64_t> mapped;
  auto note = [&](StringRef map, StringRef table) {
    int64_t rows = tables.lookup(table).rows;
    auto [entry, isNew] = mapped.try_emplace(map, rows);
    if (!isNew)
      entry->second = std::min(entry->second, rows);
  };
  module.walk([&](LookupOp op) {
    if (auto remap = op.getIds().getDefiningOp<RemapOp>())
      note(remap.getMap(), op.getTable());
  });
  return mapped;
}

/// The ids that batches ask a map of so many entries for: those that it may
/// have, and some that it has not.
static int64_t countAskedIds(MapAttr map, int64_t entries) {
  return std::min(map.getNumIds(entries).value_or(INT32_MAX), 4 * entries);
}

/// Every fourth entry of an array, and of a table what has no slot, is pruned.
static int64_t chooseRow(int64_t rows, Random &random) {
  bool isPruned = random.below(4) == 0 || rows == 0;
  return isPruned ? -1 : random.below(rows);
}

/// Fills at most half of the slots, so that searches end soon.
static void fillHashTable(MapAttr map, MutableArrayRef<int32_t> elements,
                          int64_t rows, Random &random) {
  llvm::fill(elements, -1);
  int64_t slots = elements.size() / 2;
  int64_t ids = std::min(map.getIds(), slots / 2);
  for (int64_t id = 0; id < ids; ++id) {
    int64_t slot = trec_hash_id(uint32_t(id)) % slots;
    while (elements[2 * slot] != -1)
      slot = (slot + 1) % slots;
    elements[2 * slot] = int32_t(id);
    elements[2 * slot + 1] = int32_t(chooseRow(rows, random));
  }
}

/// Every third or so id of those that are asked for, and at the end slots that
/// no id has taken, as TorchRec leaves them.
static void fillSorted(MutableArrayRef<int64_t> elements, Random &random) {
  int64_t entries = elements.size() / 2, id = -1 - random.below(2);
  for (int64_t entry = 0; entry < entries; ++entry) {
    bool isTaken = entry < entries - entries / 4;
    elements[2 * entry] = isTaken ? id : INT64_MAX;
    elements[2 * entry + 1] = random.below(entries);
    id += 1 + random.below(5);
  }
}

template <typename T>
static MutableArrayRef<T> castElements(MutableArrayRef<uint8_t> bytes) {
  return {reinterpret_cast<T *>(bytes.data()), bytes.size() / sizeof(T)};
}

/// Weights of -2 to 2, and maps to `rows` rows.
static void fillParameter(MapAttr map, MutableArrayRef<uint8_t> bytes,
                          int64_t rows, Random &random) {
  if (!map) {
    for (float &weight : castElements<float>(bytes))
      weight = 2 * random.symmetric();
  } else if (map.getKind() == MapKind::hash_table) {
    fillHashTable(map, castElements<int32_t>(bytes), rows, random);
  } else if (map.getKind() == MapKind::sorted) {
    fillSorted(castElements<int64_t>(bytes), random);
  } else {
    for (int32_t &row : castElements<int32_t>(bytes))
      row = int32_t(chooseRow(rows, random));
  }
}

/// Of a map without a number of entries: as many as a table of so many rows
/// might have. A sorted one sends what it misses to its last row.
static int64_t chooseEntries(MapAttr map, int64_t rows) {
  return map.getKind() == MapKind::sorted ? rows : 2 * rows + 1;
}

int64_t mlir::trec::countTableBytes(ModuleOp module) {
  int64_t bytes = 0;
  for (auto table : module.getOps<TableOp>())
    if (TableType type = table.getType(); !type.hasDynamicRows())
      bytes += type.getRows() * type.getRowType().getRowBytes();
  return bytes;
}

static int64_t chooseStride(ModuleOp module) {
  if (countTableBytes(module) <= fullBytes)
    return 1;
  int64_t rows = 0;
  for (auto table : module.getOps<TableOp>())
    if (!table.getType().hasDynamicRows())
      rows += table.getType().getRows();
  return llvm::divideCeil(rows, maxSparseRows);
}

/// Fresh pages are zeros, and there only once they are touched; null where the
/// system refuses even that.
static uint8_t *reserve(size_t size, Pages pages) {
  size = std::max<size_t>(size, 1);
  void *bytes = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (bytes == MAP_FAILED)
    return nullptr;
  // Advice: a system without huge pages refuses it, and has small ones anyway.
  if (pages != Pages::any)
    madvise(bytes, size,
            pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return static_cast<uint8_t *>(bytes);
}

RandomTables::RandomTables(ModuleOp module, uint64_t seed, Pages pages)
    : pages(pages), stride(chooseStride(module)) {
  Random random(seed);
  for (auto table : module.getOps<TableOp>()) {
    TableType type = table.getType();
    int64_t rowBytes = type.getRowType().getRowBytes();
    int64_t rows =
        type.hasDynamicRows() ? 100 + random.below(900) : type.getRows();
    MutableArrayRef<uint8_t> bytes = add(table.getSymName(), rows, rowBytes);
    if (!complete)
      return;
    bool isCoarse = type.getRowType().isQuantized() && random.below(2) == 0;
    for (int64_t row = 0; row < rows; row += stride)
      fillRow(type.getRowType(), isCoarse, bytes.data() + row * rowBytes,
              random);
  }
  llvm::StringMap<int64_t> mappedRows = findMappedRows(module, tables);
  for (auto parameter : module.getOps<ParameterOp>()) {
    StringRef name = parameter.getSymName();
    int64_t rows = mappedRows.lookup(name);
    std::optional<int64_t> entries = parameter.getNumEntries();
    if (!entries)
      entries = chooseEntries(parameter.getMapAttr(), rows);
    MutableArrayRef<uint8_t> bytes =
        add(name, *entries, parameter.getEntryBytes());
    if (!complete)
      return;
    fillParameter(parameter.getMapAttr(), bytes, rows, random);
  }
}

MutableArrayRef<uint8_t> RandomTables::add(StringRef name, int64_t rows,
                                           int64_t rowBytes) {
  size_t size = rows * rowBytes;
  uint8_t *bytes = reserve(size, pages);
  complete &= bytes != nullptr;
  if (!bytes)
    return {};
  blocks.push_back({bytes, size});
  tables[name] = {{bytes, size}, rows};
  return blocks.back();
}

RandomTables::~RandomTables() {
  for (MutableArrayRef<uint8_t> block : blocks)
    munmap(block.data(), std::max<size_t>(block.size(), 1));
}

void RandomTables::makeResident() {
  constexpr size_t pageBytes = 4096;
  for (MutableArrayRef<uint8_t> block : blocks)
    for (size_t i = 0; i < block.size(); i += pageBytes) {
      volatile uint8_t &byte = block[i];
      byte = byte;
    }
}

/// The feature of ids, where it is one of an argument of `@forward`.
static FeatureOp getFeatureOf(Value ids, unsigned argument) {
  auto feature = ids.getDefiningOp<FeatureOp>();
  auto batch = feature ? dyn_cast<BlockArgument>(feature.getKjt()) : nullptr;
  return batch && batch.getArgNumber() == argument ? feature : FeatureOp();
}

llvm::StringMap<KeyTables> mlir::trec::findKeyTables(ModuleOp module,
                                                     const TableMap &tables,
                                                     unsigned argument) {
  llvm::StringMap<KeyTables> found;
  SymbolTable symbols(module);
  auto note = [&](StringRef key, StringRef table) {
    KeyTables &entry = found[key];
    int64_t rows = tables.lookup(table).rows;
    if (auto map = symbols.lookup<ParameterOp>(table))
      rows = countAskedIds(map.getMapAttr(), rows);
    entry.fewestRows = std::min(entry.fewestRows, rows);
    entry.mostRows = std::max(entry.mostRows, rows);
    // Ids that are mapped are checked against the map.
    if (auto op = symbols.lookup<TableOp>(table))
      entry.rowBytes += op.getType().getRowType().getRowBytes();
  };
  auto noteIds = [&](auto op) {
    if (auto feature = getFeatureOf(op.getIds(), argument))
      note(feature.getKey(), op.getTable());
  };
  module.walk([&](CheckBoundsOp op) { noteIds(op); });
  module.walk([&](EmbeddingBagOp op) { noteIds(op); });
  module.walk([&](EmbeddingOp op) { noteIds(op); });
  module.walk([&](LookupGroupInterface op) {
    for (auto bag : op.getBags().getAsRange<BagAttr>())
      if (bag.getBatch() == argument)
        note(bag.getFeature().getValue(), bag.getTable().getValue());
  });
  return found;
}

llvm::StringMap<BagLimits> mlir::trec::findBagLimits(ModuleOp module,
                                                     unsigned argument) {
  llvm::StringMap<BagLimits> limits;
  SymbolTable symbols(module);
  auto noteWeights = [&](StringRef key, StringRef parameter) {
    Type type = symbols.lookup<ParameterOp>(parameter).getParameterType();
    int64_t count = cast<RankedTensorType>(type).getNumElements();
    limits[key].most = std::min(limits[key].most, count);
  };
  auto noteLength = [&](StringRef key, std::optional<int64_t> length) {
    if (length)
      limits[key] = {*length, *length};
  };
  module.walk([&](PositionWeightsOp op) {
    if (auto feature = getFeatureOf(op.getIds(), argument))
      noteWeights(feature.getKey(), op.getParameter());
  });
  module.walk([&](EmbeddingBagOp op) {
    auto feature = getFeatureOf(op.getIds(), argument);
    if (feature && op.getPositionWeights())
      noteWeights(feature.getKey(), *op.getPositionWeights());
  });
  module.walk([&](FeatureOp op) {
    if (getFeatureOf(op, argument))
      noteLength(op.getKey(), op.getLength());
  });
  module.walk([&](LookupGroupInterface op) {
    for (auto bag : op.getBags().getAsRange<BagAttr>()) {
      if (bag.getBatch() != argument)
        continue;
      if (bag.getWeights())
        noteWeights(bag.getFeature().getValue(), bag.getWeights().getValue());
      noteLength(bag.getFeature().getValue(), bag.getLength());
    }
  });
  return limits;
}

static int64_t chooseBadId(int64_t rows, Random &random) {
  const int64_t choices[] = {rows,      rows + 1 + random.below(1000),
                             -2,        -2 - random.below(1000),
                             INT32_MAX, INT32_MIN};
  // INT32_MAX is a good id of a table of 2^31 rows.
  return std::clamp<int64_t>(choices[random.below(6)], INT32_MIN,
                             std::max<int64_t>(rows, INT32_MAX));
}

static int64_t chooseId(const KeyTables &tables, const BatchShape &shape,
                        Random &random) {
  if (random.below(1000) < shape.badPerMille)
    return chooseBadId(tables.mostRows, random);
  if (tables.fewestRows == 0 || random.below(1000) < shape.skippedPerMille)
    return -1;
  switch (random.below(8)) {
  case 0:
    return tables.fewestRows - 1;
  case 1:
    return random.below(tables.fewestRows);
  default:
    return shape.stride *
           random.below(llvm::divideCeil(tables.fewestRows, shape.stride));
  }
}

static int64_t chooseLength(const BatchShape &shape, Random &random) {
  int64_t choices = shape.maxBagLength - shape.minBagLength + 1;
  return shape.minBagLength +
         (random.below(5) == 0 ? 0 : random.below(choices));
}

/// A batch for one argument of `@forward`.
static Batch makeBatch(BlockArgument kjt, const TableMap &tables,
                       const BatchShape &shape, Random &random) {
  auto module = kjt.getOwner()->getParentOp()->getParentOfType<ModuleOp>();
  auto type = cast<KJTType>(kjt.getType());
  unsigned argument = kjt.getArgNumber();
  auto byKey = findKeyTables(module, tables, argument);
  auto limits = findBagLimits(module, argument);
  Batch batch;
  batch.batchSize = shape.batchSize;
  for (StringAttr key : type.getKeys()) {
    batch.keys.push_back(key.str());
    for (int64_t sample = 0; sample < shape.batchSize; ++sample) {
      int64_t length =
          limits.lookup(key.getValue()).clamp(chooseLength(shape, random));
      batch.lengths.push_back(length);
      for (int64_t i = 0; i < length; ++i)
        batch.values.push_back(chooseId(byKey[key.getValue()], shape, random));
    }
  }
  if (type.getWeighted())
    for (size_t i = 0; i < batch.values.size(); ++i)
      batch.weights.push_back(2 * random.symmetric());
  return batch;
}

std::vector<Batch> mlir::trec::makeRandomBatches(ModuleOp module,
                                                 const TableMap &tables,
                                                 const BatchShape &shape,
                                                 uint64_t seed) {
  Random random(seed);
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  std::vector<Batch> batches;
  for (BlockArgument kjt : forward.getArguments())
    batches.push_back(makeBatch(kjt, tables, shape, random));
  return batches;
}
