//===- WeightsInfo.cpp - On which pages the weights are -------------------===//

#include "trec/Run/Model.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace mlir::trec;

/// Whether a line of /proc/self/smaps begins a mapping; then its bounds.
static bool readBounds(StringRef line, uint64_t &begin, uint64_t &end) {
  StringRef rest = line;
  return !rest.consumeInteger(16, begin) && rest.consume_front("-") &&
         !rest.consumeInteger(16, end) && rest.starts_with(" ");
}

/// The bytes of a line that counts huge pages, of private memory or of a file.
static uint64_t readHugeBytes(StringRef line) {
  uint64_t kilobytes = 0;
  if (!line.consume_front("AnonHugePages:") &&
      !line.consume_front("FilePmdMapped:"))
    return 0;
  line.ltrim().consumeInteger(10, kilobytes);
  return kilobytes << 10;
}

uint64_t mlir::trec::countHugeBytes(const trec_weights_info &info) {
  auto smaps = llvm::MemoryBuffer::getFileAsStream("/proc/self/smaps");
  if (!smaps)
    return 0;
  auto data = uint64_t(uintptr_t(info.data));
  uint64_t begin = 0, end = 0, huge = 0;
  for (StringRef line : llvm::split((*smaps)->getBuffer(), '\n'))
    if (!readBounds(line, begin, end) && begin < data + info.bytes &&
        data < end)
      huge += readHugeBytes(line);
  // The last page is huge as a whole.
  return std::min(huge, info.bytes);
}

std::string mlir::trec::describe(const trec_weights_info &info) {
  if (!info.data)
    return info.reason;
  return llvm::formatv("{0} ({1}), {2} bytes, {3} of them on huge pages",
                       info.pages == TREC_PAGES_HUGE ? "huge" : "map",
                       info.reason, info.bytes, countHugeBytes(info));
}
