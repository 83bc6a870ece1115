// See Support.h.
#include "Support.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <unistd.h>

using namespace trectest;

std::string trectest::fileOf(const std::string &header, const std::string &data) {
  uint64_t length = header.size();
  return std::string(reinterpret_cast<char *>(&length), sizeof length) + header + data;
}

std::string trectest::goodHeader(const std::string &prefix) {
  std::string header = "{" + prefix +
                       R"("t1":{"dtype":"U8","shape":[10,16],"data_offsets":[0,160]},)"
                       R"("t2":{"dtype":"U8","shape":[20,8],"data_offsets":[160,320]}})";
  return header + std::string(15 - (header.size() + 7) % 16, ' ');
}

std::string trectest::goodData() {
  std::vector<float> rows;
  for (int r = 0; r < T1_ROWS; ++r)
    for (int e = 0; e < T1_DIM; ++e)
      rows.push_back(r + e / 8.0f);
  for (int r = 0; r < T2_ROWS; ++r)
    for (int e = 0; e < T2_DIM; ++e)
      rows.push_back(-(r + e / 8.0f));
  return std::string(reinterpret_cast<char *>(rows.data()), rows.size() * sizeof(float));
}

std::string trectest::goodFile() { return fileOf(goodHeader(), goodData()); }

TemporaryFile::TemporaryFile(const std::string &bytes) {
  name = testing::TempDir() + "trec-runtime-XXXXXX";
  int file = mkstemp(name.data());
  EXPECT_GE(file, 0);
  EXPECT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  close(file);
}

TemporaryFile::~TemporaryFile() { std::remove(name.c_str()); }

OneTable::OneTable(trec_kernel kernel, int64_t numRows, int64_t dim)
    : rows(static_cast<size_t>(numRows * dim)), table{trec_image.tables[0].name, -1, dim * 4, dim, TREC_WEIGHTS_FP32},
      data{rows.data(), numRows, dim * 4} {
  std::fill(std::begin(kernels), std::end(kernels), kernel);
  level.kernels = kernels;
  ownImage.tables = &table;
  ownImage.num_tables = 1;
  ownImage.bags = &bag;
  ownImage.num_bags = 1;
  ownImage.levels = &level;
  ownImage.total_dim = dim;
}

trec_create_options OneTable::options() const {
  trec_create_options options = {};
  options.size = sizeof options;
  options.tables = &data;
  options.num_tables = 1;
  return options;
}

Model::Model(trec_create_options options, const struct trec_image &image) {
  Error error;
  options.size = sizeof options;
  if (!options.weights_path && !options.weights_data && !options.tables) {
    options.weights_data = weights.data();
    options.weights_bytes = weights.size();
  }
  EXPECT_EQ(trec_create_from_image(&image, 0, &options, &model, &error), TREC_OK) << error.message;
}

trec_counters Model::counters() const {
  trec_counters counters = {};
  counters.size = sizeof counters;
  EXPECT_EQ(trec_runtime_counters(model, &counters), TREC_OK);
  return counters;
}

int32_t trectest::tryCreate(const trec_create_options &options, Error &error, const struct trec_image &image) {
  trec_create_options sized = options;
  sized.size = sizeof sized;
  auto *model = reinterpret_cast<trec_model *>(1);
  int32_t status = trec_create_from_image(&image, 0, &sized, &model, &error);
  EXPECT_EQ(status == TREC_OK, model != nullptr);
  EXPECT_EQ(error.status, status);
  EXPECT_EQ(status == TREC_OK, error.text().empty());
  trec_runtime_destroy(model);
  return status;
}

int32_t trectest::tryMemory(const std::string &file, Error &error, const struct trec_image &image) {
  // A copy of the exact size, so that a sanitizer sees a read beyond it.
  std::vector<char> bytes(file.begin(), file.end());
  trec_create_options options = {};
  options.weights_data = bytes.empty() ? "" : bytes.data();
  options.weights_bytes = bytes.size();
  return tryCreate(options, error, image);
}

Batch::Batch(const Ids &ids) : batchSize(ids[0].size()), offsets64(1), output(batchSize * TOTAL_DIM, NAN) {
  for (const auto &key : ids)
    for (const auto &bag : key) {
      values64.insert(values64.end(), bag.begin(), bag.end());
      lengths64.push_back(bag.size());
      offsets64.push_back(values64.size());
    }
  values32.assign(values64.begin(), values64.end());
  lengths32.assign(lengths64.begin(), lengths64.end());
  offsets32.assign(offsets64.begin(), offsets64.end());
}

trec_forward_args Batch::args() const {
  trec_forward_args args = {};
  args.size = sizeof args;
  args.batch_size = batchSize;
  args.num_keys = batchSize ? static_cast<int64_t>(lengths64.size()) / batchSize : 3;
  args.values = values64.data();
  args.num_values = values64.size();
  args.values_type = TREC_INT64;
  // An empty vector may have no pointer, but an empty batch still has an array of lengths.
  args.lengths = lengths32.empty() ? offsets32.data() : lengths32.data();
  args.lengths_type = TREC_INT32;
  args.output = output.data();
  args.output_bytes = output.size() * sizeof(float);
  return args;
}

std::vector<float> trectest::expected(const Ids &ids, const std::vector<int> &slots, int64_t t1Rows) {
  struct {
    int feature;
    int64_t rows;
    int dim, column;
    float sign;
  } const bags[] = {{0, t1Rows, 4, 0, 1}, {1, T2_ROWS, 2, 4, -1}, {2, t1Rows, 4, 6, 1}, {0, T2_ROWS, 2, 10, -1}};
  const size_t batch = ids[0].size();
  std::vector<float> out(batch * TOTAL_DIM);
  for (const auto &bag : bags)
    for (size_t b = 0; b < batch; ++b)
      for (int64_t id : ids[slots[bag.feature]][b])
        for (int e = 0; e < bag.dim && id != -1; ++e)
          out[b * TOTAL_DIM + bag.column + e] += bag.sign * ((id < 0 || id >= bag.rows ? 0 : id) + e / 8.0f);
  return out;
}

Ids trectest::randomIds(int keys, int64_t batchSize, int longest, uint64_t seed) {
  std::mt19937_64 random(seed);
  Ids ids(keys, std::vector<std::vector<int64_t>>(batchSize));
  for (auto &key : ids)
    for (auto &bag : key) {
      bag.resize(random() % (longest + 1));
      for (int64_t &id : bag)
        id = static_cast<int64_t>(random() % (T1_ROWS + 1)) - 1;
    }
  return ids;
}
