// Bags whose lengths are promised: on the CPU before a kernel runs, on a GPU by the kernels.
#include "GPUSupport.h"

#include <cmath>

using namespace trectest;

namespace {

/// The test image, or another one, where each bag of f1 has 2 ids, each of f2 none, and those of f3 any number.
struct PromisedImage {
  explicit PromisedImage(const struct trec_image &of = ::trec_image) : image(of) {
    std::copy(of.bags, of.bags + NUM_BAGS, bags);
    for (trec_bag_desc &bag : bags)
      bag.length = bag.feature == 0 ? 1 + 2 : bag.feature == 1 ? 1 + 0 : 0;
    image.bags = bags;
  }
  PromisedImage(const PromisedImage &) = delete;
  operator const struct trec_image &() const { return image; }
  trec_bag_desc bags[NUM_BAGS];
  struct trec_image image;
};

const Ids kept = {{{1, 2}, {3, 4}, {5, -1}}, {{}, {}, {}}, {{6}, {}, {7, 8, 9}}};
const Ids shorter = {{{1, 2}, {3}, {5, 6}}, {{}, {}, {}}, {{6}, {}, {7}}};
const Ids longer = {{{1, 2}, {3, 4}, {5, 6}}, {{}, {}, {7}}, {{6}, {}, {7}}};
const char tooShort[] = "feature \"f1\", sample 1: 1 ids, expected the fixed length of 2";
const char tooLong[] = "feature \"f2\", sample 2: 1 ids, expected the fixed length of 0";

class FixedLengthsOnGPU : public GPU {
protected:
  /// What the next look at the device tells of a call that was fine.
  std::string told(trec_model *model, const trec_forward_args &args) {
    EXPECT_EQ(forward(model, args), TREC_OK) << error.text();
    return trec_runtime_poll(model, &error) == TREC_OK ? "" : error.text();
  }
};

} // namespace

TEST(FixedLengths, AreCheckedInEveryFormOfABatch) {
  PromisedImage image;
  for (const int32_t threads : {1, 4}) {
    trec_create_options options = {};
    options.threads = threads;
    Model model(options, image);
    for (const int form : {0, 1, 2}) {
      const auto run = [&](Batch &batch, Error &error) {
        trec_forward_args args = batch.args();
        if (form)
          args.lengths = nullptr;
        if (form == 1) {
          args.offsets = batch.offsets64.data();
          args.offsets_type = TREC_INT64;
        } else if (form) {
          args.offsets = batch.offsets32.data();
          args.offsets_type = TREC_INT32;
        }
        return trec_runtime_forward(model, &args, &error);
      };
      Batch good(kept), bad(shorter), other(longer);
      Error error;
      EXPECT_EQ(run(good, error), TREC_OK) << error.text();
      EXPECT_EQ(good.output, expected(kept));
      EXPECT_EQ(run(bad, error), TREC_INVALID_INPUT);
      EXPECT_EQ(error.text(), tooShort);
      EXPECT_EQ(error.feature, 0);
      EXPECT_EQ(error.sample, 1);
      EXPECT_EQ(error.value, 1);
      EXPECT_EQ(error.limit, 2);
      EXPECT_TRUE(std::isnan(bad.output[0])); // no kernel has run
      EXPECT_EQ(run(other, error), TREC_INVALID_INPUT);
      EXPECT_EQ(error.text(), tooLong);
      EXPECT_EQ(error.limit, 0);
    }
  }
}

TEST(FixedLengths, OfAnEmptyBatch) {
  PromisedImage image;
  Model model({}, image);
  Batch empty(Ids{{}, {}, {}});
  const trec_forward_args args = empty.args();
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
}

// f1 is the second key here, so that the sample is not the place in the lengths.
TEST(FixedLengths, OfKeysInAnotherOrder) {
  PromisedImage image;
  Model model({}, image);
  const int32_t slots[] = {1, 2, 0};
  Batch batch(Ids{shorter[2], shorter[0], shorter[1]});
  trec_forward_args args = batch.args();
  args.slots = slots;
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), tooShort);
}

TEST(FixedLengths, WithoutPooling) {
  UnpooledImage unpooled;
  PromisedImage image(unpooled);
  Model model({}, image);
  Sequences good(kept), bad(shorter);
  Error error;
  trec_forward_args args = good.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  EXPECT_EQ(good.rows[0], expectedRows(kept, 0));
  args = bad.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), tooShort);
}

TEST(FixedLengths, BesideWeightsByPosition) {
  ParameterImage parameters;
  PromisedImage image(parameters);
  ParameterTables tables;
  Model model(tables.options(), image);
  Batch batch(shorter), good(kept);
  Error error;
  trec_forward_args args = good.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  args = batch.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), tooShort);
  image.bags[0].length = 1 + NUM_POSITIONS + 1; // no batch can keep it
  Model impossible(tables.options(), image);
  Batch four(Ids{{{1, 2, 3, 4}}, {{}}, {{}}});
  args = four.args();
  EXPECT_EQ(trec_runtime_forward(impossible, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "feature \"f1\", sample 0: 4 ids, but weights for 3 positions");
}

// The stand-in's kernels also look whether bags begin where the promises in front of them say.
TEST_F(FixedLengthsOnGPU, AreToldByTheNextCall) {
  PromisedImage promised;
  GPUImage image(promised);
  Model model(onGPU(), image);
  Batch good(kept), bad(shorter), other(longer);
  EXPECT_EQ(told(model, good.args()), "");
  EXPECT_EQ(good.output, expected(kept));
  EXPECT_EQ(told(model, bad.args()),
            "an earlier call: feature \"f1\", sample 1, 1 ids, expected the fixed length of 2");
  EXPECT_EQ(error.feature, 0);
  EXPECT_EQ(error.sample, 1);
  EXPECT_EQ(error.value, 1);
  EXPECT_EQ(error.limit, 2);
  EXPECT_EQ(told(model, other.args()),
            "an earlier call: feature \"f2\", sample 2, 1 ids, expected the fixed length of 0");
  EXPECT_EQ(told(model, good.args()), "");
}

TEST_F(FixedLengthsOnGPU, OfKeysInAnotherOrder) {
  PromisedImage promised;
  GPUImage image(promised);
  Model model(onGPU(), image);
  const int32_t slots[] = {1, 2, 0};
  Batch good(Ids{kept[2], kept[0], kept[1]}), bad(Ids{shorter[2], shorter[0], shorter[1]});
  trec_forward_args args = good.args();
  args.slots = slots;
  EXPECT_EQ(told(model, args), "");
  args = bad.args();
  args.slots = slots;
  EXPECT_THAT(told(model, args), HasSubstr("feature \"f1\", sample 1, 1 ids, expected the fixed length of 2"));
}

TEST_F(FixedLengthsOnGPU, WithoutPooling) {
  UnpooledImage unpooled;
  PromisedImage promised(unpooled);
  GPUImage image(promised);
  cuda.is_unpooled = 1;
  Model model(onGPU(), image);
  Sequences good(kept), bad(shorter);
  EXPECT_EQ(told(model, good.args()), "");
  EXPECT_THAT(told(model, bad.args()), HasSubstr("feature \"f1\", sample 1, 1 ids, expected the fixed length of 2"));
}

// The device is not to end with long bags. Where lengths are not known, they may be longest.
TEST_F(FixedLengthsOnGPU, TheLongestBagsComeFirst) {
  PromisedImage promised;
  promised.bags[0].length = promised.bags[3].length = 1 + 1;
  promised.bags[1].length = 1 + 3; // f2, whose kernel is that of bag 3
  promised.bags[2].length = 1 + 4;
  GPUImage image(promised);
  Model model(onGPU(), image);
  const Ids ids = {{{1}, {2}}, {{3, 4, 5}, {6, 7, 8}}, {{1, 2, 3, 4}, {5, 6, 7, 8}}};
  Batch batch(ids);
  EXPECT_EQ(told(model, batch.args()), "");
  EXPECT_EQ(batch.output, expected(ids));
  EXPECT_EQ(cuda.first_length, 4);
  promised.bags[0].length = 0;
  Model unlike(onGPU(), image);
  EXPECT_EQ(told(unlike, batch.args()), "");
  EXPECT_EQ(batch.output, expected(ids));
  EXPECT_EQ(cuda.first_length, -1);
}

// Each bag has a block up to as many of them as run at the same time, and twice as many where some are long.
TEST_F(FixedLengthsOnGPU, LongBagsHaveBlocksOfTheirOwn) {
  struct {
    int64_t length, batchSize;
    bool shared;
  } const cases[] = {{31, 256, true}, {31, 257, false}, {32, 257, true}, {32, 512, true}, {32, 513, false}};
  for (const auto &made : cases) {
    SCOPED_TRACE(testing::Message() << made.length << " " << made.batchSize);
    PromisedImage promised;
    for (trec_bag_desc &bag : promised.bags)
      bag.length = 1 + made.length;
    GPUImage image(promised);
    Model model(onGPU(), image);
    const Ids ids(NUM_FEATURES,
                  std::vector<std::vector<int64_t>>(made.batchSize, std::vector<int64_t>(made.length, 1)));
    Batch batch(ids);
    cuda.shared_launches = 0;
    EXPECT_EQ(told(model, batch.args()), "");
    EXPECT_EQ(batch.output, expected(ids));
    EXPECT_EQ(cuda.shared_launches, made.shared);
  }
}

// Where a bag begins is known without its offset as long as all features in front of it are promised.
TEST_F(FixedLengthsOnGPU, BehindAFeatureOfAnyLengths) {
  PromisedImage promised;
  promised.bags[1].length = 0;
  promised.bags[2].length = 1 + 1;
  GPUImage image(promised);
  Model model(onGPU(), image);
  const Ids ids = {{{1, 2}, {3, 4}}, {{5}, {}}, {{6}, {7}}};
  Batch good(ids), bad(Ids{{{1, 2}, {3, 4}}, {{5}, {}}, {{6}, {}}});
  EXPECT_EQ(told(model, good.args()), "");
  EXPECT_EQ(good.output, expected(ids));
  EXPECT_THAT(told(model, bad.args()), HasSubstr("feature \"f3\", sample 1, 0 ids, expected the fixed length of 1"));
}

// Lengths that sum to more than counts hold: where bags begin is then read.
TEST_F(FixedLengthsOnGPU, ThatNoBatchCanHave) {
  PromisedImage promised;
  promised.bags[0].length = promised.bags[3].length = 1 + int64_t(INT32_MAX);
  promised.bags[1].length = 1 + int64_t(INT32_MAX);
  promised.bags[2].length = 1 + int64_t(INT32_MAX);
  GPUImage image(promised);
  Model model(onGPU(), image);
  Batch bad(Ids{{{1}}, {{2}}, {{3}}});
  EXPECT_THAT(told(model, bad.args()), HasSubstr("feature \"f1\", sample 0, 1 ids, expected the fixed length of 2147"));
}
