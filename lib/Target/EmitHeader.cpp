//===- EmitHeader.cpp - The C header of a compiled model ------------------===//

#include "trec/Target/EmitHeader.h"
#include "ModelABIText.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

#include <set>

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
  if (element.isInteger(8))
    return "TREC_UINT8";
  if (element.isF16())
    return "TREC_FLOAT16";
  return element.isBF16() ? "TREC_BFLOAT16" : "TREC_FLOAT32";
}

/// An enum of the indices of names.
static void writeIndices(llvm::raw_ostream &os, ArrayRef<std::string> texts,
                         const Twine &prefix) {
  os << "enum {\n";
  llvm::StringSet<> used;
  for (auto [index, text] : llvm::enumerate(texts)) {
    std::string name = makeMacroName(text);
    // Two names may differ only in characters that C does not allow.
    while (!used.insert(name).second)
      name += "_" + std::to_string(index);
    os << "  " << prefix << name << " = " << index
       << (index + 1 < texts.size() ? "," : "") << " /* "
       << makeCommentText(text) << " */\n";
  }
  os << "};\n\n";
}

static void writeFeatures(llvm::raw_ostream &os, const Manifest &manifest,
                          StringRef prefix) {
  if (manifest.batches.size() == 1) {
    os << "/* Indices of the features, in the order that "
          "trec_forward_args.slots has. */\n";
    writeIndices(os, manifest.batches.front().features, prefix + "_FEATURE_");
    return;
  }
  for (auto [index, batch] : llvm::enumerate(manifest.batches)) {
    os << "/* Indices of the features of batch " << index
       << ", in the order that ";
    if (index == 0)
      os << "trec_forward_args.slots has. */\n";
    else
      os << "slots of batches[" << index - 1 << "] has. */\n";
    writeIndices(os, batch.features,
                 prefix + "_BATCH_" + Twine(index) + "_FEATURE_");
  }
}

static void writeGroups(llvm::raw_ostream &os, const Manifest &manifest,
                        StringRef prefix) {
  if (manifest.groups.empty())
    return;
  std::vector<std::string> keys;
  for (const ManifestGroup &group : manifest.groups)
    keys.push_back(group.key);
  os << "/* Indices of the groups, in the order that trec_forward_args.outputs "
        "has. */\n";
  writeIndices(os, keys, prefix + "_GROUP_");
  os << "/* Columns of each group. */\n#define " << prefix << "_GROUP_DIMS {";
  llvm::interleaveComma(manifest.groups, os,
                        [&](const ManifestGroup &group) { os << group.dim; });
  os << "}\n\n";
}

/// What a row of each output of a dict of JaggedTensors holds.
static void writeSequences(llvm::raw_ostream &os, const Manifest &manifest) {
  os << "/* The outputs, in the order that trec_forward_args.outputs has, and "
        "the elements of a row:\n";
  for (const ManifestOutput &output : manifest.outputs)
    os << " *   " << makeCommentText(output.key) << " (table "
       << makeCommentText(output.table) << "): " << output.dim << '\n';
  os << " */\n";
}

static void writeOutputs(llvm::raw_ostream &os, const Manifest &manifest) {
  if (!manifest.isPooled)
    return writeSequences(os, manifest);
  os << "/* Columns of one row of the output:\n";
  for (const ManifestOutput &output : manifest.outputs) {
    os << " *   ";
    if (!manifest.groups.empty())
      os << makeCommentText(manifest.groups[output.group].key) << ", ";
    os << output.column << " to " << output.column + output.dim - 1 << ": "
       << makeCommentText(output.key) << " (table "
       << makeCommentText(output.table) << ")\n";
  }
  os << " */\n";
}

/// What the caller has promised of his batches.
static void writeFixedLengths(llvm::raw_ostream &os, const Manifest &manifest) {
  std::set<std::tuple<int64_t, std::string, int64_t>> lengths;
  for (const ManifestOutput &output : manifest.outputs)
    if (output.length)
      lengths.insert({output.batch, output.feature, *output.length});
  if (lengths.empty())
    return;
  os << "/* Ids of every sample, as fixed when the model was exported; forward "
        "fails where there are others:\n";
  for (const auto &[batch, feature, length] : lengths) {
    os << " *   ";
    if (manifest.batches.size() > 1)
      os << "batch " << batch << ", ";
    os << makeCommentText(feature) << ": " << length << '\n';
  }
  os << " */\n";
}

static void writeConstants(llvm::raw_ostream &os, const Manifest &manifest,
                           StringRef prefix) {
  os << "#define " << prefix << "_NUM_FEATURES "
     << manifest.listFeatures().size() << "\n#define " << prefix
     << "_NUM_TABLES " << manifest.tables.size() << '\n';
  if (manifest.batches.size() > 1)
    os << "#define " << prefix << "_NUM_BATCHES " << manifest.batches.size()
       << "\n/* Bit i is set where batch i has weights. */\n";
  os << "#define " << prefix << "_WEIGHTED " << manifest.getWeightedBatches()
     << '\n';
  if (manifest.groups.empty())
    os << "#define " << prefix << "_TOTAL_DIM " << manifest.totalDim << '\n';
  else
    os << "#define " << prefix << "_NUM_GROUPS " << manifest.groups.size()
       << '\n';
  os << "#define " << prefix << "_OUTPUT_TYPE "
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
  writeFixedLengths(os, manifest);
  writeGroups(os, manifest, prefix);
  writeOutputs(os, manifest);
  os << "#ifdef __cplusplus\nextern \"C\"\n#endif\n"
     << "const trec_api *" << symbol
     << "(uint32_t abi_version, trec_error *error);\n\n#endif /* " << prefix
     << "_H */\n";
  return text;
}
