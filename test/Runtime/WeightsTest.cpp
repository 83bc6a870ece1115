// The sources of weights and the options of create.
#include "Support.h"

#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <memory>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace trectest;

namespace {

const Ids sampleIds = {{{1, 9}, {}}, {{19}, {0, 3}}, {{-1}, {2, 2, 2}}};

void expectForwardWorks(trec_model *model) {
  Batch batch(sampleIds);
  Error error;
  trec_forward_args args = batch.args();
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(batch.output, expected(sampleIds));
}

trec_create_options pathOptions(const char *path) {
  trec_create_options options = {};
  options.weights_path = path;
  return options;
}

/// An image whose tables take their rows from the weights.
struct OpenImage {
  OpenImage() {
    for (trec_table_desc &table : tables)
      table.rows = -1;
    image.tables = tables;
  }
  trec_table_desc tables[2] = {::trec_image.tables[0], ::trec_image.tables[1]};
  struct trec_image image = ::trec_image;
};

struct Tables {
  std::string data = goodData();
  trec_table_data tables[2] = {{data.data(), 10, 16}, {data.data() + 160, 20, 8}};
  trec_create_options options() const {
    trec_create_options options = {};
    options.tables = tables;
    options.num_tables = 2;
    return options;
  }
};

} // namespace

TEST(Weights, FromMemory) { expectForwardWorks(Model()); }

TEST(Weights, FromPath) {
  TemporaryFile file(goodFile());
  expectForwardWorks(Model(pathOptions(file.path())));
}

// The file may be replaced by a new one, as deployments do, while the model runs.
TEST(Weights, FileMayBeUnlinked) {
  auto file = std::make_unique<TemporaryFile>(goodFile());
  Model model(pathOptions(file->path()));
  file.reset();
  expectForwardWorks(model);
}

TEST(Weights, FileIsUnmappedWithTheModel) {
  TemporaryFile file(goodFile());
  auto isMapped = [&] {
    std::ifstream maps("/proc/self/maps");
    return std::string(std::istreambuf_iterator<char>(maps), {}).find(file.path()) != std::string::npos;
  };
  {
    Model model(pathOptions(file.path()));
    EXPECT_TRUE(isMapped());
  }
  EXPECT_FALSE(isMapped());
}

TEST(Weights, MisalignedFileIsCopied) {
  std::string header = goodHeader();
  while (header.size() % 16 != 3)
    header += ' ';
  TemporaryFile file(fileOf(header, goodData()));
  Model model(pathOptions(file.path()));
  // A mapping follows its file, a copy does not.
  int descriptor = open(file.path(), O_WRONLY);
  ASSERT_EQ(pwrite(descriptor, std::string(160, '\7').data(), 160, header.size() + 8), 160);
  close(descriptor);
  expectForwardWorks(model);
}

TEST(Weights, AlignedFileIsSharedNotCopied) {
  TemporaryFile file(fileOf(goodHeader(), std::string(320, '\7')));
  Model model(pathOptions(file.path()));
  int descriptor = open(file.path(), O_WRONLY);
  ASSERT_EQ(pwrite(descriptor, goodData().data(), 320, goodHeader().size() + 8), 320);
  close(descriptor);
  expectForwardWorks(model);
}

TEST(Weights, Embedded) {
  const std::string file = goodFile();
  struct trec_image image = ::trec_image;
  image.weights = file.data();
  image.weights_bytes = file.size();
  trec_create_options options = {};
  options.size = sizeof options;
  trec_model *model;
  ASSERT_EQ(trec_create_from_image(&image, 0, &options, &model, nullptr), TREC_OK);
  expectForwardWorks(model);
  trec_runtime_destroy(model);
  image.weights_bytes = 5;
  Error error;
  EXPECT_EQ(tryCreate({}, error, image), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), HasSubstr("embedded weights: not a safetensors file: 5 bytes"));
}

TEST(Weights, FromPointersAndEditedInPlace) {
  Tables tables;
  Model model(tables.options());
  expectForwardWorks(model);
  tables.data.assign(tables.data.size(), '\0');
  Batch batch(sampleIds);
  trec_forward_args args = batch.args();
  ASSERT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  EXPECT_EQ(batch.output, std::vector<float>(2 * TOTAL_DIM));
}

TEST(Weights, RowCountsMayComeFromTheWeights) {
  OpenImage open;
  Tables tables;
  expectForwardWorks(Model(tables.options(), open.image));
  expectForwardWorks(Model({}, open.image));
}

// Without rows every id is bad, and row 0 must still be readable: it reads as zeros.
TEST(Weights, TableWithoutRows) {
  OpenImage open;
  const std::string header = R"({"t1":{"dtype":"U8","shape":[0,16],"data_offsets":[0,0]},)"
                             R"("t2":{"dtype":"U8","shape":[0,8],"data_offsets":[0,0]}})";
  TemporaryFile file(fileOf(header, ""));
  trec_table_data none[2] = {{nullptr, 0, 16}, {nullptr, 0, 8}};
  trec_create_options fromTables = {};
  fromTables.tables = none;
  fromTables.num_tables = 2;
  for (trec_create_options options : {fromTables, pathOptions(file.path())}) {
    options.bounds_check = TREC_BOUNDS_IGNORE;
    Model model(options, open.image);
    Batch batch(sampleIds);
    trec_forward_args args = batch.args();
    ASSERT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
    EXPECT_EQ(batch.output, std::vector<float>(2 * TOTAL_DIM));
    EXPECT_EQ(model.counters().bad_ids, 2 * 2 + 3 + 3); // f1 is looked up in two tables
  }
}

TEST(Weights, ExactlyOneSource) {
  Error error;
  Tables tables;
  EXPECT_EQ(tryCreate({}, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "no weights: model \"test\" embeds none; expected weights_path, weights_data or tables");
  const char *const several = "more than one source of weights: expected one of weights_path, weights_data and tables";
  trec_create_options options = tables.options();
  options.weights_path = "x";
  EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), several);
  options = tables.options();
  options.weights_data = "x";
  EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), several);
  options = {};
  options.weights_bytes = 8;
  EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "weights_data is null, but its size is not 0");
  options = {};
  options.num_tables = 2;
  EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "tables is null, but its size is not 0");
}

TEST(Weights, FileErrorsNameTheFile) {
  Error error;
  EXPECT_EQ(tryCreate(pathOptions("/nowhere/model.safetensors"), error), TREC_IO_ERROR);
  EXPECT_EQ(error.text(), "weights file \"/nowhere/model.safetensors\": cannot open: No such file or directory");
  EXPECT_EQ(tryCreate(pathOptions("/"), error), TREC_IO_ERROR);
  EXPECT_EQ(error.text(), "weights file \"/\": not a regular file");
  TemporaryFile empty("");
  EXPECT_EQ(tryCreate(pathOptions(empty.path()), error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(),
            std::string("weights file \"") + empty.path() + "\": not a safetensors file: 0 bytes, expected 8 or more");
  TemporaryFile cut(goodFile().substr(0, goodFile().size() - 1));
  EXPECT_EQ(tryCreate(pathOptions(cut.path()), error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), std::string("weights file \"") + cut.path() +
                              "\": truncated: table \"t2\" ends at byte 320 of the data, but there are only 319");
  EXPECT_EQ(error.table, 1);
}

// Nobody writes into the pipe, so a plain open would wait for ever.
TEST(Weights, NamedPipeIsRefusedWithoutWaiting) {
  const std::string pipe = testing::TempDir() + "trec-runtime-pipe-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  Error error;
  EXPECT_EQ(tryCreate(pathOptions(pipe.c_str()), error), TREC_IO_ERROR);
  EXPECT_THAT(error.text(), HasSubstr("not a regular file"));
  unlink(pipe.c_str());
}

// Files under /proc and /sys say that they are regular, but some cannot be mapped.
TEST(Weights, FileThatCannotBeMapped) {
  const char *const path = "/sys/kernel/mm/transparent_hugepage/enabled";
  if (access(path, R_OK))
    GTEST_SKIP() << path << " is not there";
  Error error;
  EXPECT_EQ(tryCreate(pathOptions(path), error), TREC_IO_ERROR);
  EXPECT_THAT(error.text(), HasSubstr("cannot map"));
}

TEST(Weights, PointersAreCheckedAgainstTheModel) {
  Error error;
  Tables tables;
  trec_create_options options = tables.options();
  options.num_tables = 3;
  EXPECT_EQ(tryCreate(options, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "3 tables given, expected 2");
  tables.tables[1].rows = 21;
  EXPECT_EQ(tryCreate(tables.options(), error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "caller's tables: table \"t2\" has 21 rows, expected 20");
  EXPECT_EQ(error.table, 1);
  EXPECT_EQ(error.value, 21);
  EXPECT_EQ(error.limit, 20);
  tables.tables[1] = {tables.data.data(), 20, 7};
  EXPECT_EQ(tryCreate(tables.options(), error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "caller's tables: table \"t2\" has rows of 7 bytes, expected 8");
  EXPECT_EQ(error.value, 7);
  EXPECT_EQ(error.limit, 8);
  tables.tables[1] = {nullptr, 20, 8};
  EXPECT_EQ(tryCreate(tables.options(), error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "caller's tables: table \"t2\" has 20 rows at null");
  OpenImage open;
  tables.tables[1] = {tables.data.data(), -2, 8};
  EXPECT_EQ(tryCreate(tables.options(), error, open.image), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "caller's tables: table \"t2\" has -2 rows, expected 0 or more");
  tables.tables[1] = {tables.data.data(), INT64_MAX / 4, 8};
  EXPECT_EQ(tryCreate(tables.options(), error, open.image), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "caller's tables: table \"t2\": 2305843009213693951 rows of 8 bytes overflow");
}

TEST(Weights, OptionsOutOfRange) {
  Error error;
  Tables tables;
  trec_create_options options = tables.options();
  for (int32_t policy : {-1, 5}) {
    options.bounds_check = policy;
    EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
    EXPECT_EQ(error.text(), "bounds_check is " + std::to_string(policy) + ", expected 0 to 4");
  }
  options.bounds_check = 0;
  options.threads = -3;
  EXPECT_EQ(tryCreate(options, error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "threads is -3, expected 0 or more");
}

// A sparse file with a table of more than 2^32 bytes; its last row is read through a 64-bit offset.
TEST(Weights, TableOverFourGigabytes) {
  const int64_t rows = (int64_t(1) << 28) + 3, bytes = rows * 16;
  std::string header = "{\"t1\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(rows) + ",16],\"data_offsets\":[0," +
                       std::to_string(bytes) + "]},\"t2\":{\"dtype\":\"U8\",\"shape\":[0,8],\"data_offsets\":[0,0]}}";
  header += std::string(15 - (header.size() + 7) % 16, ' ');
  TemporaryFile file(fileOf(header, ""));
  const float row[4] = {1, 2, 3, 4};
  int descriptor = open(file.path(), O_WRONLY);
  const off_t end = static_cast<off_t>(header.size() + 8 + bytes);
  const bool written = !ftruncate(descriptor, end) && pwrite(descriptor, row, sizeof row, end - 16) == 16;
  close(descriptor);
  if (!written)
    GTEST_SKIP() << "no room for a sparse file";
  OpenImage open;
  trec_create_options options = pathOptions(file.path());
  options.bounds_check = TREC_BOUNDS_FATAL;
  Model model(options, open.image);
  Batch batch({{{}}, {{}}, {{rows - 1}}});
  Error error;
  trec_forward_args args = batch.args();
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(std::vector<float>(batch.output.begin() + 6, batch.output.begin() + 10), std::vector<float>(row, row + 4));
  batch.values64[0] = rows;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(error.limit, rows);
}
