// Forward on bad calls and bad batches: each check, provoked, with its message and numbers.
#include "Support.h"

#include <functional>

using namespace trectest;

namespace {

/// A good batch of two samples and four keys, the last of which no feature uses, for tests to spoil.
class ForwardRefuses : public testing::Test {
protected:
  Batch batch{{{{1, 2}, {3}}, {{4}, {}}, {{5}, {6}}, {{7}, {8}}}};
  Model model;
  trec_forward_args args = batch.args();
  Error error;

  void expectError(int32_t status, const std::string &message) {
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), status);
    EXPECT_EQ(error.status, status);
    EXPECT_EQ(error.text(), message);
    EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), status);
  }
  void useOffsets(const void *offsets, int32_t type) {
    args.lengths = nullptr;
    args.offsets = offsets;
    args.offsets_type = type;
  }
};

} // namespace

TEST_F(ForwardRefuses, NegativeCounts) {
  for (int64_t trec_forward_args::*count : {&trec_forward_args::batch_size, &trec_forward_args::num_keys,
                                            &trec_forward_args::num_values, &trec_forward_args::output_row_stride}) {
    args = batch.args();
    args.*count = -5;
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_ARGUMENT);
    EXPECT_THAT(error.text(), HasSubstr(" is -5, expected 0 or more"));
  }
}

TEST_F(ForwardRefuses, UnknownTypes) {
  args.values_type = TREC_FLOAT32;
  expectError(TREC_INVALID_ARGUMENT, "values_type is 3, expected TREC_INT32 (1) or TREC_INT64 (2)");
  args = batch.args();
  args.lengths_type = 0;
  expectError(TREC_INVALID_ARGUMENT, "lengths_type is 0, expected TREC_INT32 (1) or TREC_INT64 (2)");
  args = batch.args();
  useOffsets(batch.offsets64.data(), -2);
  expectError(TREC_INVALID_ARGUMENT, "offsets_type is -2, expected TREC_INT32 (1) or TREC_INT64 (2)");
}

TEST_F(ForwardRefuses, MissingValues) {
  args.values = nullptr;
  expectError(TREC_INVALID_ARGUMENT, "values is null, but num_values is 8");
}

TEST_F(ForwardRefuses, LengthsAndOffsets) {
  args.offsets = batch.offsets64.data();
  expectError(TREC_INVALID_ARGUMENT, "both lengths and offsets, expected exactly one of them");
  args.lengths = args.offsets = nullptr;
  expectError(TREC_INVALID_ARGUMENT, "neither of lengths and offsets, expected exactly one of them");
}

TEST_F(ForwardRefuses, Output) {
  args.output = nullptr;
  expectError(TREC_INVALID_ARGUMENT, "output is null");
  args = batch.args();
  args.output_bytes = 95;
  expectError(TREC_INVALID_ARGUMENT, "output_bytes is 95, expected at least 96");
  args.output_row_stride = 11;
  expectError(TREC_INVALID_ARGUMENT, "output_row_stride is 11, expected 0 or at least 12");
  args.output_row_stride = INT64_MAX / 2;
  expectError(TREC_INVALID_ARGUMENT, "output of 2 rows of 4611686018427387903 elements overflows");
}

TEST_F(ForwardRefuses, HugeShapes) {
  args.batch_size = int64_t(1) << 40;
  args.num_keys = int64_t(1) << 40;
  args.output_bytes = ~uint64_t(0);
  expectError(TREC_INVALID_ARGUMENT, "1099511627776 keys of 1099511627776 samples overflow 64 bits");
}

TEST_F(ForwardRefuses, SlotsBeyondTheKeys) {
  for (int32_t slot : {-1, 4}) {
    const int32_t slots[] = {0, slot, 2};
    args.slots = slots;
    expectError(TREC_INVALID_INPUT, "feature \"f2\": slot " + std::to_string(slot) + " is none of the batch's 4 keys");
    EXPECT_EQ(error.feature, 1);
    EXPECT_EQ(error.value, slot);
    EXPECT_EQ(error.limit, 4);
  }
}

TEST_F(ForwardRefuses, MissingFeature) {
  args.num_keys = 2;
  expectError(TREC_INVALID_INPUT,
              "feature \"f3\" is missing: the batch has 2 keys and no slots, expected 3 or more keys");
  EXPECT_EQ(error.feature, 2);
}

TEST_F(ForwardRefuses, WeightsOfAnUnweightedModel) {
  const float weights[8] = {};
  args.weights = weights;
  expectError(TREC_INVALID_INPUT, "weights given, but model \"test\" is not weighted");
  args.weights = nullptr;
  args.num_weights = 8;
  expectError(TREC_INVALID_INPUT, "weights given, but model \"test\" is not weighted");
}

TEST_F(ForwardRefuses, WeightsThatAWeightedModelLacks) {
  struct trec_image image = ::trec_image;
  image.weighted = 1;
  Model weighted({}, image);
  EXPECT_EQ(trec_runtime_forward(weighted, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "weights is null, but model \"test\" is weighted");
  const float weights[8] = {};
  args.weights = weights;
  args.num_weights = 7;
  EXPECT_EQ(trec_runtime_forward(weighted, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "7 weights for 8 values");
  EXPECT_EQ(error.value, 7);
  EXPECT_EQ(error.limit, 8);
}

TEST_F(ForwardRefuses, Workspace) {
  alignas(64) char workspace[256];
  args.workspace = workspace;
  args.workspace_bytes = 64;
  expectError(TREC_INVALID_ARGUMENT, "workspace_bytes is 64, expected at least 128");
  args.workspace_bytes = 128;
  args.workspace = workspace + 4;
  expectError(TREC_INVALID_ARGUMENT, "workspace is not aligned to 8 bytes");
}

TEST_F(ForwardRefuses, NegativeLength) {
  batch.lengths32[1] = -2;
  expectError(TREC_INVALID_INPUT, "negative length: feature \"f1\", key 0, sample 1: length -2");
  EXPECT_EQ(error.feature, 0);
  EXPECT_EQ(error.sample, 1);
  EXPECT_EQ(error.value, -2);
  const int32_t slots[] = {1, 0, 2};
  args.slots = slots;
  expectError(TREC_INVALID_INPUT, "negative length: feature \"f2\", key 0, sample 1: length -2");
}

TEST_F(ForwardRefuses, NegativeLengthOfAKeyThatNoFeatureUses) {
  batch.lengths64[6] = INT64_MIN;
  args.lengths = batch.lengths64.data();
  args.lengths_type = TREC_INT64;
  expectError(TREC_INVALID_INPUT,
              "negative length: key 3 (no feature of the model), sample 0: length -9223372036854775808");
  EXPECT_EQ(error.feature, -1);
  EXPECT_EQ(error.sample, 0);
}

// The total is right, and no partial sum is negative.
TEST_F(ForwardRefuses, NegativeLengthThatBalances) {
  batch.lengths32[0] = 4;
  batch.lengths32[1] = -1;
  expectError(TREC_INVALID_INPUT, "negative length: feature \"f1\", key 0, sample 1: length -1");
}

// Wraps to the right total, so only the check for overflow can see it.
TEST_F(ForwardRefuses, LengthsThatOverflow) {
  args.lengths = batch.lengths64.data();
  args.lengths_type = TREC_INT64;
  const int64_t wrapping[] = {INT64_MAX, INT64_MAX, 10, 0, 0, 0, 0, 0};
  batch.lengths64.assign(wrapping, wrapping + 8);
  expectError(TREC_INVALID_INPUT, "lengths sum to more than 64 bits hold: feature \"f1\", key 0, sample 1: length "
                                  "9223372036854775807");
}

TEST_F(ForwardRefuses, LengthsThatDoNotSumToTheValues) {
  batch.lengths32[2] = 0;
  expectError(TREC_INVALID_INPUT, "lengths sum to 7, but there are 8 values: surplus values");
  EXPECT_EQ(error.value, 7);
  EXPECT_EQ(error.limit, 8);
  batch.lengths32[2] = 4;
  expectError(TREC_INVALID_INPUT, "lengths sum to 11, but there are 8 values");
}

TEST_F(ForwardRefuses, OffsetsThatDecrease) {
  batch.offsets64[4] = 1;
  useOffsets(batch.offsets64.data(), TREC_INT64);
  expectError(TREC_INVALID_INPUT, "decreasing offsets: feature \"f2\", key 1, sample 1: from 4 to 1");
  EXPECT_EQ(error.feature, 1);
  EXPECT_EQ(error.sample, 1);
  EXPECT_EQ(error.value, 1);
  EXPECT_EQ(error.limit, 4);
  batch.offsets32[4] = -7;
  useOffsets(batch.offsets32.data(), TREC_INT32);
  expectError(TREC_INVALID_INPUT, "decreasing offsets: feature \"f2\", key 1, sample 1: from 4 to -7");
}

// In bounds at both ends, far out in between.
TEST_F(ForwardRefuses, OffsetsThatLeaveAndReturn) {
  batch.offsets64[3] = int64_t(1) << 40;
  useOffsets(batch.offsets64.data(), TREC_INT64);
  expectError(TREC_INVALID_INPUT, "decreasing offsets: feature \"f2\", key 1, sample 1: from 1099511627776 to 4");
}

TEST_F(ForwardRefuses, OffsetsThatDoNotBeginAtZero) {
  batch.offsets64[0] = 1;
  useOffsets(batch.offsets64.data(), TREC_INT64);
  expectError(TREC_INVALID_INPUT, "offsets begin at 1, expected 0");
  batch.offsets32[0] = -1;
  useOffsets(batch.offsets32.data(), TREC_INT32);
  expectError(TREC_INVALID_INPUT, "offsets begin at -1, expected 0");
}

TEST_F(ForwardRefuses, OffsetsThatDoNotEndAtTheValues) {
  useOffsets(batch.offsets32.data(), TREC_INT32);
  args.num_values = 9;
  expectError(TREC_INVALID_INPUT, "offsets end at 8, but there are 9 values: surplus values");
  EXPECT_EQ(error.value, 8);
  EXPECT_EQ(error.limit, 9);
  args.num_values = 7;
  expectError(TREC_INVALID_INPUT, "offsets end at 8, but there are 7 values");
}

TEST_F(ForwardRefuses, ValuesOfAnEmptyBatch) {
  args.batch_size = 0;
  expectError(TREC_INVALID_INPUT, "lengths sum to 0, but there are 8 values: surplus values");
}

TEST_F(ForwardRefuses, NothingIsWrittenBeforeTheChecksPass) {
  batch.lengths32[7] = -1;
  std::fill(batch.output.begin(), batch.output.end(), 42.0f);
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(batch.output, std::vector<float>(2 * TOTAL_DIM, 42.0f));
  EXPECT_EQ(model.counters().failed, 1);
}
