//===- NameList.h - Lists of quoted names in assembly -----------*- C++ -*-===//
//
// Parses and prints `["a", "b"]`, the list of keys that several types have.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_IR_NAMELIST_H
#define TREC_LIB_IR_NAMELIST_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/OpImplementation.h"

namespace mlir::trec {

inline ParseResult parseNameList(AsmParser &parser,
                                 SmallVector<StringAttr> &names) {
  return parser.parseCommaSeparatedList(
      AsmParser::Delimiter::Square, [&]() -> ParseResult {
        std::string name;
        if (parser.parseString(&name))
          return failure();
        names.push_back(StringAttr::get(parser.getContext(), name));
        return success();
      });
}

inline void printNameList(AsmPrinter &printer, ArrayRef<StringAttr> names) {
  printer << '[';
  llvm::interleaveComma(names, printer, [&](StringAttr name) {
    printer.printString(name.getValue());
  });
  printer << ']';
}

} // namespace mlir::trec

#endif // TREC_LIB_IR_NAMELIST_H
