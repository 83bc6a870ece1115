// Ids outside their tables, under each policy, with what is reported about the lowest one.
#include "Support.h"

using namespace trectest;

namespace {

// Bad ids of f2 in samples 1 and 3 and of f1 in sample 3, which comes first in the values.
const Ids badIds = {{{1}, {}, {}, {2, 3, 77}}, {{-1}, {99, 5}, {}, {-2}}, {{3}, {4}, {-1}, {5}}};

struct Warnings {
  std::vector<trec_error> seen;
  static void add(void *user, const trec_error *error) { static_cast<Warnings *>(user)->seen.push_back(*error); }
};

trec_create_options policy(int32_t boundsCheck, Warnings *warnings = nullptr) {
  trec_create_options options = {};
  options.bounds_check = boundsCheck;
  options.warning = warnings ? Warnings::add : nullptr;
  options.warning_user = warnings;
  return options;
}

const char *const firstBad = "id out of bounds: feature \"f1\", table \"t1\", sample 3, position 2: id 77, "
                             "expected -1 or 0 to 9 (table of 10 rows)";

} // namespace

TEST(Bounds, FatalAndNoneFailAndNameTheLowestPosition) {
  for (int32_t check : {TREC_BOUNDS_FATAL, TREC_BOUNDS_NONE}) {
    Warnings warnings;
    Model model(policy(check, &warnings));
    Batch batch(badIds);
    trec_forward_args args = batch.args();
    Error error;
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_BOUNDS);
    EXPECT_EQ(error.text(), firstBad);
    EXPECT_EQ(error.feature, 0);
    EXPECT_EQ(error.table, 0);
    EXPECT_EQ(error.sample, 3);
    EXPECT_EQ(error.position, 2);
    EXPECT_EQ(error.value, 77);
    EXPECT_EQ(error.limit, 10);
    EXPECT_EQ(model.counters().failed, 1);
    EXPECT_EQ(model.counters().forwards, 0);
    EXPECT_EQ(model.counters().bad_ids, 4); // 77 is bad in both of f1's tables
    EXPECT_TRUE(warnings.seen.empty());
    EXPECT_EQ(batch.values64, Batch(badIds).values64);
  }
}

TEST(Bounds, WarningUsesRowZeroAndCallsBackOnce) {
  Warnings warnings;
  Model model(policy(TREC_BOUNDS_WARNING, &warnings));
  Batch batch(badIds);
  trec_forward_args args = batch.args();
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK);
  EXPECT_EQ(error.status, TREC_OK);
  EXPECT_EQ(error.text(), "");
  EXPECT_EQ(error.value, -1);
  EXPECT_EQ(batch.output, expected(badIds));
  ASSERT_EQ(warnings.seen.size(), 1u);
  EXPECT_EQ(warnings.seen[0].message, firstBad + std::string("; row 0 used (4 bad ids in this call)"));
  EXPECT_EQ(warnings.seen[0].status, TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(warnings.seen[0].value, 77);
  EXPECT_EQ(model.counters().bad_ids, 4);
  EXPECT_EQ(model.counters().forwards, 1);
  EXPECT_EQ(batch.values64, Batch(badIds).values64);
}

TEST(Bounds, WarningWithoutCallbackIsOneLineOnStandardError) {
  Model model(policy(TREC_BOUNDS_WARNING));
  Batch batch(badIds);
  trec_forward_args args = batch.args();
  testing::internal::CaptureStderr();
  EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            std::string("trec: test: warning: ") + firstBad + "; row 0 used (4 bad ids in this call)\n");
}

TEST(Bounds, IgnoreIsSilent) {
  Warnings warnings;
  Model model(policy(TREC_BOUNDS_IGNORE, &warnings));
  Batch batch(badIds);
  trec_forward_args args = batch.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  EXPECT_EQ(batch.output, expected(badIds));
  EXPECT_TRUE(warnings.seen.empty());
  EXPECT_EQ(model.counters().bad_ids, 4);
}

TEST(Bounds, CompiledPolicyIsTheDefault) {
  for (auto [compiled, status] : {std::pair(TREC_BOUNDS_FATAL, TREC_OUT_OF_BOUNDS), {TREC_BOUNDS_IGNORE, TREC_OK}}) {
    struct trec_image image = ::trec_image;
    image.bounds_check = compiled;
    Model model({}, image);
    Batch batch(badIds);
    trec_forward_args args = batch.args();
    EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), status);
  }
}

TEST(Bounds, LowestPositionIsInTheCallersOrder) {
  Model model(policy(TREC_BOUNDS_FATAL));
  Batch batch({{{1}, {10}}, {{1}, {20, 1}}, {{1}, {2}}, {{100}, {100}}});
  trec_forward_args args = batch.args();
  const int32_t slots[] = {2, 1, 0}; // f3 reads the first key; key 3 is nobody's, its ids are not looked at
  args.slots = slots;
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_THAT(error.text(), HasSubstr("feature \"f3\", table \"t1\", sample 1, position 0: id 10"));
  batch.values64[1] = 1;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(error.text(), "id out of bounds: feature \"f2\", table \"t2\", sample 1, position 0: id 20, "
                          "expected -1 or 0 to 19 (table of 20 rows)");
}

TEST(Bounds, ExtremeIds) {
  Model model(policy(TREC_BOUNDS_FATAL));
  for (int64_t id : {INT64_MIN, int64_t(-2), int64_t(10), int64_t(1) << 32, INT64_MAX}) {
    Batch batch({{{}}, {{}}, {{0, id}}});
    trec_forward_args args = batch.args();
    Error error;
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_BOUNDS) << id;
    EXPECT_EQ(error.value, id);
    EXPECT_EQ(error.position, 1);
  }
  Batch batch({{{}}, {{}}, {{INT32_MIN}}});
  trec_forward_args args = batch.args();
  args.values = batch.values32.data();
  args.values_type = TREC_INT32;
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(error.value, INT32_MIN);
}

TEST(Bounds, TableWithoutRowsExpectsNothing) {
  trec_table_desc tables[2] = {::trec_image.tables[0], ::trec_image.tables[1]};
  tables[0].rows = 0;
  struct trec_image image = ::trec_image;
  image.tables = tables;
  const std::string rows = goodData();
  trec_table_data data[2] = {{nullptr, 0, 16}, {rows.data(), 20, 8}};
  trec_create_options options = policy(TREC_BOUNDS_FATAL);
  options.tables = data;
  options.num_tables = 2;
  Model model(options, image);
  Batch batch({{{}}, {{}}, {{-1, 0}}});
  trec_forward_args args = batch.args();
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_THAT(error.text(), HasSubstr("position 1: id 0, expected -1 (table of 0 rows)"));
}
