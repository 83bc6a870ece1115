// Models of several batches whose outputs are the tensors of groups.
#include "Support.h"

#include <algorithm>
#include <cmath>
#include <memory>

using namespace trectest;

namespace {

const char strings[] = "f1\0f2\0f3\0t1\0t2\0g1\0g2";
const trec_feature_desc features[] = {{0, 0, 0}, {3, 0, 1}, {6, 1, 0}};
const trec_output_desc outputs[] = {{15, 6}, {18, 8}};
/// g1 has f1 through t1 and f2 through t2, g2 has f3 and once more f1 through t1.
const trec_bag_desc bags[] = {
    {0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, 1, 4, 0, 0, 0, 0}, {0, 0, 2, 0, 0, 0, 1, 0}, {0, 0, 0, 4, 0, 0, 1, 1}};

struct trec_image makeImage() {
  struct trec_image image = ::trec_image;
  image.strings = strings;
  image.features = features;
  image.bags = bags;
  image.outputs = outputs;
  image.num_outputs = 2;
  image.num_batches = 2;
  image.total_dim = 0;
  return image;
}

/// The sum of the rows of a bag; bad ids count as row 0.
void addRows(std::vector<float> &out, const std::vector<int64_t> &ids, int rows, int dim) {
  const float sign = dim == T1_DIM ? 1 : -1;
  for (int e = 0; e < dim; ++e) {
    float sum = 0;
    for (int64_t id : ids)
      sum += id == -1 ? 0 : sign * ((id < 0 || id >= rows ? 0 : id) + e / 8.0f);
    out.push_back(sum);
  }
}

class Regroup : public testing::Test {
protected:
  void fill(const Ids &firstIds, const Ids &secondIds) {
    first = std::make_unique<Batch>(firstIds);
    second = std::make_unique<Batch>(secondIds);
    for (int64_t sample = 0; sample < first->batchSize; ++sample) {
      addRows(expected[0], firstIds[0][sample], T1_ROWS, T1_DIM);
      addRows(expected[0], firstIds[1][sample], T2_ROWS, T2_DIM);
      addRows(expected[1], secondIds[0][sample], T1_ROWS, T1_DIM);
      addRows(expected[1], firstIds[0][sample], T1_ROWS, T1_DIM);
    }
    for (int i = 0; i < 2; ++i) {
      got[i].assign(expected[i].size(), NAN);
      pointers[i] = got[i].data();
      bytes[i] = got[i].size() * sizeof(float);
    }
    args = first->args();
    args.output = nullptr;
    args.output_bytes = 0;
    args.outputs = pointers;
    args.outputs_bytes = bytes;
    args.batches = &batch;
    args.num_batches = 1;
    batch.num_keys = 1;
    batch.values = second->values32.data();
    batch.num_values = int64_t(second->values32.size());
    batch.values_type = TREC_INT32;
    batch.offsets = second->offsets64.data();
    batch.offsets_type = TREC_INT64;
  }
  void SetUp() override { fill({{{1, 2}, {3}}, {{4}, {}}}, {{{}, {5, 6}}}); }
  void expectError(int32_t status, const std::string &message) {
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), status);
    EXPECT_EQ(error.text(), message);
  }

  struct trec_image image = makeImage();
  Model model{{}, image};
  std::unique_ptr<Batch> first, second;
  std::vector<float> expected[2], got[2];
  void *pointers[2];
  uint64_t bytes[2];
  trec_batch batch{sizeof(trec_batch)};
  trec_forward_args args;
  Error error;
};

} // namespace

TEST_F(Regroup, WritesEachGroup) {
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  EXPECT_EQ(got[0], expected[0]);
  EXPECT_EQ(got[1], expected[1]);
}

TEST_F(Regroup, OnThreadsAndInTheCallersWorkspace) {
  for (auto &values : expected)
    values.clear();
  fill(randomIds(2, 500, 30, 1), randomIds(1, 500, 30, 2));
  trec_create_options options = {};
  options.threads = 3;
  Model threaded(options, image);
  uint64_t size = 0;
  ASSERT_EQ(trec_runtime_workspace_size(threaded, 3, 500, &size, &error), TREC_OK);
  EXPECT_EQ(size, (3 * 500 + 2) * 8 / 64 * 64 + 64u);
  std::vector<int64_t> workspace(size / 8);
  args.workspace = workspace.data();
  args.workspace_bytes = size;
  ASSERT_EQ(trec_runtime_forward(threaded, &args, &error), TREC_OK) << error.text();
  EXPECT_EQ(got[0], expected[0]);
  EXPECT_EQ(got[1], expected[1]);
  args.workspace_bytes = size - 1;
  EXPECT_EQ(trec_runtime_forward(threaded, &args, &error), TREC_INVALID_ARGUMENT);
  args.workspace = nullptr;
  ASSERT_EQ(trec_runtime_forward(threaded, &args, &error), TREC_OK) << error.text();
}

TEST_F(Regroup, EmptyBatchNeedsNoOutputs) {
  Batch none({{}, {}});
  args.batch_size = 0;
  args.num_values = batch.num_values = 0;
  const int64_t zero = 0;
  args.lengths = none.lengths32.data() ? none.lengths32.data() : static_cast<const void *>(&zero);
  batch.offsets = &zero;
  args.outputs = nullptr;
  args.outputs_bytes = nullptr;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
}

TEST_F(Regroup, SlotsOfEachBatch) {
  const int32_t firstSlots[] = {1, 0}, secondSlots[] = {0};
  args.slots = firstSlots;
  batch.slots = secondSlots;
  Batch swapped({{{4}, {}}, {{1, 2}, {3}}});
  args.values = swapped.values64.data();
  args.lengths = swapped.lengths32.data();
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  EXPECT_EQ(got[0], expected[0]);
  EXPECT_EQ(got[1], expected[1]);
}

TEST_F(Regroup, WeightsOfTheSecondBatchAlone) {
  image.weighted = 2;
  Model weighted({}, image);
  EXPECT_EQ(trec_runtime_forward(weighted, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "batch 1: weights is null, but this batch of model \"test\" is weighted");
  const float weights[] = {2, 2};
  batch.weights = weights;
  batch.num_weights = 2;
  ASSERT_EQ(trec_runtime_forward(weighted, &args, &error), TREC_OK) << error.text();
  EXPECT_EQ(got[0], expected[0]);
  EXPECT_EQ(got[1][8], 2 * expected[1][8]);
  image.weighted = 0;
  expectError(TREC_INVALID_INPUT, "batch 1: weights given, but this batch of model \"test\" is not weighted");
}

TEST_F(Regroup, BadIdsCountOnceAndNameTheBatch) {
  fill({{{99}, {3}}, {{4}, {}}}, {{{77}, {5}}});
  static std::string warned;
  trec_create_options options = {};
  options.warning = [](void *, const trec_error *warning) { warned = warning->message; };
  Model model(options, image);
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  EXPECT_EQ(model.counters().bad_ids, 2);
  EXPECT_EQ(warned, "batch 0: id out of bounds: feature \"f1\", table \"t1\", sample 0, position 0: id 99, expected -1 "
                    "or 0 to 9 (table of 10 rows); row 0 used (2 bad ids in this call)");
  first->values64[0] = 1;
  options.bounds_check = TREC_BOUNDS_FATAL;
  Model fatal(options, image);
  EXPECT_EQ(trec_runtime_forward(fatal, &args, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(error.text(),
            "batch 1: id out of bounds: feature \"f3\", table \"t1\", sample 0, position 0: id 77, expected "
            "-1 or 0 to 9 (table of 10 rows)");
  EXPECT_EQ(error.feature, 2);
}

TEST_F(Regroup, NumberOfBatches) {
  args.num_batches = 0;
  expectError(TREC_INVALID_ARGUMENT, "0 batches beside the first given, but model \"test\" takes 1");
  args.num_batches = 1;
  args.batches = nullptr;
  expectError(TREC_INVALID_ARGUMENT, "0 batches beside the first given, but model \"test\" takes 1");
  Model plain;
  Batch three({{{1}}, {{2}}, {{3}}});
  args = three.args();
  args.batches = &batch;
  args.num_batches = 1;
  EXPECT_EQ(trec_runtime_forward(plain, &args, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "1 batches beside the first given, but model \"test\" takes 0");
}

TEST_F(Regroup, SizeOfABatch) {
  batch.size = 3;
  expectError(TREC_INVALID_ARGUMENT, "batches[0].size is 3, expected sizeof(trec_batch)");
}

TEST_F(Regroup, AnOlderCallersShorterBatch) {
  batch.size = offsetof(trec_batch, reserved);
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
}

TEST_F(Regroup, KindOfOutput) {
  args.output = got;
  expectError(TREC_INVALID_ARGUMENT, "output given, but model \"test\" regroups: expected outputs");
  args.output = nullptr;
  args.outputs_bytes = nullptr;
  expectError(TREC_INVALID_ARGUMENT, "outputs_bytes is null, but model \"test\" regroups");
}

TEST_F(Regroup, BuffersOfGroups) {
  bytes[1] -= 1;
  expectError(TREC_INVALID_ARGUMENT, "output 1 (group \"g2\") has 63 bytes, expected at least 64 for 2 samples");
  pointers[0] = nullptr;
  expectError(TREC_INVALID_ARGUMENT, "output 0 (group \"g1\") is null");
}

TEST_F(Regroup, ErrorsOfTheSecondBatch) {
  batch.num_keys = -1;
  expectError(TREC_INVALID_ARGUMENT, "batch 1: num_keys is -1, expected 0 or more");
  batch.num_keys = 0;
  expectError(TREC_INVALID_INPUT,
              "batch 1: feature \"f3\" is missing: the batch has 0 keys and no slots, expected 1 or more keys");
  EXPECT_EQ(error.feature, 2);
  batch.num_keys = 1;
  second->offsets64[1] = 9;
  expectError(TREC_INVALID_INPUT, "batch 1: decreasing offsets: feature \"f3\", key 0, sample 1: from 9 to 2");
  EXPECT_EQ(error.feature, 2);
  second->offsets64[1] = 0;
  batch.num_values = 1;
  expectError(TREC_INVALID_INPUT, "batch 1: offsets end at 2, but there are 1 values");
}
