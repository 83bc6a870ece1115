//===- Compare.cpp - Outputs against the interpreter's --------------------===//

#include "Compare.h"

#include "trec/Reference/Numerics.h"

#include "llvm/ADT/bit.h"
#include "llvm/Support/Format.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace mlir::trec;
using llvm::Error;

namespace {

/// One element as bits and as a number.
struct Element {
  uint32_t bits;
  float value;
};

/// The first of the elements that differ, and how many do.
struct Difference {
  size_t buffer;
  int64_t index;
  int64_t differing;
};

} // namespace

static Element readElement(ArrayRef<uint8_t> bytes, Type type, int64_t index) {
  if (type.isF32()) {
    uint32_t bits;
    std::memcpy(&bits, &bytes[index * sizeof(bits)], sizeof(bits));
    return {bits, llvm::bit_cast<float>(bits)};
  }
  if (type.isInteger(8))
    return {bytes[index], float(bytes[index])};
  uint16_t bits;
  std::memcpy(&bits, &bytes[index * sizeof(bits)], sizeof(bits));
  return {bits, type.isF16() ? halfToFloat(bits) : bfloat16ToFloat(bits)};
}

/// Which NaN a CPU makes depends on the order of operands, not on the numbers.
static bool isSame(Element expected, Element got) {
  return expected.bits == got.bits ||
         (std::isnan(expected.value) && std::isnan(got.value));
}

static ArrayRef<uint8_t> getExpected(const OutputLayout &layout,
                                     const Outputs &expected, size_t buffer) {
  if (layout.isKeyed())
    return expected.bytes;
  return layout.isPooled() ? expected.tensors[buffer].bytes
                           : expected.jagged[buffer].bytes;
}

static void describePlace(raw_ostream &os, const OutputLayout &layout,
                          const Difference &difference) {
  int64_t columns = layout.getColumns(difference.buffer);
  int64_t row = difference.index / columns;
  int64_t column = difference.index % columns;
  size_t key = difference.buffer;
  while (layout.isKeyed() && column >= layout.getDims()[key])
    column -= layout.getDims()[key++];
  os << (layout.isPooled() ? "sample " : "id ") << row << ", key "
     << layout.getKeys()[key] << ", column " << column;
}

static int64_t countElements(const OutputLayout &layout,
                             ArrayRef<uint8_t> bytes) {
  return int64_t(bytes.size()) / layout.getElementBytes();
}

int64_t mlir::trec::countElements(const OutputLayout &layout,
                                  const OutputBuffers &got) {
  int64_t count = 0;
  for (size_t i = 0; i < got.size(); ++i)
    count += ::countElements(layout, got[i]);
  return count;
}

/// Whether an element is off by no more than a part of its magnitude, or the
/// least step of halves.
static bool isNear(const OutputLayout &layout, Element expected, Element got,
                   float magnitude, float part) {
  float lowest = layout.getElement().isF16() ? 0x1p-24f : 0.0f;
  return std::fabs(expected.value - got.value) <= part * magnitude + lowest;
}

static Difference findDifference(const OutputLayout &layout,
                                 const Outputs &expected,
                                 const OutputBuffers &got,
                                 const Tolerance *tolerance) {
  Difference difference{};
  Type type = layout.getElement();
  auto isRight = [&](size_t buffer, int64_t i, Element wanted, Element found) {
    if (isSame(wanted, found) || !tolerance)
      return isSame(wanted, found);
    Element magnitude = readElement(
        getExpected(layout, tolerance->magnitudes, buffer), type, i);
    return isNear(layout, wanted, found, magnitude.value, tolerance->part);
  };
  for (size_t buffer = 0; buffer < got.size(); ++buffer) {
    ArrayRef<uint8_t> wanted = getExpected(layout, expected, buffer);
    ArrayRef<uint8_t> found = got[buffer];
    if (wanted == found)
      continue;
    for (int64_t i = 0, e = ::countElements(layout, wanted); i < e; ++i)
      if (!isRight(buffer, i, readElement(wanted, type, i),
                   readElement(found, type, i)) &&
          difference.differing++ == 0)
        difference = {buffer, i, 1};
  }
  return difference;
}

Error mlir::trec::compareOutputs(const OutputLayout &layout,
                                 const Outputs &expected,
                                 const OutputBuffers &got,
                                 const Tolerance *tolerance) {
  Difference difference = findDifference(layout, expected, got, tolerance);
  if (difference.differing == 0)
    return Error::success();
  std::string text;
  llvm::raw_string_ostream os(text);
  Type type = layout.getElement();
  Element wanted = readElement(getExpected(layout, expected, difference.buffer),
                               type, difference.index);
  Element found = readElement(got[difference.buffer], type, difference.index);
  unsigned width = 2 + 2 * unsigned(layout.getElementBytes());
  describePlace(os, layout, difference);
  os << ": expected " << llvm::format_hex(wanted.bits, width) << " ("
     << llvm::format("%.9g", wanted.value) << "), got "
     << llvm::format_hex(found.bits, width) << " ("
     << llvm::format("%.9g", found.value) << "); " << difference.differing
     << " of " << countElements(layout, got) << " elements differ";
  return llvm::createStringError(text);
}
