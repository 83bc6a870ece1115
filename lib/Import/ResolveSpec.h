//===- ResolveSpec.h - What fields of a spec say about each other -*- C++ -*-=//
//
// Private to lib/Import: the second half of parseModelSpec.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_IMPORT_RESOLVESPEC_H
#define TREC_LIB_IMPORT_RESOLVESPEC_H

#include "trec/Import/JsonFields.h"
#include "trec/Import/ModelSpec.h"

namespace mlir::trec {

/// An entry of `outputs` as the JSON holds it.
struct NamedOutput {
  std::string key;
  std::string table;
  std::string feature;
};

/// Refuses names that cannot be C strings in the compiled model.
void checkName(const llvm::Twine &place, llvm::StringRef name,
               FirstError &error);

/// Checks names and fills in the features and outputs that the JSON leaves out.
void resolveCollection(CollectionSpec &spec, bool hasFeatures,
                       const std::optional<std::vector<NamedOutput>> &outputs,
                       FirstError &error);

/// Refuses a collection whose stored rows cannot be its outputs: they are not
/// pooled, and FBGEMM gives out those of INT8 alone.
void checkStoredRows(const CollectionSpec &spec, FirstError &error);

/// Checks what collections, and groups of their outputs, say about each other.
void resolveRegroup(const ModelSpec &spec, FirstError &error);

} // namespace mlir::trec

#endif // TREC_LIB_IMPORT_RESOLVESPEC_H
