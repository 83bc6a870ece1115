// What forward refuses about the outputs of models without pooling, and models with it that are given such outputs.
#include "Variants.h"

#include <algorithm>
#include <cmath>

using namespace trectest;

namespace {

class SequencesRefuse : public testing::Test {
protected:
  UnpooledImage image;
  Sequences batch{{{{1, 2}, {3}}, {{4}, {}}, {{5}, {6}}}};
  Model model{{}, image};
  trec_forward_args args = batch.args();
  Error error;

  void expectError(const std::string &message, int64_t feature = -1) {
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_ARGUMENT);
    EXPECT_EQ(error.text(), message);
    EXPECT_EQ(error.feature, feature);
    // No kernel has run.
    for (const std::vector<float> &rows : batch.rows)
      EXPECT_TRUE(std::all_of(rows.begin(), rows.end(), [](float value) { return std::isnan(value); }));
  }
};

} // namespace

TEST_F(SequencesRefuse, OutputOfPooledModels) {
  const std::string message = "output given, but model \"test\" does not pool: expected outputs";
  args.output = batch.output.data();
  expectError(message);
  args = batch.args();
  args.output_bytes = 4;
  expectError(message);
  args = batch.args();
  args.output_row_stride = TOTAL_DIM;
  expectError(message);
  args = batch.Batch::args();
  expectError(message);
}

TEST_F(SequencesRefuse, MissingArrays) {
  args.outputs = nullptr;
  expectError("outputs is null, but model \"test\" does not pool");
  args = batch.args();
  args.outputs_bytes = nullptr;
  expectError("outputs_bytes is null, but model \"test\" does not pool");
}

// A caller built against a header without `outputs` passes a shorter struct.
TEST_F(SequencesRefuse, ArgsOfAnOlderCaller) {
  args.size = offsetof(trec_forward_args, outputs);
  expectError("outputs is null, but model \"test\" does not pool");
}

TEST_F(SequencesRefuse, MissingBuffer) {
  batch.outputs[1] = nullptr;
  expectError("output 1 (feature \"f2\") is null", 1);
}

TEST_F(SequencesRefuse, ShortBuffer) {
  batch.outputsBytes[3] -= 1;
  expectError("output 3 (feature \"f1\") has 23 bytes, expected at least 24 for 3 ids", 0);
  batch.outputsBytes[2] = 0;
  expectError("output 2 (feature \"f3\") has 0 bytes, expected at least 32 for 2 ids", 2);
}

TEST_F(SequencesRefuse, ShortBufferOfNarrowElements) {
  image.image.output_type = TREC_BFLOAT16;
  Model narrow({}, image);
  batch.outputsBytes[0] = 23;
  EXPECT_EQ(trec_runtime_forward(narrow, &args, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "output 0 (feature \"f1\") has 23 bytes, expected at least 24 for 3 ids");
}

TEST_F(SequencesRefuse, ShortBufferOfBytes) {
  image.image.output_type = TREC_UINT8;
  Model stored({}, image);
  batch.outputsBytes[0] = 11;
  EXPECT_EQ(trec_runtime_forward(stored, &args, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "output 0 (feature \"f1\") has 11 bytes, expected at least 12 for 3 ids");
}

// The ids are never looked at: their number alone is too much.
TEST_F(SequencesRefuse, SizesThatOverflow) {
  const int64_t huge = int64_t(1) << 60;
  const int64_t offsets[] = {0, 0, 0, 1, huge, huge, huge};
  args.lengths = nullptr;
  args.offsets = offsets;
  args.offsets_type = TREC_INT64;
  args.num_values = huge;
  std::fill(batch.outputsBytes.begin(), batch.outputsBytes.end(), UINT64_MAX);
  expectError("output 1 (feature \"f2\"): 1152921504606846976 rows overflow", 1);
}

TEST_F(SequencesRefuse, ErrorsOfTheBatchComeFirst) {
  batch.lengths32[2] = -1;
  batch.outputs[0] = nullptr;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
  EXPECT_THAT(error.text(), HasSubstr("negative length"));
}

TEST_F(SequencesRefuse, OutputsForAModelThatPools) {
  const std::string message = "outputs given, but model \"test\" pools: expected output";
  Model pooled;
  args = batch.args();
  EXPECT_EQ(trec_runtime_forward(pooled, &args, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), message);
  args = batch.Batch::args();
  args.outputs = batch.outputs.data();
  EXPECT_EQ(trec_runtime_forward(pooled, &args, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), message);
  args.outputs = nullptr;
  args.outputs_bytes = batch.outputsBytes.data();
  EXPECT_EQ(trec_runtime_forward(pooled, &args, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), message);
  args.outputs_bytes = nullptr;
  EXPECT_EQ(trec_runtime_forward(pooled, &args, &error), TREC_OK);
}
