// What the device finds wrong: by each policy, by the next call or by poll, and which place is told of several.
#include "GPUSupport.h"

using namespace trectest;

namespace {

std::vector<std::string> warnings;

void warn(void *, const trec_error *warning) { warnings.emplace_back(warning->message); }

class GPUReport : public GPU {
protected:
  void SetUp() override {
    GPU::SetUp();
    warnings.clear();
  }
  static trec_create_options withPolicy(int32_t policy) {
    trec_create_options options = onGPU();
    options.bounds_check = policy;
    options.warning = warn;
    return options;
  }
  GPUImage image;
  const Ids good = {{{1}, {2}}, {{3}, {4}}, {{}, {5}}};
  const Ids bad = {{{1, 99}, {2}}, {{3}, {-7}}, {{}, {10}}};
};

const char badIds[] = "an earlier call: id out of bounds: feature \"f1\", table \"t1\", sample 0, position 1: id 99, "
                      "expected -1 or 0 to 9 (table of 10 rows)";

} // namespace

TEST_F(GPUReport, BadIdsAreWarnedOfByTheNextCall) {
  Model model(withPolicy(TREC_BOUNDS_WARNING), image);
  Batch batch(bad), next(good);
  ASSERT_EQ(forward(model, batch.args()), TREC_OK);
  EXPECT_EQ(batch.output, expected(bad));
  EXPECT_TRUE(warnings.empty());
  ASSERT_EQ(forward(model, next.args()), TREC_OK);
  EXPECT_EQ(next.output, expected(good));
  EXPECT_THAT(warnings, testing::ElementsAre(std::string(badIds) + "; row 0 used (4 bad ids in earlier calls)"));
  EXPECT_EQ(model.counters().bad_ids, 4);
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OK);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST_F(GPUReport, BadIdsAreCountedUnderIgnore) {
  Model model(withPolicy(TREC_BOUNDS_IGNORE), image);
  Batch batch(bad);
  ASSERT_EQ(forward(model, batch.args()), TREC_OK);
  EXPECT_EQ(model.counters().bad_ids, 0);
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OK);
  EXPECT_EQ(model.counters().bad_ids, 4);
  EXPECT_TRUE(warnings.empty());
}

// The next call fails and does nothing else; the one after it goes on.
TEST_F(GPUReport, BadIdsAreErrorsUnderFatalAndNone) {
  for (const int32_t policy : {TREC_BOUNDS_FATAL, TREC_BOUNDS_NONE}) {
    Model model(withPolicy(policy), image);
    Batch batch(bad), next(good);
    ASSERT_EQ(forward(model, batch.args()), TREC_OK);
    const int launches = cuda.launches;
    EXPECT_EQ(forward(model, next.args()), TREC_OUT_OF_BOUNDS);
    EXPECT_EQ(cuda.launches, launches);
    EXPECT_EQ(error.text(), badIds);
    EXPECT_EQ(error.feature, 0);
    EXPECT_EQ(error.table, 0);
    EXPECT_EQ(error.sample, 0);
    EXPECT_EQ(error.position, 1);
    EXPECT_EQ(error.value, 99);
    EXPECT_EQ(error.limit, T1_ROWS);
    EXPECT_EQ(forward(model, next.args()), TREC_OK);
    EXPECT_EQ(next.output, expected(good));
    ASSERT_EQ(forward(model, batch.args()), TREC_OK); // the same place once more is told once more
    EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OUT_OF_BOUNDS);
    EXPECT_EQ(error.text(), badIds);
    EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OK);
    EXPECT_EQ(model.counters().bad_ids, 8);
  }
}

// A place that was told gives way to any other, even a higher one.
TEST_F(GPUReport, PlacesThatWereTold) {
  Model model(withPolicy(TREC_BOUNDS_FATAL), image);
  Batch low(bad), high(Ids{{{1}, {2}}, {{3}, {4}}, {{}, {12}}});
  forward(model, low.args());
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OUT_OF_BOUNDS);
  forward(model, high.args());
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(error.feature, 2);
  EXPECT_EQ(error.value, 12);
  const trec_forward_args before = high.args();
  EXPECT_EQ(trec_runtime_forward(model, &before, &error), TREC_OK);
  EXPECT_EQ(forward(model, low.args()), TREC_OK); // one after the other, with no look between them
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(error.value, 99);
}

TEST_F(GPUReport, LengthsThatAreWrong) {
  Model model(onGPU(), image);
  Batch batch(good);
  trec_forward_args args = batch.args();
  batch.lengths32[2] = -3;
  ASSERT_EQ(forward(model, args), TREC_OK);
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "an earlier call: negative length: length -3 at position 2");
  EXPECT_EQ(error.value, -3);
  batch.lengths32[2] = 2;
  ASSERT_EQ(forward(model, args), TREC_OK);
  EXPECT_EQ(forward(model, args), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "an earlier call: lengths sum to 6, expected the number of values");
}

TEST_F(GPUReport, OffsetsThatAreWrong) {
  Model model(onGPU(), image);
  Batch batch(good);
  trec_forward_args args = batch.args();
  args.lengths = nullptr;
  args.offsets = batch.offsets64.data();
  args.offsets_type = TREC_INT64;
  const auto told = [&] {
    EXPECT_EQ(forward(model, args), TREC_OK) << error.text();
    EXPECT_EQ(trec_runtime_poll(model, &error), TREC_INVALID_INPUT);
    return error.text();
  };
  batch.offsets64 = {0, 1, 9, 3, 4, 4, 5};
  EXPECT_THAT(told(), HasSubstr("an earlier call: feature \"f1\", sample 1, offset 9 at position 2, expected offsets"));
  EXPECT_EQ(error.feature, 0);
  EXPECT_EQ(error.sample, 1);
  batch.offsets64 = {1, 1, 2, 3, 4, 4, 5};
  EXPECT_THAT(told(), HasSubstr("an earlier call: offset 1 at position 0, expected offsets that begin at 0"));
  batch.offsets64 = {0, 1, 2, 3, 4, 4, 4};
  EXPECT_THAT(told(), HasSubstr("an earlier call: offset 4 at position 6, expected offsets"));
}

TEST_F(GPUReport, BagsLongerThanTheirWeights) {
  ParameterImage parameters;
  GPUImage onDevice(parameters);
  const std::string file = parameterFile();
  trec_create_options options = withPolicy(TREC_BOUNDS_IGNORE);
  options.weights_data = file.data();
  options.weights_bytes = file.size();
  Model model(options, onDevice);
  Batch batch(Ids{{{1}, {1, 2, 3, 4}}, {{}, {}}, {{}, {}}});
  ASSERT_EQ(forward(model, batch.args()), TREC_OK);
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "an earlier call: feature \"f1\", sample 1, 4 ids, but weights for 3 positions");
  EXPECT_EQ(error.limit, NUM_POSITIONS);
  // Bad ids of a mapped feature are told against the map.
  Batch mapped(Ids{{{}, {}}, {{}, {}}, {{}, {NUM_MAPPED}}});
  options.bounds_check = TREC_BOUNDS_FATAL;
  Model fatal(options, onDevice);
  ASSERT_EQ(forward(fatal, mapped.args()), TREC_OK);
  EXPECT_EQ(trec_runtime_poll(fatal, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_THAT(error.text(), HasSubstr("id 12, expected -1 or 0 to 11 (map of a pruned table of 12 rows)"));
}

// Without pooling nobody but the device knows how many rows an output needs.
TEST_F(GPUReport, OutputsThatAreTooSmall) {
  UnpooledImage unpooled;
  GPUImage onDevice(unpooled);
  cuda.is_unpooled = 1;
  Model model(onGPU(), onDevice);
  Sequences batch(good);
  batch.outputsBytes[1] -= T2_DIM * sizeof(float);
  batch.outputs[2] = nullptr;
  ASSERT_EQ(forward(model, batch.args()), TREC_OK);
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_INVALID_INPUT);
  EXPECT_THAT(error.text(), HasSubstr("ids, but its output has fewer rows"));
}

TEST_F(GPUReport, LateThingsNameTheBatch) {
  struct trec_image two = ::trec_image;
  const trec_feature_desc features[] = {{0, 0, 0}, {3, 1, 0}};
  const trec_output_desc outputs[] = {{9, T1_DIM}, {9, T2_DIM}};
  const trec_bag_desc bags[] = {{0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, 1, 0, 0, 0, 1, 0}};
  two.features = features;
  two.num_features = two.num_bags = two.num_outputs = two.num_batches = 2;
  two.outputs = outputs;
  two.bags = bags;
  GPUImage onDevice(two);
  Model model(onGPU(), onDevice);
  Batch first(Ids{{{1}}}), second(Ids{{{2}}});
  second.lengths32[0] = 3;
  const trec_forward_args of = second.args();
  const trec_batch rest = {sizeof(trec_batch), 1,          nullptr, of.values, 1, of.lengths, nullptr, nullptr, 0,
                           TREC_INT64,         TREC_INT32, 0,       0};
  float got[2][4];
  void *const pointers[] = {got[0], got[1]};
  const uint64_t bytes[] = {sizeof got[0], sizeof got[1]};
  trec_forward_args args = first.args();
  args.output = nullptr;
  args.output_bytes = 0;
  args.outputs = pointers;
  args.outputs_bytes = bytes;
  args.batches = &rest;
  args.num_batches = 1;
  ASSERT_EQ(forward(model, args), TREC_OK) << error.text();
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "an earlier call: batch 1: lengths sum to 3, expected the number of values");
}
