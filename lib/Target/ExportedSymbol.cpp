//===- ExportedSymbol.cpp - Names for the exported function ---------------===//

#include "trec/Target/ExportedSymbol.h"
#include "trec/Target/RuntimeObjects.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Object/ObjectFile.h"

using llvm::StringRef;
using namespace mlir::trec;

static constexpr char kKeywords[] =
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch "
    "char class compl const const_cast constexpr continue decltype default "
    "delete do double dynamic_cast else enum explicit export extern false "
    "float for friend goto if inline int long mutable namespace new noexcept "
    "not not_eq nullptr operator or or_eq private protected public register "
    "reinterpret_cast restrict return short signed sizeof static "
    "static_assert static_cast struct switch template this thread_local throw "
    "true try typedef typeid typename union unsigned using virtual void "
    "volatile wchar_t while xor xor_eq";

static bool isIdentifier(StringRef name) {
  auto isWord = [](char c) { return llvm::isAlnum(c) || c == '_'; };
  llvm::SmallVector<StringRef> keywords;
  StringRef(kKeywords).split(keywords, ' ');
  // C keeps names with two underscores, or one and a capital, for itself.
  bool isReserved = name.contains("__") || (name.size() > 1 && name[0] == '_' &&
                                            llvm::isUpper(name[1]));
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name, isWord) && !isReserved &&
         !llvm::is_contained(keywords, name);
}

/// True for what the runtime of an architecture defines or takes from libc.
static bool isInRuntime(StringRef name, Architecture architecture) {
  auto runtime = llvm::cantFail(
      llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(
          getRuntimeObjects(architecture).runtime, "runtime")));
  return llvm::any_of(runtime->symbols(), [&](const auto &symbol) {
    return llvm::cantFail(symbol.getName()) == name;
  });
}

/// One name is allowed for all architectures or for none.
static bool isInRuntime(StringRef name) {
  return llvm::any_of(getArchitectures(), [&](Architecture architecture) {
    return isInRuntime(name, architecture);
  });
}

/// True for names of generated code and of the header.
static bool isInModel(StringRef name) {
  StringRef rest = name;
  bool isMath = name == "fma" || name == "fmaf" || name == "memset";
  bool isOfHeader = name == "trec_query";
  return isMath || isOfHeader ||
         (rest.consume_front("trec_") && !rest.ends_with("_query"));
}

llvm::Error mlir::trec::checkExportedSymbol(StringRef name) {
  if (!isIdentifier(name))
    return llvm::createStringError("expected a name that C and C++ allow for "
                                   "the exported function, got '" +
                                   name + "'");
  if (isInModel(name) || isInRuntime(name))
    return llvm::createStringError("expected a name for the exported function "
                                   "that the library does not use itself, "
                                   "got '" +
                                   name + "'");
  return llvm::Error::success();
}
