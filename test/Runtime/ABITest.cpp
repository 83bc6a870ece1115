// The interface itself: versions, struct sizes of older callers, null arguments, and the layout that bindings rely on.
#include "Support.h"

using namespace trectest;

extern "C" const char *run_as_c11(trec_query query, const void *file, uint64_t bytes, float *out);

TEST(ABI, HeaderIsC11AndItsExampleRuns) {
  std::string file = goodFile();
  std::vector<float> out(TOTAL_DIM);
  EXPECT_STREQ(run_as_c11(test_model_query, file.data(), file.size(), out.data()), "");
  EXPECT_EQ(out, expected({{{1, 2}}, {{3}}, {{}}}));
}

// Python and other bindings mirror these structs by hand; fields may only be appended.
TEST(ABI, LayoutIsWhatBindingsMirror) {
  EXPECT_EQ(sizeof(trec_error), 576u);
  EXPECT_EQ(offsetof(trec_error, feature), 16u);
  EXPECT_EQ(offsetof(trec_error, message), 64u);
  EXPECT_EQ(sizeof(trec_table_data), 24u);
  EXPECT_EQ(sizeof(trec_create_options), 176u);
  EXPECT_EQ(offsetof(trec_create_options, bounds_check), 48u);
  EXPECT_EQ(offsetof(trec_create_options, warning_user), 80u);
  EXPECT_EQ(offsetof(trec_create_options, progress_user), 128u);
  EXPECT_EQ(sizeof(trec_weights_info), 40u);
  EXPECT_EQ(sizeof(trec_forward_args), 176u);
  EXPECT_EQ(offsetof(trec_create_options, exactness), 136u);
  EXPECT_EQ(offsetof(trec_create_options, placements), 144u);
  EXPECT_EQ(offsetof(trec_create_options, l2_persist_bytes), 168u);
  EXPECT_EQ(sizeof(trec_table_info), 32u);
  EXPECT_EQ(offsetof(trec_forward_args, batches), 152u);
  EXPECT_EQ(sizeof(trec_batch), 88u);
  EXPECT_EQ(offsetof(trec_forward_args, output), 80u);
  EXPECT_EQ(offsetof(trec_forward_args, values_type), 120u);
  EXPECT_EQ(sizeof(trec_counters), 32u);
}

TEST(ABI, QueryGivesTheTable) {
  Error error;
  const trec_api *api = test_model_query(TREC_ABI_VERSION, &error);
  ASSERT_EQ(api, &trec_model_api);
  EXPECT_EQ(error.status, TREC_OK);
  EXPECT_EQ(error.text(), "");
  EXPECT_EQ(error.sample, -1);
  EXPECT_EQ(test_model_query(TREC_ABI_VERSION, nullptr), api);
}

TEST(ABI, OtherVersionIsRefusedWithBothVersions) {
  Error error;
  EXPECT_EQ(test_model_query(TREC_ABI_VERSION + 6, &error), nullptr);
  EXPECT_EQ(error.status, TREC_VERSION_MISMATCH);
  EXPECT_EQ(error.text(), "caller has ABI version 7, model \"test\" has 1");
  EXPECT_EQ(test_model_query(0, nullptr), nullptr);
}

TEST(ABI, ShortErrorStructIsNotOverrun) {
  Error error;
  error.size = offsetof(trec_error, message) + 8;
  test_model_query(9, &error);
  EXPECT_EQ(error.text(), "caller ");
  EXPECT_EQ(error.message[8], 0x5a);

  Error numbersOnly;
  numbersOnly.size = offsetof(trec_error, feature);
  test_model_query(9, &numbersOnly);
  EXPECT_EQ(numbersOnly.status, TREC_VERSION_MISMATCH);
  EXPECT_EQ(numbersOnly.feature, 0x5a5a5a5a5a5a5a5a);
}

TEST(ABI, ErrorStructWithoutACredibleSizeIsLeftAlone) {
  for (size_t size : {size_t(0), size_t(8), size_t(4097), ~size_t(0)}) {
    Error error;
    error.size = size;
    test_model_query(9, &error);
    EXPECT_EQ(error.status, 0x5a5a5a5a);
  }
}

TEST(ABI, OptionsOfAnOlderCallerReadAsZero) {
  std::string file = goodFile();
  trec_create_options options = {};
  options.size = offsetof(trec_create_options, bounds_check);
  options.weights_data = file.data();
  options.weights_bytes = file.size();
  options.bounds_check = 99; // beyond the size, so never seen
  Error error;
  trec_model *model;
  ASSERT_EQ(trec_runtime_create(&options, &model, &error), TREC_OK) << error.message;
  trec_runtime_destroy(model);
}

TEST(ABI, ArgsOfAnOlderOrNewerCallerWork) {
  Model model;
  Batch batch({{{1}}, {{2}}, {{3}}});
  trec_forward_args args = batch.args();
  args.size = offsetof(trec_forward_args, offsets_type);
  args.offsets_type = 99;
  EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  std::vector<char> newer(sizeof args + 64, 0x5a);
  args.size = newer.size();
  std::memcpy(newer.data(), &args, sizeof args);
  EXPECT_EQ(trec_runtime_forward(model, reinterpret_cast<trec_forward_args *>(newer.data()), nullptr), TREC_OK);
}

TEST(ABI, ArgsWithoutACredibleSizeAreRefused) {
  Model model;
  Batch batch({{{1}}, {{2}}, {{3}}});
  for (size_t size : {size_t(0), size_t(7), size_t(4097)}) {
    Error error;
    trec_forward_args args = batch.args();
    args.size = size;
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_ARGUMENT);
    EXPECT_EQ(error.text(), "args.size is " + std::to_string(size) + ", expected sizeof(trec_forward_args)");
  }
}

TEST(ABI, NullArgumentsAreRefused) {
  Error error;
  Model model;
  uint64_t bytes;
  trec_model *made;
  trec_create_options options = {};
  EXPECT_EQ(trec_runtime_create(nullptr, &made, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "options is null");
  EXPECT_EQ(made, nullptr);
  EXPECT_EQ(trec_runtime_create(&options, nullptr, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "model is null");
  EXPECT_EQ(trec_runtime_create(&options, &made, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "options.size is 0, expected sizeof(trec_create_options)");
  EXPECT_EQ(trec_runtime_forward(nullptr, nullptr, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "model is null");
  EXPECT_EQ(trec_runtime_forward(model, nullptr, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "args is null");
  EXPECT_EQ(trec_runtime_workspace_size(nullptr, 1, 1, &bytes, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "model is null");
  EXPECT_EQ(trec_runtime_workspace_size(model, 1, 1, nullptr, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "bytes is null");
  trec_runtime_destroy(nullptr);
  EXPECT_EQ(trec_runtime_cpu_level(nullptr), nullptr);
}

TEST(ABI, CountersOfAnOlderCallerAreNotOverrun) {
  Model model;
  trec_counters counters = {offsetof(trec_counters, bad_ids), -7, -7, -7};
  EXPECT_EQ(trec_runtime_counters(model, &counters), TREC_OK);
  EXPECT_EQ(counters.forwards, 0);
  EXPECT_EQ(counters.bad_ids, -7);
  counters.size = 0;
  EXPECT_EQ(trec_runtime_counters(model, &counters), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(trec_runtime_counters(model, nullptr), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(trec_runtime_counters(nullptr, &counters), TREC_INVALID_ARGUMENT);
}

TEST(ABI, WeightsInfoOfAnOlderCallerIsNotOverrun) {
  Model model;
  trec_weights_info info = {};
  info.size = offsetof(trec_weights_info, data);
  info.pages = -7;
  info.bytes = 7;
  EXPECT_EQ(trec_runtime_weights_info(model, &info), TREC_OK);
  EXPECT_EQ(info.pages, TREC_PAGES_MAP);
  EXPECT_EQ(info.bytes, 7u);
  info.size = 0;
  EXPECT_EQ(trec_runtime_weights_info(model, &info), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(trec_runtime_weights_info(model, nullptr), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(trec_runtime_weights_info(nullptr, &info), TREC_INVALID_ARGUMENT);
}
