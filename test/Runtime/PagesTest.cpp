// A weights file that is mapped, and one that is copied to huge pages.
#include "Support.h"

#include <fcntl.h>
#include <fstream>
#include <functional>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

using namespace trectest;

namespace {

const Ids sampleIds = {{{1, 9}, {}}, {{19}, {0, 3}}, {{-1}, {2, 2, 2}}};

trec_create_options pathOptions(const char *path, int32_t pages) {
  trec_create_options options = {};
  options.weights_path = path;
  options.pages = pages;
  return options;
}

trec_weights_info infoOf(const trec_model *model) {
  trec_weights_info info = {};
  info.size = sizeof info;
  EXPECT_EQ(trec_runtime_weights_info(model, &info), TREC_OK);
  return info;
}

void expectForwardWorks(trec_model *model) {
  Batch batch(sampleIds);
  Error error;
  trec_forward_args args = batch.args();
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(batch.output, expected(sampleIds));
}

/// A sparse file for an image whose first table has as many rows as the file.
class SparseFile {
public:
  explicit SparseFile(int64_t dataBytes) : file(fileOf(header(dataBytes), "")) {
    for (trec_table_desc &table : tables)
      table.rows = -1;
    image.tables = tables;
    bytes = static_cast<int64_t>(header(dataBytes).size()) + 8 + dataBytes;
    isThere = !truncate(file.path(), bytes);
  }
  const char *path() const { return file.path(); }

  struct trec_image image = ::trec_image;
  int64_t bytes;
  bool isThere;

private:
  static std::string header(int64_t bytes) {
    std::string text = "{\"t1\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(bytes / 16) +
                       ",16],\"data_offsets\":[0," + std::to_string(bytes) +
                       "]},\"t2\":{\"dtype\":\"U8\",\"shape\":[0,8],\"data_offsets\":[0,0]}}";
    return text + std::string(15 - (text.size() + 7) % 16, ' ');
  }
  trec_table_desc tables[2] = {::trec_image.tables[0], ::trec_image.tables[1]};
  TemporaryFile file;
};

/// Above TREC_PAGES_AUTO_BYTES, and several reads.
constexpr int64_t largeBytes = int64_t(80) << 20;
/// Above the memory of any machine, and below what a file can have.
constexpr int64_t enormousBytes = int64_t(1) << 42;

bool systemHasHugePages() {
  std::string line;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), line);
  return line.find("[never]") == std::string::npos && !line.empty();
}

/// What /proc/self/smaps says of the mapping that begins at `data`: a number of KiB, or -1 where there is none.
int64_t kilobytes(const void *data, const std::string &field) {
  std::ostringstream begin;
  begin << std::hex << reinterpret_cast<uintptr_t>(data) << '-';
  std::ifstream smaps("/proc/self/smaps");
  bool isInside = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find(begin.str()) == 0)
      isInside = true;
    else if (isInside && line.find(field + ":") == 0)
      return std::stoll(line.substr(field.size() + 1));
  }
  return -1;
}

/// What a callback of progress is told, and what it does to the file at the first bytes.
struct Progress {
  std::vector<std::pair<uint64_t, uint64_t>> calls;
  std::function<void()> onFirst;
};

void note(void *user, uint64_t done, uint64_t total) {
  auto &progress = *static_cast<Progress *>(user);
  progress.calls.emplace_back(done, total);
  if (progress.onFirst && done)
    std::exchange(progress.onFirst, nullptr)();
}

trec_create_options watched(const SparseFile &file, int32_t pages, Progress &progress) {
  trec_create_options options = pathOptions(file.path(), pages);
  options.progress = note;
  options.progress_user = &progress;
  return options;
}

} // namespace

TEST(Pages, MappedUnlessAsked) {
  TemporaryFile file(goodFile());
  Model model(pathOptions(file.path(), TREC_PAGES_MAP));
  expectForwardWorks(model);
  const trec_weights_info info = infoOf(model);
  EXPECT_EQ(info.pages, TREC_PAGES_MAP);
  EXPECT_EQ(info.bytes, goodFile().size());
  EXPECT_EQ(std::memcmp(info.data, goodFile().data(), info.bytes), 0);
  EXPECT_STREQ(info.reason, "asked for");
}

// The copy is the model's own: what is written to the file later is not seen.
TEST(Pages, HugeIsACopy) {
  TemporaryFile file(goodFile());
  Model model(pathOptions(file.path(), TREC_PAGES_HUGE));
  ASSERT_EQ(truncate(file.path(), 8), 0);
  expectForwardWorks(model);
  const trec_weights_info info = infoOf(model);
  EXPECT_EQ(info.pages, TREC_PAGES_HUGE);
  EXPECT_EQ(info.bytes, goodFile().size());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(info.data) % (2 << 20), 0u);
}

TEST(Pages, HugeIsOnHugePages) {
  if (!systemHasHugePages())
    GTEST_SKIP() << "the system has no huge pages";
  SparseFile file(largeBytes);
  const void *data;
  {
    Model model(pathOptions(file.path(), TREC_PAGES_HUGE), file.image);
    data = infoOf(model).data;
    EXPECT_GE(kilobytes(data, "AnonHugePages"), 2048);
  }
  EXPECT_EQ(kilobytes(data, "Size"), -1); // given back
}

TEST(Pages, AutoMapsASmallFile) {
  TemporaryFile file(goodFile());
  Model model(pathOptions(file.path(), TREC_PAGES_AUTO));
  expectForwardWorks(model);
  EXPECT_EQ(infoOf(model).pages, TREC_PAGES_MAP);
  EXPECT_STREQ(infoOf(model).reason, "auto: a small file");
}

TEST(Pages, AutoCopiesALargeFile) {
  SparseFile file(largeBytes);
  Model model(pathOptions(file.path(), TREC_PAGES_AUTO), file.image);
  EXPECT_EQ(infoOf(model).pages, systemHasHugePages() ? TREC_PAGES_HUGE : TREC_PAGES_MAP);
  EXPECT_STREQ(infoOf(model).reason,
               systemHasHugePages() ? "auto: a large file, and enough memory" : "auto: the system has no huge pages");
}

TEST(Pages, AutoMapsWhatMemoryCannotHold) {
  SparseFile file(enormousBytes);
  if (!file.isThere || !systemHasHugePages())
    GTEST_SKIP() << "no sparse file of that size, or no huge pages";
  Model model(pathOptions(file.path(), TREC_PAGES_AUTO), file.image);
  EXPECT_EQ(infoOf(model).pages, TREC_PAGES_MAP);
  EXPECT_STREQ(infoOf(model).reason, "auto: too little memory is available");
}

// Refused at once, where reading on would end the process.
TEST(Pages, HugeOfMoreThanThereIsMemory) {
  SparseFile file(enormousBytes);
  if (!file.isThere)
    GTEST_SKIP() << "no sparse file of that size";
  Error error;
  EXPECT_EQ(tryCreate(pathOptions(file.path(), TREC_PAGES_HUGE), error, file.image), TREC_OUT_OF_MEMORY);
  EXPECT_THAT(error.text(), HasSubstr("out of memory for a copy of " + std::to_string(file.bytes) + " bytes: "));
  EXPECT_THAT(error.text(), testing::EndsWith(" are available"));
}

TEST(Pages, NoneWithoutAFile) {
  Model model;
  const trec_weights_info info = infoOf(model);
  EXPECT_EQ(info.data, nullptr);
  EXPECT_EQ(info.bytes, 0u);
  EXPECT_STREQ(info.reason, "no file: the weights are used where they lie");
  const std::string weights = goodFile();
  trec_create_options options = {};
  options.weights_data = weights.data();
  options.weights_bytes = weights.size();
  options.pages = TREC_PAGES_AUTO;
  Error error;
  EXPECT_EQ(tryCreate(options, error), TREC_OK);
  options.pages = TREC_PAGES_HUGE;
  EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "pages is TREC_PAGES_HUGE without weights_path: other weights are used where they lie");
}

TEST(Pages, OptionOutOfRange) {
  Error error;
  for (int32_t pages : {-1, 3}) {
    EXPECT_EQ(tryCreate(pathOptions("x", pages), error), TREC_INVALID_ARGUMENT);
    EXPECT_EQ(error.text(), "pages is " + std::to_string(pages) + ", expected 0 to 2");
  }
}

TEST(Pages, NoneOnAGPU) {
  trec_create_options options = pathOptions("x", TREC_PAGES_HUGE);
  options.device = TREC_DEVICE_CUDA;
  Error error;
  EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "pages is TREC_PAGES_HUGE on a GPU, which gets the tables itself");
}

TEST(Pages, ProgressOfACopy) {
  SparseFile file(largeBytes);
  Progress progress;
  Model(watched(file, TREC_PAGES_HUGE, progress), file.image);
  const auto total = static_cast<uint64_t>(file.bytes);
  ASSERT_GE(progress.calls.size(), 3u);
  EXPECT_EQ(progress.calls.front(), std::make_pair(uint64_t(0), total));
  EXPECT_EQ(progress.calls.back(), std::make_pair(total, total));
  EXPECT_TRUE(std::is_sorted(progress.calls.begin(), progress.calls.end()));
  progress.calls.clear();
  Model(watched(file, TREC_PAGES_MAP, progress), file.image);
  EXPECT_TRUE(progress.calls.empty()); // nothing is read
}

TEST(Pages, FileWrittenWhileItIsRead) {
  SparseFile file(largeBytes);
  Progress progress;
  const timespec times[2] = {{0, UTIME_OMIT}, {1, 0}};
  progress.onFirst = [&] { utimensat(AT_FDCWD, file.path(), times, 0); };
  Error error;
  EXPECT_EQ(tryCreate(watched(file, TREC_PAGES_HUGE, progress), error, file.image), TREC_IO_ERROR);
  EXPECT_EQ(error.text(), std::string("weights file \"") + file.path() + "\": changed while it was read");
}

TEST(Pages, FileCutWhileItIsRead) {
  SparseFile file(largeBytes);
  Progress progress;
  const int64_t left = int64_t(40) << 20;
  progress.onFirst = [&] { EXPECT_EQ(truncate(file.path(), left), 0); };
  Error error;
  EXPECT_EQ(tryCreate(watched(file, TREC_PAGES_HUGE, progress), error, file.image), TREC_IO_ERROR);
  EXPECT_EQ(error.text(), std::string("weights file \"") + file.path() + "\": ended at byte " + std::to_string(left) +
                              " of " + std::to_string(file.bytes) + " while it was read");
}

TEST(Pages, ErrorsAreThoseOfMappedFiles) {
  Error mapped, copied;
  TemporaryFile empty(""), cut(goodFile().substr(0, goodFile().size() - 1));
  for (const char *path : {"/nowhere/model.safetensors", "/", empty.path(), cut.path()}) {
    const int32_t status = tryCreate(pathOptions(path, TREC_PAGES_MAP), mapped);
    EXPECT_NE(status, TREC_OK);
    EXPECT_EQ(tryCreate(pathOptions(path, TREC_PAGES_HUGE), copied), status);
    EXPECT_EQ(copied.text(), mapped.text());
  }
}
