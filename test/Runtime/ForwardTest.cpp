// Forward on good batches: every form of input gives the result that the reference gives.
#include "Support.h"

using namespace trectest;

namespace {

/// A call whose arguments can still be changed, run against an expected output.
void expectOutput(trec_model *model, const Batch &batch, const trec_forward_args &args,
                  const std::vector<float> &output) {
  Error error;
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(error.text(), "");
  EXPECT_EQ(batch.output, output);
}

struct Form {
  int32_t values, bags;
  bool offsets;
};

std::string name(const Form &form) {
  return std::string(form.values == TREC_INT32 ? "Ids32" : "Ids64") + (form.offsets ? "Offsets" : "Lengths") +
         (form.bags == TREC_INT32 ? "32" : "64");
}

void PrintTo(const Form &form, std::ostream *out) { *out << name(form); }

class ForwardForms : public testing::TestWithParam<std::tuple<Form, int64_t>> {};

std::string formName(const testing::TestParamInfo<std::tuple<Form, int64_t>> &info) {
  return name(std::get<0>(info.param)) + "Batch" + std::to_string(std::get<1>(info.param));
}

} // namespace

TEST_P(ForwardForms, GivesTheReferencesResult) {
  auto [form, batchSize] = GetParam();
  const Ids ids = randomIds(3, batchSize, 5);
  Model model;
  Batch batch(ids);
  trec_forward_args args = batch.args();
  args.values_type = form.values;
  args.values = form.values == TREC_INT32 ? static_cast<void *>(batch.values32.data()) : batch.values64.data();
  args.lengths = nullptr;
  const bool narrow = form.bags == TREC_INT32;
  if (form.offsets) {
    args.offsets = narrow ? static_cast<void *>(batch.offsets32.data()) : batch.offsets64.data();
    args.offsets_type = form.bags;
    args.lengths_type = 77; // of no array, so not looked at
  } else {
    args.lengths = narrow ? static_cast<void *>(batch.lengths32.data()) : batch.lengths64.data();
    args.lengths_type = form.bags;
    args.offsets_type = 77;
  }
  expectOutput(model, batch, args, expected(ids));
  std::fill(batch.output.begin(), batch.output.end(), -1.0f);
  uint64_t bytes;
  ASSERT_EQ(trec_runtime_workspace_size(model, 3, batchSize, &bytes, nullptr), TREC_OK);
  std::vector<int64_t> workspace(bytes / 8);
  args.workspace = workspace.data();
  args.workspace_bytes = bytes;
  expectOutput(model, batch, args, expected(ids));
}

// 1 and 7 keep offsets on the stack, 500 on the heap.
INSTANTIATE_TEST_SUITE_P(
    All, ForwardForms,
    testing::Combine(testing::Values(Form{TREC_INT32, TREC_INT32, false}, Form{TREC_INT32, TREC_INT64, false},
                                     Form{TREC_INT64, TREC_INT32, false}, Form{TREC_INT64, TREC_INT64, false},
                                     Form{TREC_INT32, TREC_INT32, true}, Form{TREC_INT32, TREC_INT64, true},
                                     Form{TREC_INT64, TREC_INT32, true}, Form{TREC_INT64, TREC_INT64, true}),
                     testing::Values(int64_t(1), int64_t(7), int64_t(500))),
    formName);

TEST(Forward, EmptyBagsAreZero) {
  const Ids ids = {{{}, {}}, {{}, {}}, {{}, {}}};
  Model model;
  Batch batch(ids);
  trec_forward_args args = batch.args();
  args.values = nullptr;
  expectOutput(model, batch, args, std::vector<float>(2 * TOTAL_DIM));
}

TEST(Forward, EmptyBatch) {
  Model model;
  Batch batch({{}, {}, {}});
  trec_forward_args args = batch.args();
  args.values = args.output = nullptr;
  expectOutput(model, batch, args, {});
  args.lengths = nullptr;
  args.offsets = batch.offsets64.data();
  args.offsets_type = TREC_INT64;
  expectOutput(model, batch, args, {});
  EXPECT_EQ(model.counters().forwards, 2);
}

TEST(Forward, SlotsPermuteAndSkipKeys) {
  const Ids ids = randomIds(5, 4, 3);
  Model model;
  Batch batch(ids);
  const std::vector<std::vector<int>> permutations = {{0, 1, 2}, {4, 0, 2}, {3, 3, 3}, {2, 4, 1}};
  for (const auto &permutation : permutations) {
    trec_forward_args args = batch.args();
    args.slots = permutation.data();
    expectOutput(model, batch, args, expected(ids, permutation));
  }
  expectOutput(model, batch, batch.args(), expected(ids)); // extra keys at the end need no slots
}

TEST(Forward, RowStrideLeavesGapsAlone) {
  const Ids ids = randomIds(3, 3, 4);
  Model model;
  Batch batch(ids);
  const std::vector<float> dense = expected(ids);
  batch.output.assign(3 * 20, 42.0f);
  trec_forward_args args = batch.args();
  args.output_row_stride = 20;
  args.output_bytes = (2 * 20 + TOTAL_DIM) * sizeof(float); // the last row needs no gap
  std::vector<float> wide(3 * 20, 42.0f);
  for (int b = 0; b < 3; ++b)
    std::copy_n(dense.begin() + b * TOTAL_DIM, TOTAL_DIM, wide.begin() + b * 20);
  expectOutput(model, batch, args, wide);
}

TEST(Forward, WeightsScaleRows) {
  struct trec_image image = ::trec_image;
  image.weighted = 1;
  Model model({}, image);
  Batch batch({{{3, 3}}, {{}}, {{1}}});
  const float weights[] = {0.5f, 2.0f, -1.0f};
  trec_forward_args args = batch.args();
  args.weights = weights;
  args.num_weights = 3;
  Error error;
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(batch.output[0], 7.5f);
  EXPECT_EQ(batch.output[6], -1.0f);
  Batch none({{{}}, {{}}, {{}}});
  args = none.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
}

// Half precision output: columns are counted in elements of two bytes.
TEST(Forward, ColumnsFollowTheOutputsElementSize) {
  static const trec_kernel kernels[] = {[](const trec_bag_args *args, int64_t begin, int64_t end) {
                                          for (int64_t bag = begin; bag < end; ++bag)
                                            static_cast<uint16_t *>(args->output)[bag * args->output_stride] = 7;
                                        },
                                        nullptr};
  trec_level_desc level = {"test", 0, kernels};
  trec_bag_desc bags[] = {{0, 0, 0, 0}, {0, 1, 1, 3}};
  struct trec_image image = ::trec_image;
  image.levels = &level;
  image.bags = bags;
  image.num_bags = 2;
  image.total_dim = 4;
  image.output_type = TREC_BFLOAT16;
  Model model({}, image);
  Batch batch({{{1}, {}}, {{}, {}}, {{}, {}}});
  std::vector<uint16_t> out(8);
  trec_forward_args args = batch.args();
  args.values_type = TREC_INT32;
  args.values = batch.values32.data();
  args.output = out.data();
  args.output_bytes = 16;
  ASSERT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  EXPECT_EQ(out, (std::vector<uint16_t>{7, 0, 0, 7, 7, 0, 0, 7}));
}

TEST(Forward, WorkspaceSize) {
  Model model;
  Error error;
  uint64_t bytes = 0;
  EXPECT_EQ(trec_runtime_workspace_size(model, 26, 1000, &bytes, &error), TREC_OK);
  EXPECT_GE(bytes, 26001u * 8);
  EXPECT_EQ(bytes % 64, 0u);
  EXPECT_EQ(trec_runtime_workspace_size(model, 0, 0, &bytes, &error), TREC_OK);
  EXPECT_EQ(bytes, 64u);
  EXPECT_EQ(trec_runtime_workspace_size(model, -1, 3, &bytes, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "num_keys is -1, batch_size is 3, expected 0 or more");
  for (auto [keys, batch] : {std::pair(INT64_MAX, int64_t(2)), {INT64_MAX, 1}, {int64_t(1) << 30, int64_t(1) << 30}}) {
    EXPECT_EQ(trec_runtime_workspace_size(model, keys, batch, &bytes, &error), TREC_INVALID_ARGUMENT);
    EXPECT_EQ(error.text(), std::to_string(keys) + " keys of " + std::to_string(batch) + " samples overflow 64 bits");
  }
}

TEST(Forward, CountsCalls) {
  Model model;
  Batch batch({{{1}}, {{2}}, {{3}}});
  trec_forward_args args = batch.args();
  for (int i = 0; i < 3; ++i)
    trec_runtime_forward(model, &args, nullptr);
  args.num_values = 2;
  EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_INVALID_INPUT);
  trec_counters counters = model.counters();
  EXPECT_EQ(counters.forwards, 3);
  EXPECT_EQ(counters.failed, 1);
  EXPECT_EQ(counters.bad_ids, 0);
}
