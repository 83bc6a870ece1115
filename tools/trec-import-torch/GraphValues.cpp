//===- GraphValues.cpp - Where a value of a graph comes from --------------===//

#include "GraphValues.h"

#include <torch/csrc/jit/ir/constants.h>

using namespace mlir::trec;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

std::string mlir::trec::pythonName(const c10::QualifiedName &name) {
  std::string result;
  for (const std::string &atom : name.atoms()) {
    if (atom == "__torch__" || atom.rfind("___torch_mangle_", 0) == 0)
      continue;
    result += (result.empty() ? "" : ".") + atom;
  }
  return result;
}

std::string mlir::trec::className(const c10::TypePtr &type) {
  auto cls = type->cast<c10::ClassType>();
  return cls && cls->name() ? pythonName(*cls->name()) : "";
}

std::string mlir::trec::calledFunction(const Node *node) {
  if (node->kind() != prim::CallFunction)
    return "";
  auto type = node->input(0)->type()->cast<c10::FunctionType>();
  return type ? pythonName(type->function()->qualname()) : "";
}

Node *mlir::trec::findCall(Value *value, const char *function) {
  return calledFunction(value->node()) == function ? value->node() : nullptr;
}

Node *mlir::trec::findMethodCall(Value *value, const char *cls,
                                 const char *method) {
  Node *node = value->node();
  bool matches = node->kind() == prim::CallMethod &&
                 node->s(c10::attr::name) == method &&
                 className(node->input(0)->type()) == cls;
  return matches ? node : nullptr;
}

static const c10::FunctionSchema *findSchema(Node *call) {
  if (call->kind() != prim::CallMethod)
    return call->maybeSchema();
  auto cls = call->input(0)->type()->cast<c10::ClassType>();
  torch::jit::Function *method =
      cls ? cls->findMethod(call->s(c10::attr::name)) : nullptr;
  return method ? &method->getSchema() : nullptr;
}

Value *mlir::trec::findArgument(Node *call, const char *name) {
  const c10::FunctionSchema *schema = findSchema(call);
  auto index = schema ? schema->argumentIndexWithName(name) : std::nullopt;
  if (!index || size_t(*index) >= call->inputs().size())
    return nullptr;
  return call->input(*index);
}

std::optional<std::vector<Value *>> mlir::trec::listElements(Value *value) {
  if (value->node()->kind() != prim::ListConstruct)
    return std::nullopt;
  auto inputs = value->node()->inputs();
  return std::vector<Value *>(inputs.begin(), inputs.end());
}

std::optional<Element> mlir::trec::findElement(Value *value) {
  Node *node = value->node();
  // `a, b = pair` in scripted code.
  if (node->kind() == prim::TupleUnpack || node->kind() == prim::ListUnpack)
    return Element{node->input(), int64_t(value->offset())};
  if (node->kind() != prim::TupleIndex &&
      node->kind() != c10::aten::__getitem__)
    return std::nullopt;
  std::optional<c10::IValue> index = torch::jit::toIValue(node->input(1));
  if (!index || !index->isInt())
    return std::nullopt;
  return Element{node->input(0), index->toInt()};
}

std::optional<std::vector<std::string>>
mlir::trec::attributePath(const Value *value) {
  std::vector<std::string> names;
  const Value *self = value->owningGraph()->inputs().at(0);
  while (value != self) {
    if (value->node()->kind() != prim::GetAttr)
      return std::nullopt;
    names.insert(names.begin(), value->node()->s(c10::attr::name));
    value = value->node()->input();
  }
  return names;
}

std::optional<c10::IValue> mlir::trec::evaluate(const torch::jit::Module &self,
                                                Value *value) {
  if (auto constant = torch::jit::toIValue(value))
    return constant;
  auto path = attributePath(value);
  if (!path)
    return std::nullopt;
  c10::IValue result = self._ivalue();
  for (const std::string &name : *path) {
    // An object on the way may have been left empty.
    if (!result.isObject())
      return std::nullopt;
    result = result.toObject()->getAttr(name);
  }
  return result;
}

template <typename T>
static std::optional<std::vector<T>>
evaluateList(const torch::jit::Module &self, Value *value,
             bool (c10::IValue::*isElement)() const) {
  std::vector<c10::IValue> elements;
  if (auto written = listElements(value)) {
    for (Value *element : *written)
      elements.push_back(evaluate(self, element).value_or(c10::IValue()));
  } else {
    std::optional<c10::IValue> list = evaluate(self, value);
    if (!list || !list->isList())
      return std::nullopt;
    elements = list->toListRef().vec();
  }
  std::vector<T> result;
  for (const c10::IValue &element : elements) {
    if (!(element.*isElement)())
      return std::nullopt;
    result.push_back(element.to<T>());
  }
  return result;
}

std::optional<std::vector<std::string>>
mlir::trec::evaluateStrings(const torch::jit::Module &self, Value *value) {
  return evaluateList<std::string>(self, value, &c10::IValue::isString);
}

std::optional<std::vector<int64_t>>
mlir::trec::evaluateIntegers(const torch::jit::Module &self, Value *value) {
  return evaluateList<int64_t>(self, value, &c10::IValue::isInt);
}

bool mlir::trec::isNone(Value *value) {
  std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

std::string mlir::trec::describeValue(const Value *value) {
  const Node *node = value->node();
  std::string function = calledFunction(node);
  if (!function.empty())
    return function;
  if (node->kind() == prim::CallMethod)
    return className(node->input(0)->type()) + "." + node->s(c10::attr::name);
  if (node->kind() == prim::Param)
    return "input '" + value->debugNameBase() + "'";
  return node->kind().toQualString();
}

void mlir::trec::walkNodes(torch::jit::Block *block,
                           const std::function<void(Node *)> &visit) {
  for (Node *node : block->nodes()) {
    visit(node);
    for (torch::jit::Block *inner : node->blocks())
      walkNodes(inner, visit);
  }
}

std::string mlir::trec::joinPath(const std::vector<std::string> &names) {
  std::string path;
  for (const std::string &name : names)
    path += (path.empty() ? "" : ".") + name;
  return path;
}
