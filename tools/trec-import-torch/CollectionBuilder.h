//===- CollectionBuilder.h - A collection of lookups ------------*- C++ -*-===//
//
// Puts the lookups of one collection together, and holds that they agree:
//
//   CollectionBuilder builder(place);
//   builder.add(lookup, origin); // throws ReadError
//   builder.nameOutputs();
//   Collection collection = builder.take();
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_COLLECTIONBUILDER_H
#define TREC_IMPORT_TORCH_COLLECTIONBUILDER_H

#include "BatchOrigin.h"

#include <set>

namespace mlir::trec {

class CollectionBuilder {
public:
  explicit CollectionBuilder(const Place &place) : place(place) {}

  /// Appends the tables of one lookup, and their features in its order.
  void add(const Lookup &lookup, const BatchOrigin &origin);

  /// A key `feature@table` tells the table's name, which the archive may have
  /// lost otherwise. TorchRec writes such keys for features of several tables.
  void readKey(size_t output, const std::string &key);
  void setKey(size_t output, const std::string &key) {
    collection.outputs[output].key = key;
  }
  /// Gives outputs the keys of TorchRec's rule.
  void nameOutputs();
  /// Gives tables whose name is lost one of a feature, in the way that
  /// TorchRec's examples name tables. Comes before the keys are made of names.
  void nameTables();

  const Collection &get() const { return collection; }
  Collection take();

private:
  void setOrCheck(std::string &known, const std::string &value,
                  const char *what) const;
  int64_t countUses(const std::string &feature) const;
  [[noreturn]] void fail(const std::string &message) const {
    throw ReadError(describeModule(place.path) + ": " + message);
  }

  const Place &place;
  Collection collection;
  torch::jit::Value *batch = nullptr;
  /// What the lookups say their collection is called.
  std::set<std::string> paths;
};

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_COLLECTIONBUILDER_H
