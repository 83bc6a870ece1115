//===- ZipFile.cpp - Records of a zip archive -----------------------------===//

#include "trec/Import/ZipFile.h"

#include "trec/Import/JsonFields.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/CRC.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MemoryBuffer.h"

#include <algorithm>

using namespace llvm;

// Signatures and sizes of the format's structures (APPNOTE 6.3.3, section 4.3).
static constexpr StringLiteral localMagic("PK\3\4");
static constexpr StringLiteral entryMagic("PK\1\2");
static constexpr StringLiteral endMagic("PK\5\6");
static constexpr StringLiteral wideEndMagic("PK\6\6");
static constexpr StringLiteral wideLocatorMagic("PK\6\7");
static constexpr uint64_t localBytes = 30, entryBytes = 46, endBytes = 22;
static constexpr uint64_t wideEndBytes = 56, wideLocatorBytes = 20;
/// A comment may follow the end of the directory.
static constexpr uint64_t maxComment = 0xffff;
/// Stands for a number that is in the 64-bit field instead.
static constexpr uint32_t isWide = 0xffffffff;
static constexpr uint16_t wideField = 1;

namespace {

/// One record as the directory says it.
struct Entry {
  StringRef name;
  uint16_t method = 0;
  uint32_t checksum = 0;
  uint64_t packedSize = 0, size = 0, offset = 0;
};

} // namespace

static uint16_t read16(StringRef text, uint64_t at) {
  return support::endian::read16le(text.data() + at);
}
static uint32_t read32(StringRef text, uint64_t at) {
  return support::endian::read32le(text.data() + at);
}
static uint64_t read64(StringRef text, uint64_t at) {
  return support::endian::read64le(text.data() + at);
}

static Error damaged(const Twine &what) {
  return createStringError("damaged or truncated zip archive: " + what);
}

/// The part of the file where the directory is.
static Expected<StringRef> findDirectory(StringRef file) {
  StringRef tail = file.take_back(endBytes + maxComment);
  size_t found = tail.rfind(endMagic);
  if (found == StringRef::npos || tail.size() - found < endBytes)
    return damaged("it has no directory at its end");
  uint64_t end = file.size() - tail.size() + found;
  uint64_t size = read32(file, end + 12), offset = read32(file, end + 16);
  StringRef locator = file.take_front(end).take_back(wideLocatorBytes);
  if (offset == isWide || size == isWide) {
    uint64_t wide = locator.starts_with(wideLocatorMagic) ? read64(locator, 8)
                                                          : file.size();
    if (wide > file.size() || file.size() - wide < wideEndBytes ||
        !file.substr(wide).starts_with(wideEndMagic))
      return damaged("it has no 64-bit directory");
    size = read64(file, wide + 40);
    offset = read64(file, wide + 48);
  }
  if (offset > file.size() || size > file.size() - offset)
    return damaged("its directory is outside of it");
  return file.substr(offset, size);
}

/// Replaces what did not fit into 32 bits, in the order of the format.
static void readWideFields(StringRef extra, Entry &entry) {
  while (extra.size() >= 4) {
    uint16_t kind = read16(extra, 0);
    StringRef data = extra.drop_front(4).take_front(read16(extra, 2));
    extra = extra.drop_front(std::min<size_t>(extra.size(), 4 + data.size()));
    if (kind != wideField)
      continue;
    for (uint64_t *field : {&entry.size, &entry.packedSize, &entry.offset})
      if (*field == isWide && data.size() >= 8) {
        *field = read64(data, 0);
        data = data.drop_front(8);
      }
  }
}

static Expected<Entry> takeEntry(StringRef &directory) {
  if (directory.size() < entryBytes || !directory.starts_with(entryMagic))
    return damaged("an entry of its directory is cut");
  uint64_t name = read16(directory, 28), extra = read16(directory, 30),
           comment = read16(directory, 32);
  if (directory.size() < entryBytes + name + extra + comment)
    return damaged("an entry of its directory is cut");
  Entry entry;
  entry.method = read16(directory, 10);
  entry.checksum = read32(directory, 16);
  entry.packedSize = read32(directory, 20);
  entry.size = read32(directory, 24);
  entry.offset = read32(directory, 42);
  entry.name = directory.substr(entryBytes, name);
  readWideFields(directory.substr(entryBytes + name, extra), entry);
  directory = directory.drop_front(entryBytes + name + extra + comment);
  return entry;
}

static Expected<StringRef> findRecord(StringRef file, const Entry &entry) {
  if (entry.offset > file.size() || file.size() - entry.offset < localBytes ||
      !file.substr(entry.offset).starts_with(localMagic))
    return damaged("record " + mlir::trec::quote(entry.name) +
                   " is not where it should be");
  // Names and padding are said again in front of the data, and may differ.
  uint64_t begin = entry.offset + localBytes + read16(file, entry.offset + 26) +
                   read16(file, entry.offset + 28);
  if (begin > file.size() || entry.size > file.size() - begin)
    return damaged("record " + mlir::trec::quote(entry.name) +
                   " ends outside of it");
  return file.substr(begin, entry.size);
}

bool mlir::trec::isZip(StringRef file) { return file.starts_with(localMagic); }

/// Visits the stored records.
static Error visitRecords(StringRef file,
                          function_ref<Error(const Entry &, StringRef)> visit) {
  Expected<StringRef> directory = findDirectory(file);
  if (!directory)
    return directory.takeError();
  while (!directory->empty()) {
    Expected<Entry> entry = takeEntry(*directory);
    if (!entry)
      return entry.takeError();
    if (entry->method != 0 || entry->packedSize != entry->size)
      continue;
    Expected<StringRef> record = findRecord(file, *entry);
    if (!record)
      return record.takeError();
    if (Error error = visit(*entry, *record))
      return error;
  }
  return Error::success();
}

Expected<StringMap<StringRef>> mlir::trec::readZip(StringRef file) {
  StringMap<StringRef> records;
  if (Error error = visitRecords(file, [&](const Entry &entry, StringRef data) {
        records[entry.name] = data;
        return Error::success();
      }))
    return error;
  return records;
}

static Error checkRecord(StringRef file, const Entry &entry, StringRef data) {
  uint32_t got = crc32(arrayRefFromStringRef(data));
  if (got == entry.checksum)
    return Error::success();
  return damaged("record " + mlir::trec::quote(entry.name) + " of " +
                 Twine(data.size()) + " bytes at " +
                 Twine(data.begin() - file.begin()) + ": expected checksum " +
                 utohexstr(entry.checksum) + ", got " + utohexstr(got));
}

Error mlir::trec::checkZipFile(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
  if (!buffer || !isZip((*buffer)->getBuffer()))
    return Error::success();
  StringRef file = (*buffer)->getBuffer();
  Error error = visitRecords(file, [&](const Entry &entry, StringRef data) {
    return checkRecord(file, entry, data);
  });
  if (!error)
    return error;
  return createStringError(path + ": " + toString(std::move(error)));
}
