//===- EmitHeader.cpp - The C header of a compiled model ------------------===//

#include "trec/Target/EmitHeader.h"
#include "ModelABIText.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace mlir::trec;

/// `text` with everything that is not legal in an upper-case C name replaced.
static std::string makeMacroName(StringRef text) {
  std::string name = text.upper();
  for (char &c : name)
    if (!llvm::isAlnum(c))
      c = '_';
  return name;
}

/// `text` so that it cannot end a C comment or start a new line.
static std::string makeCommentText(StringRef text) {
  std::string safe;
  for (char c : text)
    safe += llvm::isPrint(c) && c != '*' && c != '\\' ? c : '?';
  return safe;
}

static StringRef getElementMacro(Type element) {
  if (element.isF16())
    return "TREC_FLOAT16";
  return element.isBF16() ? "TREC_BFLOAT16" : "TREC_FLOAT32";
}

static void writeFeatures(llvm::raw_ostream &os, const Manifest &manifest,
                          StringRef prefix) {
  os << "/* Indices of the features, in the order that trec_forward_args.slots "
        "has. */\nenum {\n";
  llvm::StringSet<> used;
  for (auto [index, feature] : llvm::enumerate(manifest.features)) {
    std::string name = makeMacroName(feature);
    // Two features may differ only in characters that C does not allow.
    while (!used.insert(name).second)
      name += "_" + std::to_string(index);
    os << "  " << prefix << "_FEATURE_" << name << " = " << index
       << (index + 1 < manifest.features.size() ? "," : "") << " /* "
       << makeCommentText(feature) << " */\n";
  }
  os << "};\n\n";
}

static void writeOutputs(llvm::raw_ostream &os, const Manifest &manifest) {
  os << "/* Columns of one row of the output:\n";
  for (const ManifestOutput &output : manifest.outputs)
    os << " *   " << output.column << " to " << output.column + output.dim - 1
       << ": " << makeCommentText(output.key) << " (table "
       << makeCommentText(output.table) << ")\n";
  os << " */\n";
}

static void writeConstants(llvm::raw_ostream &os, const Manifest &manifest,
                           StringRef prefix) {
  os << "#define " << prefix << "_NUM_FEATURES " << manifest.features.size()
     << "\n#define " << prefix << "_NUM_TABLES " << manifest.tables.size()
     << "\n#define " << prefix << "_WEIGHTED " << int(manifest.weighted)
     << "\n#define " << prefix << "_TOTAL_DIM " << manifest.totalDim
     << "\n#define " << prefix << "_OUTPUT_TYPE "
     << getElementMacro(manifest.outputElement) << "\n\n";
}

std::string mlir::trec::renderHeader(const Manifest &manifest,
                                     StringRef symbol) {
  StringRef stem = symbol;
  stem.consume_back("_query");
  std::string prefix = makeMacroName(stem);
  std::string text = kModelABIText;
  llvm::raw_string_ostream os(text);
  os << "\n#ifndef " << prefix << "_H\n#define " << prefix << "_H\n\n"
     << "/* Model \"" << makeCommentText(manifest.name) << "\". */\n";
  writeConstants(os, manifest, prefix);
  writeFeatures(os, manifest, prefix);
  writeOutputs(os, manifest);
  os << "#ifdef __cplusplus\nextern \"C\"\n#endif\n"
     << "const trec_api *" << symbol
     << "(uint32_t abi_version, trec_error *error);\n\n#endif /* " << prefix
     << "_H */\n";
  return text;
}
