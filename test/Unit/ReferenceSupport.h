//===- ReferenceSupport.h - Running IR in tests -----------------*- C++ -*-===//
//
// What the tests of the interpreter share: a module from text, rows from
// numbers, outputs as floats.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TEST_UNIT_REFERENCESUPPORT_H
#define TREC_TEST_UNIT_REFERENCESUPPORT_H

#include "trec/Reference/Interpreter.h"

#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

#include <cstring>

namespace mlir::trec {

/// The bytes of numbers, one after the other.
template <typename T> std::vector<uint8_t> toBytes(std::vector<T> numbers) {
  std::vector<uint8_t> bytes(numbers.size() * sizeof(T));
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

template <typename T> std::vector<T> fromBytes(ArrayRef<uint8_t> bytes) {
  std::vector<T> numbers(bytes.size() / sizeof(T));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

/// A module and the bytes of its tables and parameters.
class Runner {
public:
  explicit Runner(const std::string &text)
      : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<TrecDialect, func::FuncDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
  }

  void bind(StringRef name, std::vector<uint8_t> bytes, int64_t rows) {
    storage.push_back(std::make_unique<std::vector<uint8_t>>(std::move(bytes)));
    tables[name] = {*storage.back(), rows};
  }

  Outputs run(const Batch &batch) {
    auto outputs = interpret(*module, batch, tables);
    if (outputs)
      return std::move(*outputs);
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }

  std::vector<float> runFloats(const Batch &batch) {
    return fromBytes<float>(run(batch).bytes);
  }

  std::string errorOf(const Batch &batch) {
    auto outputs = interpret(*module, batch, tables);
    return outputs ? "" : llvm::toString(outputs.takeError());
  }

  ModuleOp getModule() { return *module; }
  const TableMap &getTables() { return tables; }

private:
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::vector<std::unique_ptr<std::vector<uint8_t>>> storage;
  TableMap tables;
};

/// A model of one table and one lookup.
struct OneLookup {
  std::string table; ///< `4x3, int8`; the header follows from the type.
  std::string row;   ///< `3, int8`
  std::string dim = "3";
  std::string pooling = "sum";
  std::string policy = "warning";
  bool weighted = false;
  std::string output = "f32";
};

inline std::string makeModule(const OneLookup &lookup) {
  bool isFloat = lookup.row.find("int") == std::string::npos;
  std::string layout = isFloat ? "#trec.row_layout<header = none>"
                               : "#trec.row_layout<header = f16>";
  std::string rows = "!trec.row<" + lookup.row + ", " + layout + ">";
  std::string values = "<!trec.dequantized<" + lookup.dim + ">>";
  std::string text = "!kjt = !trec.kjt<[\"a\"]" +
                     std::string(lookup.weighted ? ", weighted" : "") +
                     ">\n!keyed = !trec.keyed_tensor<[\"a\"], [" + lookup.dim +
                     "], " + lookup.output + ">\ntrec.table @t : !trec.table<" +
                     lookup.table + ", " + layout +
                     ">\nfunc.func @forward(%kjt: !kjt) -> !keyed {\n"
                     "%ids = trec.feature %kjt \"a\" : !kjt\n"
                     "%checked = trec.check_bounds " +
                     lookup.policy +
                     " %ids in @t\n"
                     "%rows = trec.lookup @t[%checked] : <" +
                     rows +
                     ">\n"
                     "%plain = trec.dequantize %rows : <" +
                     rows + ">\n";
  if (lookup.weighted)
    text += "%w = trec.sample_weights %kjt \"a\" : !kjt\n"
            "%values = trec.weight %plain by %w : " +
            values + "\n";
  std::string tensor = "tensor<?x" + lookup.dim + "x";
  text += "%pooled = trec.pool " + lookup.pooling +
          (lookup.weighted ? " %values : " : " %plain : ") + values + "\n" +
          "%cast = trec.cast_output %pooled : " + tensor + "f32> -> " + tensor +
          lookup.output + ">\n%out = trec.keyed_tensor %cast : (" + tensor +
          lookup.output + ">) -> !keyed\nreturn %out : !keyed\n}\n";
  return text;
}

} // namespace mlir::trec

#endif // TREC_TEST_UNIT_REFERENCESUPPORT_H
