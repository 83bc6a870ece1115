//===- PickleReader.cpp - Pickles as data ---------------------------------===//

#include "PickleReader.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Endian.h"

#include <optional>

using namespace llvm;
using namespace mlir::trec;
using Kind = PickleValue::Kind;

namespace mlir::trec {

/// The stack machine of the format. A step that cannot be taken returns false.
class PickleMachine {
public:
  PickleMachine(Pickle &pickle, StringRef bytes)
      : pickle(pickle), rest(bytes) {}

  /// Takes one step; sets `result` at the end.
  bool step(const PickleValue *&result);

private:
  PickleValue *make(Kind kind);
  bool push(PickleValue *value);
  PickleValue *pop();
  std::optional<std::vector<const PickleValue *>> popToMark();
  std::optional<StringRef> take(uint64_t count);
  std::optional<StringRef> takeLine();
  std::optional<uint64_t> takeInteger(unsigned bytes);

  bool stepConstant(char code, bool &isKnown);
  bool stepMemo(char code, bool &isKnown);
  bool stepCollection(char code, bool &isKnown);
  bool pushInteger(unsigned bytes, bool isSigned);
  bool pushLong();
  bool pushText();
  bool pushGlobal();
  bool pushTuple(size_t count);
  bool pushAll(Kind kind,
               std::optional<std::vector<const PickleValue *>> items);
  bool pushCall();
  bool setItem();
  bool setItems();
  bool append();
  bool appendAll();
  bool remember(std::optional<uint64_t> slot);
  bool recall(std::optional<uint64_t> slot);

  Pickle &pickle;
  StringRef rest;
  std::vector<PickleValue *> stack;
  /// Heights of the stack where marks are.
  std::vector<size_t> marks;
  DenseMap<uint64_t, PickleValue *> memo;
};

} // namespace mlir::trec

PickleValue *PickleMachine::make(Kind kind) {
  pickle.values.push_back(std::make_unique<PickleValue>());
  pickle.values.back()->kind = kind;
  return pickle.values.back().get();
}

bool PickleMachine::push(PickleValue *value) {
  stack.push_back(value);
  return true;
}

/// Null where nothing is left above the last mark.
PickleValue *PickleMachine::pop() {
  if (stack.empty() || (!marks.empty() && stack.size() == marks.back()))
    return nullptr;
  PickleValue *value = stack.back();
  stack.pop_back();
  return value;
}

std::optional<std::vector<const PickleValue *>> PickleMachine::popToMark() {
  if (marks.empty())
    return std::nullopt;
  std::vector<const PickleValue *> items(stack.begin() + marks.back(),
                                         stack.end());
  stack.resize(marks.back());
  marks.pop_back();
  return items;
}

std::optional<StringRef> PickleMachine::take(uint64_t count) {
  if (rest.size() < count)
    return std::nullopt;
  StringRef taken = rest.take_front(count);
  rest = rest.drop_front(count);
  return taken;
}

std::optional<StringRef> PickleMachine::takeLine() {
  size_t end = rest.find('\n');
  if (end == StringRef::npos)
    return std::nullopt;
  StringRef line = *take(end);
  rest = rest.drop_front();
  return line;
}

std::optional<uint64_t> PickleMachine::takeInteger(unsigned bytes) {
  std::optional<StringRef> text = take(bytes);
  if (!text)
    return std::nullopt;
  uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i)
    value |= uint64_t(uint8_t((*text)[i])) << (8 * i);
  return value;
}

bool PickleMachine::pushInteger(unsigned bytes, bool isSigned) {
  std::optional<uint64_t> value = takeInteger(bytes);
  if (!value)
    return false;
  PickleValue *result = make(Kind::integer);
  result->integer = isSigned ? int64_t(int32_t(*value)) : int64_t(*value);
  return push(result);
}

/// Numbers of more than 32 bits; those of more than 64 name no tensor.
bool PickleMachine::pushLong() {
  std::optional<uint64_t> bytes = takeInteger(1);
  std::optional<StringRef> text = bytes ? take(*bytes) : std::nullopt;
  if (!text)
    return false;
  PickleValue *result = make(*bytes <= 8 ? Kind::integer : Kind::other);
  bool isNegative = !text->empty() && (text->back() & 0x80);
  uint64_t value = isNegative ? ~uint64_t(0) : 0;
  for (size_t i = text->size(); i-- > 0;)
    value = value << 8 | uint8_t((*text)[i]);
  result->integer = int64_t(value);
  return push(result);
}

bool PickleMachine::pushText() {
  std::optional<uint64_t> size = takeInteger(4);
  std::optional<StringRef> text = size ? take(*size) : std::nullopt;
  if (!text)
    return false;
  PickleValue *result = make(Kind::string);
  result->text = *text;
  return push(result);
}

bool PickleMachine::pushGlobal() {
  std::optional<StringRef> module = takeLine();
  std::optional<StringRef> name = module ? takeLine() : std::nullopt;
  if (!name)
    return false;
  PickleValue *result = make(Kind::global);
  result->ownText = (*module + "." + *name).str();
  result->text = result->ownText;
  return push(result);
}

bool PickleMachine::pushAll(
    Kind kind, std::optional<std::vector<const PickleValue *>> items) {
  if (!items)
    return false;
  PickleValue *result = make(kind);
  result->items = std::move(*items);
  return push(result);
}

bool PickleMachine::pushTuple(size_t count) {
  std::vector<const PickleValue *> items(count);
  for (size_t i = count; i-- > 0;)
    if (!(items[i] = pop()))
      return false;
  return pushAll(Kind::tuple, std::move(items));
}

bool PickleMachine::pushCall() {
  PickleValue *arguments = pop(), *callee = pop();
  if (!arguments || !callee || arguments->kind != Kind::tuple)
    return false;
  return pushAll(Kind::call,
                 std::vector<const PickleValue *>{callee, arguments});
}

bool PickleMachine::setItem() {
  PickleValue *value = pop(), *key = pop();
  if (!value || !key || stack.empty())
    return false;
  stack.back()->entries.emplace_back(key, value);
  return true;
}

bool PickleMachine::setItems() {
  auto items = popToMark();
  if (!items || items->size() % 2 || stack.empty())
    return false;
  for (size_t i = 0; i < items->size(); i += 2)
    stack.back()->entries.emplace_back((*items)[i], (*items)[i + 1]);
  return true;
}

bool PickleMachine::append() {
  PickleValue *value = pop();
  if (!value || stack.empty() || stack.back()->kind != Kind::list)
    return false;
  stack.back()->items.push_back(value);
  return true;
}

bool PickleMachine::appendAll() {
  auto items = popToMark();
  if (!items || stack.empty() || stack.back()->kind != Kind::list)
    return false;
  std::vector<const PickleValue *> &list = stack.back()->items;
  list.insert(list.end(), items->begin(), items->end());
  return true;
}

bool PickleMachine::remember(std::optional<uint64_t> slot) {
  if (!slot || stack.empty())
    return false;
  memo[*slot] = stack.back();
  return true;
}

bool PickleMachine::recall(std::optional<uint64_t> slot) {
  auto found = slot ? memo.find(*slot) : memo.end();
  return found != memo.end() && push(found->second);
}

bool PickleMachine::stepConstant(char code, bool &isKnown) {
  switch (code) {
  case 'N':
    return push(make(Kind::none));
  case '\x88': // True
  case '\x89': // False
    return push(make(Kind::other));
  case 'G': // a float
    return take(8) && push(make(Kind::other));
  case 'J':
    return pushInteger(4, /*isSigned=*/true);
  case 'K':
    return pushInteger(1, /*isSigned=*/false);
  case 'M':
    return pushInteger(2, /*isSigned=*/false);
  case '\x8a':
    return pushLong();
  case 'X':
    return pushText();
  case 'c':
    return pushGlobal();
  default:
    isKnown = false;
    return false;
  }
}

bool PickleMachine::stepMemo(char code, bool &isKnown) {
  switch (code) {
  case 'q':
    return remember(takeInteger(1));
  case 'r':
    return remember(takeInteger(4));
  case 'h':
    return recall(takeInteger(1));
  case 'j':
    return recall(takeInteger(4));
  case '(':
    marks.push_back(stack.size());
    return true;
  default:
    isKnown = false;
    return false;
  }
}

bool PickleMachine::stepCollection(char code, bool &isKnown) {
  switch (code) {
  case ')':
    return pushTuple(0);
  case '\x85':
  case '\x86':
  case '\x87':
    return pushTuple(uint8_t(code) - 0x84);
  case 't':
    return pushAll(Kind::tuple, popToMark());
  case '}':
    return push(make(Kind::dict));
  case ']':
    return push(make(Kind::list));
  case 's':
    return setItem();
  case 'u':
    return setItems();
  case 'a':
    return append();
  case 'e':
    return appendAll();
  case 'R':
    return pushCall();
  case 'Q': {
    PickleValue *name = pop();
    return name &&
           pushAll(Kind::persistent, std::vector<const PickleValue *>{name});
  }
  case 'b': // state, such as a state dict's metadata, adds no tensor
    return pop() && !stack.empty();
  default:
    isKnown = false;
    return false;
  }
}

bool PickleMachine::step(const PickleValue *&result) {
  std::optional<StringRef> code = take(1);
  if (!code)
    return false;
  if ((*code)[0] == '.') {
    result = pop();
    return result;
  }
  for (auto group : {&PickleMachine::stepConstant, &PickleMachine::stepMemo,
                     &PickleMachine::stepCollection}) {
    bool isKnown = true;
    bool isTaken = (this->*group)((*code)[0], isKnown);
    if (isKnown)
      return isTaken;
  }
  return false;
}

Expected<const PickleValue *> Pickle::read(StringRef bytes) {
  static constexpr StringLiteral protocol("\x80\2");
  if (!bytes.starts_with(protocol))
    return createStringError("expected a pickle of protocol 2, as torch.save "
                             "writes without other options");
  StringRef rest = bytes.drop_front(protocol.size());
  PickleMachine machine(*this, rest);
  const PickleValue *result = nullptr;
  while (!result)
    if (!machine.step(result))
      return createStringError("its pickle is damaged, or has more than plain "
                               "tensors");
  return result;
}
