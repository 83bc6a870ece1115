// Forward of models without pooling: one output per bag with a row per id, however the batch is passed and shared.
#include "Variants.h"

#include <algorithm>
#include <mutex>

using namespace trectest;

namespace {

const Ids sampleIds = {{{1, 9}, {}, {3}}, {{19}, {-1, 3}, {}}, {{-1}, {2, 2, 2}, {0}}};

void expectRows(const Sequences &batch, const Ids &ids, const std::vector<int> &slots = {0, 1, 2}) {
  for (int i = 0; i < NUM_BAGS; ++i)
    EXPECT_EQ(batch.rows[i], expectedRows(ids, i, slots)) << "output " << i;
}

void expectForward(trec_model *model, const Sequences &batch, const trec_forward_args &args) {
  Error error;
  for (const std::vector<float> &rows : batch.rows)
    std::fill(const_cast<float *>(rows.data()), const_cast<float *>(rows.data()) + rows.size(), NAN);
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
}

/// The calls of kernels, with the feature's first position as the runtime passes it.
struct Calls {
  struct Call {
    int64_t first, begin, end, stride;
    const void *output;
  };
  std::vector<Call> made;
  std::mutex mutex;
  static Calls *current;
  static void watch(const trec_bag_args *args, int64_t begin, int64_t end) {
    std::lock_guard<std::mutex> lock(current->mutex);
    current->made.push_back({args->offsets[0], begin, end, args->output_stride, args->output});
  }
  Calls() { current = this; }
  ~Calls() { current = nullptr; }
  const trec_kernel kernels[4] = {watch, watch, watch, watch};
};
Calls *Calls::current;

/// An executor that counts its pieces and runs the last first.
void runBackwards(void *user, int64_t count, void (*body)(void *, int64_t), void *context) {
  *static_cast<int64_t *>(user) = count;
  for (int64_t i = count; i-- > 0;)
    body(context, i);
}

trec_create_options withExecutor(int32_t threads, int64_t *pieces) {
  trec_create_options options = {};
  options.threads = threads;
  options.parallel_for = runBackwards;
  options.parallel_for_user = pieces;
  return options;
}

} // namespace

TEST(Sequences, RowsInTheOrderOfIdsInEveryForm) {
  UnpooledImage image;
  Model model({}, image);
  Sequences batch(sampleIds);
  trec_forward_args args = batch.args();
  for (bool narrow : {false, true}) {
    args.values = narrow ? static_cast<const void *>(batch.values32.data()) : batch.values64.data();
    args.values_type = narrow ? TREC_INT32 : TREC_INT64;
    args.offsets = nullptr;
    args.lengths = narrow ? static_cast<const void *>(batch.lengths32.data()) : batch.lengths64.data();
    args.lengths_type = args.offsets_type = args.values_type;
    expectForward(model, batch, args);
    expectRows(batch, sampleIds);
    args.lengths = nullptr;
    args.offsets = narrow ? static_cast<const void *>(batch.offsets32.data()) : batch.offsets64.data();
    expectForward(model, batch, args);
    expectRows(batch, sampleIds);
  }
  EXPECT_EQ(model.counters().forwards, 4);
}

TEST(Sequences, SlotsChooseTheKeys) {
  UnpooledImage image;
  Model model({}, image);
  const int32_t slots[] = {3, 1, 1};
  const Ids ids = {{{7}, {7}}, {{1, 2}, {3}}, {{8}, {}}, {{4}, {5, 6, 0}}};
  Sequences batch(ids, {3, 1, 1});
  trec_forward_args args = batch.args();
  args.slots = slots;
  expectForward(model, batch, args);
  expectRows(batch, ids, {3, 1, 1});
}

TEST(Sequences, BatchesWithoutIds) {
  UnpooledImage image;
  Calls calls;
  image.level.kernels = calls.kernels;
  Model model({}, image);
  for (const Ids &ids : {Ids{{}, {}, {}}, Ids{{{}, {}}, {{}, {}}, {{}, {}}}}) {
    Sequences batch(ids);
    trec_forward_args args = batch.args();
    expectForward(model, batch, args);
    args.outputs = nullptr;
    args.outputs_bytes = nullptr;
    expectForward(model, batch, args);
  }
  EXPECT_TRUE(calls.made.empty());
}

TEST(Sequences, FeatureWithoutIdsIsNotCalledAndNeedsNoBuffer) {
  UnpooledImage image;
  const Ids ids = {{{1, 2}, {3}}, {{}, {}}, {{4}, {}}};
  Model model({}, image);
  Sequences batch(ids);
  ASSERT_EQ(batch.outputs[1], nullptr);
  expectForward(model, batch, batch.args());
  expectRows(batch, ids);

  Calls calls;
  image.level.kernels = calls.kernels;
  Model watched({}, image);
  expectForward(watched, batch, batch.args());
  ASSERT_EQ(calls.made.size(), 3u);
  const int bags[] = {0, 2, 3};
  const int64_t firsts[] = {0, 3, 0}, ends[] = {3, 4, 3}, dims[] = {T1_DIM, T1_DIM, T2_DIM};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(calls.made[i].first, firsts[i]);
    EXPECT_EQ(calls.made[i].begin, firsts[i]);
    EXPECT_EQ(calls.made[i].end, ends[i]);
    EXPECT_EQ(calls.made[i].stride, dims[i]);
    EXPECT_EQ(calls.made[i].output, batch.outputs[bags[i]]);
  }
}

TEST(Sequences, SameRowsAtAnyNumberOfThreads) {
  UnpooledImage image;
  for (int32_t threads : {1, 2, 7, 1000})
    for (int64_t batchSize : {1, 63, 700}) {
      const Ids ids = randomIds(3, batchSize, 9);
      trec_create_options options = {};
      options.threads = threads;
      Model model(options, image);
      Sequences batch(ids);
      expectForward(model, batch, batch.args());
      expectRows(batch, ids);
    }
}

// One sample with all the ids of its feature: only cuts between ids can share it.
TEST(Sequences, OneLongSampleIsSharedByIds) {
  UnpooledImage image;
  Ids ids = {{{1}}, {{}}, {{2}}};
  for (int64_t i = 0; i < 20000; ++i)
    ids[1][0].push_back(i % T2_ROWS);
  Sequences batch(ids);
  int64_t pieces = 0;
  Model model(withExecutor(4, &pieces), image);
  expectForward(model, batch, batch.args());
  expectRows(batch, ids);
  EXPECT_EQ(pieces, 16);

  Calls calls;
  image.level.kernels = calls.kernels;
  Model watched(withExecutor(4, &pieces), image);
  expectForward(watched, batch, batch.args());
  std::sort(calls.made.begin(), calls.made.end(), [](auto &a, auto &b) { return a.begin < b.begin; });
  int64_t next = 1;
  for (const Calls::Call &call : calls.made) {
    if (call.first != 1)
      continue;
    EXPECT_EQ(call.begin, next);
    EXPECT_LE(call.end - call.begin, 20000 / 16 + 2);
    next = call.end;
  }
  EXPECT_EQ(next, 20001);
}

TEST(Sequences, BadIdsByPolicy) {
  const Ids ids = {{{1}, {}, {2, 10, 3}}, {{20}, {0}, {5}}, {{1}, {-2}, {}}};
  const std::string message = "id out of bounds: feature \"f1\", table \"t1\", sample 2, position 1: id 10, "
                              "expected -1 or 0 to 9 (table of 10 rows)";
  UnpooledImage image;
  for (int32_t threads : {1, 3})
    for (int32_t policy : {TREC_BOUNDS_FATAL, TREC_BOUNDS_IGNORE, TREC_BOUNDS_NONE}) {
      trec_create_options options = {};
      options.threads = threads;
      options.bounds_check = policy;
      Model model(options, image);
      Sequences batch(ids);
      const trec_forward_args args = batch.args();
      Error error;
      const bool fails = policy != TREC_BOUNDS_IGNORE;
      EXPECT_EQ(trec_runtime_forward(model, &args, &error), fails ? TREC_OUT_OF_BOUNDS : TREC_OK);
      EXPECT_EQ(error.text(), fails ? message : "");
      EXPECT_EQ(error.sample, fails ? 2 : -1);
      EXPECT_EQ(model.counters().bad_ids, 3);
      expectRows(batch, ids);
    }
}

TEST(Sequences, WarningUsesRowZero) {
  static std::vector<std::string> warnings;
  UnpooledImage image;
  trec_create_options options = {};
  options.bounds_check = TREC_BOUNDS_WARNING;
  options.warning = [](void *, const trec_error *error) { warnings.push_back(error->message); };
  Model model(options, image);
  const Ids ids = {{{}}, {{}}, {{4, 99}}};
  Sequences batch(ids);
  expectForward(model, batch, batch.args());
  expectRows(batch, ids);
  EXPECT_THAT(warnings, testing::ElementsAre(HasSubstr("feature \"f3\", table \"t1\", sample 0, position 1: id 99")));
}
