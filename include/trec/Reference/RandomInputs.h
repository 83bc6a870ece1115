//===- RandomInputs.h - Seeded weights and batches --------------*- C++ -*-===//
//
// Inputs for comparing a compiled model with the interpreter. The same seed
// gives the same bytes on every machine:
//
//   RandomTables tables(module, /*seed=*/1);
//   BatchShape shape;
//   shape.batchSize = 64;
//   auto batches = makeRandomBatches(module, tables.getTables(), shape, 2);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_REFERENCE_RANDOMINPUTS_H
#define TREC_REFERENCE_RANDOMINPUTS_H

#include "trec/Reference/Interpreter.h"

namespace mlir::trec {

/// The pages that memory is to lie on, as far as the system gives them.
enum class Pages { any, small, huge };

/// Rows for the tables of a module, and its parameters. Of tables that would
/// fill memory only every n-th row is written; the others are zeros and take no
/// memory.
class RandomTables {
public:
  /// Tables without a number of rows in the IR get some hundreds.
  RandomTables(ModuleOp module, uint64_t seed, Pages pages = Pages::any);
  ~RandomTables();
  RandomTables(const RandomTables &) = delete;
  RandomTables &operator=(const RandomTables &) = delete;

  /// False where the system would not reserve the memory.
  bool isComplete() const { return complete; }
  const TableMap &getTables() const { return tables; }
  /// Gives every row memory of its own, as a loaded file has: rows that nobody
  /// wrote share a page, and reading them would be too fast.
  void makeResident();
  /// Rows whose numbers are multiples of this have content.
  int64_t getStride() const { return stride; }

private:
  MutableArrayRef<uint8_t> add(StringRef name, int64_t rows, int64_t rowBytes);

  Pages pages;
  std::vector<MutableArrayRef<uint8_t>> blocks;
  TableMap tables;
  int64_t stride = 1;
  bool complete = true;
};

/// Bytes of all tables of a module, those without a number of rows left out.
int64_t countTableBytes(ModuleOp module);

/// The tables that a key of one batch is looked up in.
struct KeyTables {
  /// The rows that every one of them has, or ids that its map is asked for, and
  /// the rows that any has.
  int64_t fewestRows = INT32_MAX;
  int64_t mostRows = 0;
  /// Bytes of a row of each that is looked up without a map, added up.
  int64_t rowBytes = 0;
};

/// By key of the batch that is so many-th argument of `@forward`.
llvm::StringMap<KeyTables>
findKeyTables(ModuleOp module, const TableMap &tables, unsigned argument = 0);

/// How many ids the bags of a key may hold: as many as there are weights by
/// position, or just as many as promised.
struct BagLimits {
  int64_t least = 0, most = std::numeric_limits<int32_t>::max();

  int64_t clamp(int64_t length) const {
    return std::max(least, std::min(most, length));
  }
};

/// By key, likewise, for keys that have limits.
llvm::StringMap<BagLimits> findBagLimits(ModuleOp module,
                                         unsigned argument = 0);

struct BatchShape {
  int64_t batchSize = 1;
  /// Four bags in five have from `minBagLength` to `maxBagLength` ids, the
  /// others `minBagLength`, as far as the limits of their key allow.
  int64_t minBagLength = 0;
  int64_t maxBagLength = 20;
  /// Most ids are multiples of this.
  int64_t stride = 1;
  /// Ids of -1, per thousand.
  int64_t skippedPerMille = 50;
  /// Ids outside their tables, per thousand.
  int64_t badPerMille = 0;
};

/// A batch for each argument of `@forward`, weighted where it is. Good ids lie
/// in every table that their key is looked up in.
std::vector<Batch> makeRandomBatches(ModuleOp module, const TableMap &tables,
                                     const BatchShape &shape, uint64_t seed);

} // namespace mlir::trec

#endif // TREC_REFERENCE_RANDOMINPUTS_H
