//===- PickleReader.h - Pickles as data -------------------------*- C++ -*-===//
//
// Python's pickles are programs. Here one is read for what it says and nothing
// is done: a call stays a call, a name stays a name, and whoever reads decides
// which ones it knows:
//
//   Pickle pickle;
//   Expected<const PickleValue *> value = pickle.read(bytes);
//   if (value && (*value)->isCall("collections.OrderedDict")) …
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_IMPORT_PICKLEREADER_H
#define TREC_LIB_IMPORT_PICKLEREADER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace mlir::trec {

struct PickleValue {
  enum class Kind {
    none,
    integer,
    string,
    /// A name of Python's, `module.name`, in `text`.
    global,
    tuple,
    list,
    dict,
    /// `items` are what is called and the tuple of its arguments.
    call,
    /// Something that lies outside of the pickle: `items` has what names it.
    persistent,
    /// Anything else; it can only be passed over.
    other,
  };

  Kind kind = Kind::other;
  int64_t integer = 0;
  llvm::StringRef text;
  std::vector<const PickleValue *> items;
  /// What was put into a dict, or into what a call gives.
  std::vector<std::pair<const PickleValue *, const PickleValue *>> entries;
  std::string ownText;

  bool isGlobal(llvm::StringRef name) const {
    return kind == Kind::global && text == name;
  }
  bool isCall(llvm::StringRef name) const {
    return kind == Kind::call && items[0]->isGlobal(name);
  }
  /// The arguments of a call.
  llvm::ArrayRef<const PickleValue *> getArguments() const {
    return items[1]->items;
  }
};

/// Owns the values of one pickle; texts refer to the bytes that were read.
class Pickle {
public:
  /// Protocol 2, which torch.save writes.
  llvm::Expected<const PickleValue *> read(llvm::StringRef bytes);

private:
  friend class PickleMachine;
  std::vector<std::unique_ptr<PickleValue>> values;
};

} // namespace mlir::trec

#endif // TREC_LIB_IMPORT_PICKLEREADER_H
