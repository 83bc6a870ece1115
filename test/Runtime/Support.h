// What the tests of the runtime share: weights files, models that clean up after themselves, batches with the result
// that they should have.
#ifndef TREC_TEST_RUNTIME_SUPPORT_H
#define TREC_TEST_RUNTIME_SUPPORT_H

#include "TestImage.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cstring>
#include <string>
#include <vector>

extern "C" {
#include "CPUFeatures.h"
#include "Create.h"
}

namespace trectest {

using testing::HasSubstr;

/// An error struct ready for a call, with rubbish in the fields that the library is to fill.
struct Error : trec_error {
  Error() {
    std::memset(static_cast<trec_error *>(this), 0x5a, sizeof(trec_error));
    size = sizeof(trec_error);
  }
  std::string text() const { return message; }
};

/// A file with this JSON header and data.
std::string fileOf(const std::string &header, const std::string &data);

/// The header of a good file for the test image; `prefix` goes before its first member.
std::string goodHeader(const std::string &prefix = "");

/// The rows of both tables, t1 first: element e of row r of t1 is r + e / 8, of t2 -(r + e / 8).
std::string goodData();

/// A good weights file for the test image.
std::string goodFile();

/// A file in the tests' temporary directory, removed at the end.
class TemporaryFile {
public:
  explicit TemporaryFile(const std::string &bytes);
  ~TemporaryFile();
  const char *path() const { return name.c_str(); }

private:
  std::string name;
};

/// A model of an image over weights in memory.
class Model {
public:
  explicit Model(trec_create_options options = {}, const struct trec_image &image = ::trec_image);
  ~Model() { trec_runtime_destroy(model); }
  Model(const Model &) = delete;
  operator trec_model *() const { return model; }
  trec_counters counters() const;

private:
  std::string weights = goodFile();
  trec_model *model = nullptr;
};

/// An image of one feature pooled through one table of zeros, of fp32, by a kernel of the test's, and what makes a
/// model of it. Stays where it is for as long as the model.
class OneTable {
public:
  OneTable(trec_kernel kernel, int64_t rows, int64_t dim);
  OneTable(const OneTable &) = delete;
  const struct trec_image &image() const { return ownImage; }
  trec_create_options options() const;

private:
  std::vector<float> rows;
  trec_kernel kernels[2 * TREC_KERNEL_VARIANTS];
  trec_table_desc table;
  trec_table_data data;
  trec_bag_desc bag = {};
  struct trec_level_desc level = trec_image.levels[0];
  struct trec_image ownImage = trec_image;
};

/// Creates and destroys again; the status.
int32_t tryCreate(const trec_create_options &options, Error &error, const struct trec_image &image = ::trec_image);

/// The status of creating from a file in memory.
int32_t tryMemory(const std::string &file, Error &error, const struct trec_image &image = ::trec_image);

/// Ids of three keys by samples: ids[key][sample].
using Ids = std::vector<std::vector<std::vector<int64_t>>>;

/// One batch in all the forms that forward takes, and its output.
struct Batch {
  explicit Batch(const Ids &ids);
  trec_forward_args args() const; // int64 ids, int32 lengths

  int64_t batchSize;
  std::vector<int64_t> values64, lengths64, offsets64;
  std::vector<int32_t> values32, lengths32, offsets32;
  mutable std::vector<float> output;
};

/// The output that the test image should give for `ids`, by key slots[feature]; bad ids count as row 0. The first table
/// may have more rows than the image says.
std::vector<float> expected(const Ids &ids, const std::vector<int> &slots = {0, 1, 2}, int64_t t1Rows = T1_ROWS);

/// A batch of pseudo-random bags of up to `longest` ids.
Ids randomIds(int keys, int64_t batchSize, int longest, uint64_t seed = 1);

} // namespace trectest

#endif // TREC_TEST_RUNTIME_SUPPORT_H
