// Kernels are told where each bag has one id, for they have a loop for that.
#include "Support.h"

using namespace trectest;

namespace {

std::vector<int64_t> told;
void noteOneId(const trec_bag_args *args, int64_t, int64_t) { told.push_back(args->have_one_id); }

/// What the kernel is told in each of its calls, for a batch in which `lengths` are those of the feature.
std::vector<int64_t> toldOf(const std::vector<int64_t> &lengths) {
  const OneTable one(noteOneId, 10, T1_DIM);
  Model model(one.options(), one.image());
  std::vector<std::vector<int64_t>> bags;
  for (int64_t length : lengths)
    bags.emplace_back(length, 5);
  const Batch batch(Ids(3, bags));
  Error error;
  std::vector<float> output(lengths.size() * T1_DIM);
  trec_forward_args args = batch.args();
  args.output = output.data();
  args.output_bytes = output.size() * sizeof(float);
  told.clear();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  return told;
}

} // namespace

TEST(OneId, OfEachBag) {
  EXPECT_EQ(toldOf({1}), std::vector<int64_t>{1});
  EXPECT_EQ(toldOf(std::vector<int64_t>(300, 1)), std::vector<int64_t>{1});
}

TEST(OneId, OfTheAverageBagIsNotEnough) {
  EXPECT_EQ(toldOf({2, 0}), std::vector<int64_t>{0});
  EXPECT_EQ(toldOf({0, 1, 2}), std::vector<int64_t>{0});
  std::vector<int64_t> lengths(300, 1);
  lengths[298] = 0;
  lengths[299] = 2;
  EXPECT_EQ(toldOf(lengths), std::vector<int64_t>{0});
}

TEST(OneId, OtherNumbers) {
  EXPECT_EQ(toldOf({2, 2}), std::vector<int64_t>{0});
  EXPECT_EQ(toldOf({0, 0}), std::vector<int64_t>{0});
  EXPECT_EQ(toldOf({1, 1, 0}), std::vector<int64_t>{0});
}
