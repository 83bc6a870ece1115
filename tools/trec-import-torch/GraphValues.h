//===- GraphValues.h - Where a value of a graph comes from ------*- C++ -*-===//
//
// Questions about values of TorchScript graphs. They go backwards from a use to
// what was written in the code, and give nothing where that is not a plain
// constant, attribute or call:
//
//   if (torch::jit::Node *call = findCall(value, catFunction))
//     for (torch::jit::Value *part : listElements(call->input(1)))
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IMPORT_TORCH_GRAPHVALUES_H
#define TREC_IMPORT_TORCH_GRAPHVALUES_H

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mlir::trec {

/// A name as the Python code had it: without the prefix and the numbers that
/// TorchScript adds.
std::string pythonName(const c10::QualifiedName &name);

/// The name of the Python class of a type; empty where it has none.
std::string className(const c10::TypePtr &type);

/// The function that a node calls; empty where it calls none.
std::string calledFunction(const torch::jit::Node *node);

/// The call of this function that computes `value`, or null.
torch::jit::Node *findCall(torch::jit::Value *value, const char *function);

/// The call of this method that computes `value`, or null.
torch::jit::Node *findMethodCall(torch::jit::Value *value, const char *cls,
                                 const char *method);

/// The argument of a method or operator call by its name; null where the
/// signature has none of it.
torch::jit::Value *findArgument(torch::jit::Node *call, const char *name);

/// The elements of a list that is written out; nothing for others.
std::optional<std::vector<torch::jit::Value *>>
listElements(torch::jit::Value *value);

/// For an element `list[2]` or `tuple[2]`: the list or tuple, and 2.
struct Element {
  torch::jit::Value *aggregate = nullptr;
  int64_t index = 0;
};
std::optional<Element> findElement(torch::jit::Value *value);

/// The names of the attributes from `self` to the value, outermost first;
/// nothing where it is no attribute of `self`.
std::optional<std::vector<std::string>>
attributePath(const torch::jit::Value *value);

/// A constant, or an attribute of `self`, or a list of those.
std::optional<c10::IValue> evaluate(const torch::jit::Module &self,
                                    torch::jit::Value *value);

std::optional<std::vector<std::string>>
evaluateStrings(const torch::jit::Module &self, torch::jit::Value *value);
std::optional<std::vector<int64_t>>
evaluateIntegers(const torch::jit::Module &self, torch::jit::Value *value);

bool isNone(torch::jit::Value *value);

/// What computes a value, for an error.
std::string describeValue(const torch::jit::Value *value);

/// Every node of a block and of the blocks within it.
void walkNodes(torch::jit::Block *block,
               const std::function<void(torch::jit::Node *)> &visit);

/// Dotted, as Python shows a module's qualified name.
std::string joinPath(const std::vector<std::string> &names);

} // namespace mlir::trec

#endif // TREC_IMPORT_TORCH_GRAPHVALUES_H
